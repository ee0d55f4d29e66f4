"""How far a training is, in steps and in time: what its end, its learning rate and its time left depend on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from napari_attnseg.settings import TrainingSettings

_MEMORY = 20.0  # seconds of steps after which older ones count half: the machine may get busier, or less so
_FORWARD_SHARE = 1 / 3  # of a step's time, which also goes backward
_RESERVE = 1.2  # scoring takes that much longer at times
_SAVING = 1.0  # seconds
_LARGEST_RESERVE = 0.5  # of the time limit: something has to be learnt, though scoring take long


class Pace:
    """A clock that pauses do not count on, and what follows from it.

    Parameters
    ----------
    settings
        Epochs, time limit, patch and batch size.
    now
        The clock; seconds.
    """

    def __init__(self, settings: TrainingSettings, now: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.steps_per_epoch = 1
        self.scored_pixels = 0
        """Pixels of all held-out images."""
        self._now = now
        self._began = now()
        self._paused_since: float | None = None
        self._mark: float | None = None
        self._stepping = 0.0  # seconds that `_steps` steps took
        self._steps = 0.0
        self._scoring: float | None = None

    @property
    def seconds(self) -> float:
        """Time spent on the run, over all its sessions, without pauses."""
        return (self._now() if self._paused_since is None else self._paused_since) - self._began

    def add_earlier(self, seconds: float) -> None:
        """Count what earlier sessions of the run took."""
        self._began -= seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within the block no time passes."""
        self._paused_since = self._now()
        try:
            yield
        finally:
            self._began += self._now() - self._paused_since
            self._paused_since = None

    def begin_steps(self) -> None:
        """Note that the next batch begins now: whatever came before was something else."""
        self._mark = self.seconds

    def step_done(self) -> None:
        """Note that a batch has been learnt. The first one counts only until the second: it warms up."""
        if self._mark is None:
            return
        took = self.seconds - self._mark
        self._mark = self.seconds
        if self._steps == 1 and self._stepping > took:
            self._stepping = took
        elif self._stepping > _MEMORY:
            self._stepping, self._steps = self._stepping / 2 + took, self._steps / 2 + 1
        else:
            self._stepping, self._steps = self._stepping + took, self._steps + 1

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """Within the block the held-out images are scored; how long that takes is what it will take again."""
        began = self.seconds
        yield
        self._scoring = self.seconds - began

    @property
    def step_seconds(self) -> float | None:
        """Time of a batch of late; None before the first."""
        return self._stepping / self._steps if self._steps else None

    @property
    def images_per_second(self) -> float | None:
        """Patches learnt from a second, of late."""
        return self.settings.batch_size / self.step_seconds if self.step_seconds else None

    @property
    def scoring_seconds(self) -> float:
        """Time that scoring takes: measured, else estimated from the steps."""
        if self._scoring is not None:
            return self._scoring
        learnt = self.settings.batch_size * self.settings.patch_size**2
        return (self.step_seconds or 0.0) * self.scored_pixels / learnt * _FORWARD_SHARE

    def is_time_up(self) -> bool:
        """Whether only the time for scoring and saving is left."""
        if self.settings.max_minutes is None:
            return False
        limit = self.settings.max_minutes * 60
        reserve = min(self.scoring_seconds * _RESERVE + _SAVING, limit * _LARGEST_RESERVE)
        return self.seconds >= limit - reserve

    def share_done(self, step: int) -> float:
        """Return the share of the training that is over, 0 to 1, by steps or by time, whichever ends it first."""
        by_steps = step / (self.settings.epochs * self.steps_per_epoch)
        if self.settings.max_minutes is None:
            return min(by_steps, 1.0)
        return min(max(by_steps, self.seconds / (self.settings.max_minutes * 60)), 1.0)

    def seconds_left(self, step: int) -> float | None:
        """Return how long the rest will take, scoring included; None where nothing is known yet."""
        estimates = []
        if self.settings.max_minutes is not None:
            estimates.append(self.settings.max_minutes * 60 - self.seconds)
        if self.step_seconds is not None:
            epochs = self.settings.epochs - step // self.steps_per_epoch
            steps = self.settings.epochs * self.steps_per_epoch - step
            estimates.append(steps * self.step_seconds + epochs * self.scoring_seconds)
        return max(min(estimates), 0.0) if estimates else None
