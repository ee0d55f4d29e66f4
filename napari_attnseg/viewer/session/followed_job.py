"""A job that a session follows: it is started, looked at and told things in the background."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_attnseg.errors import AttnSegError
from napari_attnseg.events import Event, Failed, Notice
from napari_attnseg.jobs import Job
from napari_attnseg.viewer.failures import failure_text

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

POLL = 150  # milliseconds between two looks at what the job reports
_log = logging.getLogger(__name__)


class FollowedJob(QObject):
    """Hands on the events of one job after the other; what touches the disk is done in the background."""

    reported = Signal(object)
    """An event; the last one of a job is Finished, Cancelled or Failed."""
    begun = Signal()
    """A job was started or found, and is followed from now on."""

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self.job: Job | None = None
        self._looking = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        session.closing.connect(self._timer.stop)

    @property
    def runs(self) -> bool:
        """Whether the job has not ended yet, as far as is known."""
        return self.job is not None and self.job.state == "running"

    def follow(self, begin: Callable[[], Job | None]) -> None:
        """Call `begin`, which starts or finds a job, in the background, and follow what it returns."""
        self.job = None
        self._session.background.run(begin, self._begun, self._not_begun)

    def tell(self, action: Callable[[Job], None]) -> None:
        """Let something be done to the job in the background, such as stopping it."""
        job = self.job
        if job is not None:
            self._session.background.run(lambda: action(job), lambda _: None, self._not_told)

    def end(self, grace: float, longest: float) -> None:
        """End the job and wait until it is gone, as while the window closes; see `end_job`."""
        if self.job is not None:
            end_job(self.job, grace, longest)

    def _begun(self, job: Job | None) -> None:
        if job is not None:
            self.job = job
            self._timer.start(POLL)
            self.begun.emit()

    def _not_begun(self, error: Exception) -> None:
        self.reported.emit(Failed(failure_text(error, "It could not be started")))

    def _not_told(self, error: Exception) -> None:
        if isinstance(error, AttnSegError):
            self.reported.emit(Notice(str(error)))
        else:
            _log.error("the job was not told", exc_info=error)

    def _look(self) -> None:
        if self.job is not None and not self._looking:
            self._looking = True
            self._session.background.run(self.job.poll, self._hand_on, self._unread)

    def _unread(self, error: Exception) -> None:
        self._looking = False
        _log.warning("the job's events could not be read: %s", error)

    def _hand_on(self, events: list[Event]) -> None:
        self._looking = False
        if not self.runs:
            self._timer.stop()
        for event in events:
            self.reported.emit(event)


def end_job(job: Job, grace: float, longest: float) -> None:
    """End a job, `grace` seconds after it was asked to, and wait until it is gone, `longest` seconds at most."""
    deadline = time.monotonic() + longest
    job.stop(grace)
    while job.state == "running" and time.monotonic() < deadline:
        job.poll()
        time.sleep(0.02)
