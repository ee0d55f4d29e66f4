"""What a training tells the world: each event to whoever started it, and into the run folder."""

from __future__ import annotations

import time
from typing import Any

from napari_attnseg.events import Event, EventHandler, Progress, Started
from napari_attnseg.models.device import Compute
from napari_attnseg.training.checkpoint import Position
from napari_attnseg.training.memory import memory_used
from napari_attnseg.training.pace import Pace
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.run_folder import RunFolder

SECONDS_BETWEEN = 0.5


class Reporter:
    """Passes events on; those from before there is a run folder are written once there is one.

    A silent one does neither, as in all processes of a training but the first.
    """

    def __init__(self, folder: RunFolder, handler: EventHandler, *, is_silent: bool = False) -> None:
        self._is_silent = is_silent
        self._folder = folder
        self._handler = handler
        self._early: list[Event] = []
        self._last_progress = 0.0

    def __call__(self, event: Event) -> None:
        """Report an event.

        Raises
        ------
        SaveError
            The run folder cannot be written to.
        """
        if self._is_silent:
            return
        self._early.append(event)
        if self._folder.path.is_dir():
            for one in self._early:
                self._folder.append_event(one)
            self._early = []
        if isinstance(event, Progress):
            self._last_progress = time.monotonic()
        self._handler(event)

    def is_due(self) -> bool:
        """Whether the last progress was long enough ago for another one."""
        return time.monotonic() - self._last_progress >= SECONDS_BETWEEN


def started_of(plan: Plan, folder: RunFolder, compute: Compute) -> Started:
    """Return what is said at the begin of a training."""
    counts = {"images": len(plan.train), "held_out": len(plan.held_out), "focus": len(plan.focus)}
    return Started(plan.summary, compute.description, {"run": str(folder.path), **counts})


def progress_of(
    message: str, position: Position, pace: Pace, compute: Compute, *, loss: float | None, paused: bool = False
) -> Progress:
    """Return how far a training is."""
    details: dict[str, Any] = {
        "loss": loss,
        "epoch": min(position.epoch + 1, pace.settings.epochs),
        "epochs": pace.settings.epochs,
        "batch": position.step_in_epoch,
        "batches": pace.steps_per_epoch,
        "memory": memory_used(compute.device),
        "paused": paused,
    }
    left = pace.seconds_left(position.step)
    return Progress(pace.share_done(position.step), message, left, pace.images_per_second, details)
