"""The training of a session's folder: started here, or found again after the viewer was closed or crashed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.trainings.runs import TrainingOrder, new_run, running, train_command
from napari_attnseg.errors import RunFolderError
from napari_attnseg.events import (
    Cancelled,
    CheckpointSaved,
    EpochEnd,
    Event,
    Failed,
    Finished,
    Notice,
    Progress,
    Started,
)
from napari_attnseg.jobs import JOB, Job, attach, start
from napari_attnseg.viewer.session.followed_job import FollowedJob

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

RunState = Literal["idle", "starting", "running", "paused", "stopping", "finished", "cancelled", "failed"]
STOP_GRACE = 30.0  # seconds that a training has for saving once it was asked to stop
_ENDS: dict[type[Event], RunState] = {Finished: "finished", Cancelled: "cancelled", Failed: "failed"}


class TrainingRun(QObject):
    """Starts, follows, pauses and stops the one training of a session."""

    state_changed = Signal(str, str)
    """The state, and a sentence for the user or ''."""
    started = Signal(object)
    progressed = Signal(object)
    epoch_ended = Signal(object)
    saved = Signal(object)
    noticed = Signal(str)
    ended = Signal(object)
    """The last event: Finished, Cancelled or Failed."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.state: RunState = "idle"
        self.rows: list[dict[str, float]] = []
        """The rows of metrics.csv so far."""
        self.began = 0.0
        """When it was started, in seconds since 1970; masks saved later are not part of it."""
        self.root: Path | None = None
        """The folder of the images it learns from."""
        self._stop_asked = False
        self._job = FollowedJob(session, self)
        self._job.begun.connect(self._on_begun)
        self._job.reported.connect(self._on_event)

    @property
    def is_active(self) -> bool:
        """Whether a training is under way."""
        return self.state in ("starting", "running", "paused", "stopping")

    @property
    def folder(self) -> Path | None:
        """The run folder of the training that is followed, or was followed last."""
        return self._job.job.folder if self._job.job is not None else None

    @property
    def log(self) -> Path | None:
        """The file that holds what the training printed."""
        return self._job.job.log if self._job.job is not None else None

    def start(self, root: Path, order: TrainingOrder) -> None:
        """Start a training of the images in `root`; one at a time."""
        if self.is_active:
            self.noticed.emit("A training is running already; stop it first, or wait until it has ended.")
            return
        self.rows, self.root, self.began, self._stop_asked = [], root, time.time(), False
        self._set_state("starting", "Starting…")

        def begin() -> Job:
            others = running(root)
            if others:
                raise RunFolderError(
                    f"A training on this folder is running already ({others[0].name}); wait until it has ended."
                )
            run = new_run(root, order)
            return start(train_command(run), folder=run)

        self._job.follow(begin)

    def find(self, root: Path) -> None:
        """Look in the background whether a training of this folder is running, and follow it."""
        if self.is_active:
            return

        def begin() -> Job | None:
            found = running(root)
            return attach(found[0]) if found else None

        self.rows, self.root = [], root
        self._set_state("idle")  # what was said of another folder's training is none of this one
        self._job.follow(begin)

    def pause(self) -> None:
        """Let the training rest; it keeps its memory."""
        if self.state == "running":
            self._job.tell(lambda job: job.pause())
            self._set_state("paused", "Paused.")

    def go_on(self) -> None:
        """Let a paused training go on."""
        if self.state == "paused":
            self._job.tell(lambda job: job.resume())
            self._set_state("running")

    def stop(self) -> None:
        """End the training; the best and the last model are saved."""
        if self.state == "starting":
            self._stop_asked = True
        elif self.state in ("running", "paused"):
            self._job.tell(lambda job: job.stop(STOP_GRACE))
            self._set_state("stopping", "Saving what was learnt…")

    def _on_begun(self) -> None:
        job = self._job.job
        assert job is not None
        if self.state != "starting":  # found, not started
            self.began = _written(job.folder / JOB)  # the order itself is written anew by the training
            show_info("A training on this folder is going on; the Train dock shows how far it is.")
        self._set_state("paused" if job.is_paused else "running")
        if self._stop_asked:
            self.stop()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Started):
            self.started.emit(event)
        elif isinstance(event, Progress):
            self._follow_pause(event)
            self.progressed.emit(event)
        elif isinstance(event, EpochEnd):
            self.rows.append(event.row)
            self.epoch_ended.emit(event)
        elif isinstance(event, CheckpointSaved):
            self.saved.emit(event)
        elif isinstance(event, Notice):
            self.noticed.emit(event.message)
        elif isinstance(event, Finished | Cancelled | Failed):
            self._set_state(_ENDS[type(event)], event.message)
            self.ended.emit(event)

    def _follow_pause(self, event: Progress) -> None:
        """Show what another window, or a script, did to it."""
        paused = bool(event.details.get("paused"))
        if self.state in ("running", "paused") and paused != (self.state == "paused"):
            self._set_state("paused" if paused else "running")

    def _set_state(self, state: RunState, sentence: str = "") -> None:
        self.state = state
        self.state_changed.emit(state, sentence)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
