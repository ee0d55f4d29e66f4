"""Predicting an image that is too large for memory: the command's own `predict` as a job, file to file, tile by tile.

One image at a time. It goes on while other images are looked at, can be cancelled, and goes on where it was; it ends
with the window, for what is finished is kept.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.elsewhere import place_for
from napari_attnseg.annotation.predictions.large_files import Found, LargeWork
from napari_attnseg.errors import RunFolderError, SaveError
from napari_attnseg.events import Cancelled, Event, Failed, Finished, Notice, Progress
from napari_attnseg.jobs import Job, attach, start
from napari_attnseg.viewer.predict.large.prediction import LargePrediction
from napari_attnseg.viewer.session.followed_job import FollowedJob, end_job

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

STOP_GRACE = 1.0  # seconds to finish a batch of tiles; whoever is killed then loses no finished row
LONGEST_END = 3.0  # seconds that closing waits for the process to be gone
LONGEST_STOP = 20.0  # seconds that the process of an earlier window may take to end
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Growth:
    """How far the prediction of a large image is."""

    image: Path
    share: float
    text: str
    """'row 3 of 18', or what else is being done."""
    seconds_left: float | None


class LargePredicting(QObject):
    """Predicts one large image at a time into files, and opens what is there of it."""

    begun = Signal(object, object)
    """A LargeWork is going to be done, and the Found that it goes on from."""
    progressed = Signal(object)
    """Growth."""
    grown = Signal(object)
    """A LargePrediction has (more) rows."""
    noticed = Signal(str)
    ended = Signal(object, str, str)
    """The LargeWork; 'finished', 'cancelled', 'failed' or 'there'; and a sentence, '' if all is as it should be."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.work: LargeWork | None = None
        """What is being done; None while nothing is."""
        self.prediction: LargePrediction | None = None
        """What is there of it; None until the first row is begun."""
        self.growth: Growth | None = None
        self._cancelled = self._closed = False
        self._looking = self._look_again = False
        self._rows = -1
        self._job = FollowedJob(session, self)
        self._job.begun.connect(self._on_begun)
        self._job.reported.connect(self._on_event)
        session.closing.connect(self.close)

    @property
    def is_active(self) -> bool:
        """Whether an image is being predicted."""
        return self.work is not None

    @property
    def log(self) -> Path | None:
        """What the process of the last prediction printed."""
        return self._job.job.log if self._job.job is not None else None

    def is_on(self, image: Path) -> bool:
        """Whether this image is being predicted."""
        return self.work is not None and self.work.image == image

    def start(self, work: LargeWork) -> None:
        """Predict an image, from the first missing row of tiles on; `ended` tells how that went."""
        if self.work is not None:
            self.noticed.emit(
                f"{self.work.image.name} is being predicted, and one large image is predicted at a time; cancel it, or "
                "wait until it is done."
            )
            return
        self.work, self.prediction, self.growth = work, None, None
        self._cancelled, self._rows = False, -1
        self.progressed.emit(Growth(work.image, 0.0, "starting…", None))
        failed = partial(self._end, "failed")
        self._session.background.run(lambda: _prepared(work), self._on_prepared, failed)

    def cancel(self) -> None:
        """Stop after the tiles that are being predicted; rows that are finished stay."""
        if self.work is not None:
            self._cancelled = True  # in case that it is being started
            self._job.tell(lambda job: job.stop(STOP_GRACE))

    def close(self) -> None:
        """End the process; what is finished stays for the next time."""
        self._closed = True
        if self.work is not None:
            self._job.end(0.0, LONGEST_END)

    def _on_prepared(self, prepared: tuple[LargeWork, Found]) -> None:
        work, found = prepared
        if self._cancelled or found.state == "done":
            self._end("cancelled" if self._cancelled else "there")
            return
        self.work = work
        self.begun.emit(work, found)
        self._job.follow(lambda: self._begin(work, found))

    def _begin(self, work: LargeWork, found: Found) -> Job:
        """Start the job, or follow the one that an earlier window has left behind at the same; runs in a thread."""
        folder = place_for("large", work.image)
        command = work.command(folder)
        job = _left_in(folder)
        if job is not None and (found.state != "begun" or job.command[1:] != command[1:]):
            _require_left_behind(job, work)
            self._session.background.call_here(
                lambda: self.noticed.emit(
                    f"{work.image.name} was still being predicted as an earlier window had asked for it; that is "
                    "stopped, and gives way to what is asked for now."
                )
            )
            end_job(job, STOP_GRACE, LONGEST_STOP)
            job = None
        job = job or start(command, folder=folder)
        if self._closed or self._cancelled:  # meanwhile
            job.stop(0.0)
        return job

    def _on_begun(self) -> None:
        if self._cancelled:
            self.cancel()

    def _on_event(self, event: Event) -> None:
        work = self.work
        if work is None:
            return
        if isinstance(event, Progress):
            rows = event.details.get("tile_rows_done", -1)
            left = event.seconds_left if rows > 0 else None  # from the little that was done before, hours are foretold
            self.growth = Growth(work.image, event.done, event.message.rpartition(", ")[2], left)
            self.progressed.emit(self.growth)
            if rows != self._rows:
                self._rows = rows
                self._look()
        elif isinstance(event, Notice):
            self.noticed.emit(event.message)
        elif isinstance(event, Finished):
            failed, gaps = (event.results.get(name) or [] for name in ("failed", "gaps"))
            self._end("failed" if failed else "finished", next(iter([*failed, *gaps]), ""))
        elif isinstance(event, Cancelled):
            self._end("cancelled")
        elif isinstance(event, Failed):
            self._end("failed", event.message)

    def _look(self) -> None:
        """Open what has grown, or look how far it is, in a thread; not twice at once."""
        work, known = self.work, self.prediction
        if work is None or self._looking:
            self._look_again = self._looking
            return
        self._looking, self._look_again = True, False

        def look() -> LargePrediction:
            if known is None:
                return LargePrediction(work, growing=True)
            known.update()
            return known

        self._session.background.run(look, lambda found: self._looked(work, found), self._not_looked)

    def _looked(self, work: LargeWork, found: LargePrediction) -> None:
        self._looking = False
        if self.work is work:
            self.prediction = found
            self.grown.emit(found)
        if self._look_again:
            self._look()

    def _not_looked(self, error: Exception) -> None:
        self._looking = False
        _log.debug("the prediction cannot be looked at yet: %s", error)

    def _end(self, state: str, reason: Exception | str = "") -> None:
        work, self.work = self.work, None
        self.prediction = self.growth = None
        if work is not None:
            self.ended.emit(work, state, str(reason))


def _left_in(folder: Path) -> Job | None:
    """Return the job that runs in a folder."""
    try:
        job = attach(folder)
    except RunFolderError:
        return None
    return job if job.pid is not None else None


def _require_left_behind(job: Job, work: LargeWork) -> None:
    """Refuse to end what another window is waiting for.

    Raises
    ------
    RunFolderError
        The viewer that has begun the job still runs.
    """
    if job.starter_runs:
        raise RunFolderError(
            f"{work.image.name} is being predicted in another window (process {job.pid}); cancel that, or wait until "
            "it is done, then press Predict again."
        )


def _prepared(work: LargeWork) -> tuple[LargeWork, Found]:
    """See what is there, and make the folder; raises `AttnSegError` if it cannot be begun."""
    found = work.found()
    if found.state == "done" and found.origin is not None:
        if not work.has_other_objects(found.origin):
            return work, found
        found = Found("none", other=found.origin)
    if work.begins_anew(found):
        found = Found("none", other=found.origin)
    work = work.going_on_from(found)
    work = work.fitted_to_disk(found)
    try:
        work.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"The folder {work.folder} cannot be made ({error.strerror}).") from error
    return work, found
