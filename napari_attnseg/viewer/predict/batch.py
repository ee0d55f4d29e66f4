"""Predicting many images: the command line's own `predict` as a job that goes on while one annotates."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.places import user_data_folder
from napari_attnseg.annotation.predictions.large_files import predictions_folder
from napari_attnseg.data.atomic import write_text
from napari_attnseg.events import Cancelled, Event, Failed, Finished, Notice, Progress
from napari_attnseg.jobs import Job, start
from napari_attnseg.viewer.session.followed_job import FollowedJob
from napari_attnseg.viewer.widgets.threshold_controls import OverlayOptions

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

STOP_GRACE = 10.0  # seconds for the image that is being predicted
GRACE_AT_CLOSE, LONGEST_END = 1.0, 3.0  # seconds to stop by itself, and to be gone, while the window closes


class Batch(QObject):
    """Predicts images of a folder into files, one batch at a time."""

    progressed = Signal(float, object, str)
    """Share that is done, seconds left or None, and where it is in words."""
    noticed = Signal(str)
    ended = Signal(str, str)
    """'finished', 'cancelled' or 'failed', and a sentence."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._active = False
        self._cancelled = self._closed = False
        self._job = FollowedJob(session, self)
        self._job.begun.connect(self._on_begun)
        self._job.reported.connect(self._on_event)
        session.closing.connect(self.close)

    @property
    def is_active(self) -> bool:
        """Whether a batch is under way."""
        return self._active

    def start(self, model: Path, images: Sequence[Path], root: Path, options: Sequence[str] = ()) -> None:
        """Predict images of the folder `root` into its sub-folder for predictions.

        Parameters
        ----------
        options
            Of the command line, such as '--threshold', '0.4'.
        """
        if self._active:
            self.noticed.emit("A prediction of many images is running already; cancel it first.")
            return
        self._active, self._cancelled = True, False
        out = predictions_folder(root)
        if not out.is_relative_to(root):
            self.noticed.emit(f"{root} cannot be written to, so the predictions go to {out}.")
        self.progressed.emit(0.0, None, "starting…")

        def begin() -> Job:
            folder = user_data_folder() / "batches" / f"{datetime.now():%Y%m%d-%H%M%S-%f}"
            folder.mkdir(parents=True)
            listed = folder / "images.txt"
            write_text(listed, "".join(f"{image}\n" for image in images))
            command = [sys.executable, "-m", "napari_attnseg", "predict", str(model), "--list", str(listed)]
            command += ["--base", str(root), "--out", str(out), "--job", str(folder), *options]
            job = start(command, folder=folder)
            if self._closed:  # meanwhile
                job.stop(0.0)
            return job

        self._job.follow(begin)

    def cancel(self) -> None:
        """Stop after the tile that is being predicted; what is written stays."""
        self._cancelled = True  # in case that it is being started
        self._job.tell(lambda job: job.stop(STOP_GRACE))

    def close(self) -> None:
        """End the batch with the window, for no other one could cancel it; what is written stays."""
        self._closed = True
        if self._active:
            self._job.end(GRACE_AT_CLOSE, LONGEST_END)

    def _on_begun(self) -> None:
        if self._cancelled:
            self.cancel()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.progressed.emit(event.done, event.seconds_left, event.message)
        elif isinstance(event, Notice):
            self.noticed.emit(event.message)
        elif isinstance(event, Finished | Cancelled | Failed):
            self._active = False
            self.ended.emit(event.kind, event.message)


def words_of(options: OverlayOptions, axes: str | None) -> list[str]:
    """Return what a batch is told on the command line of how predictions are made."""
    chosen = ["--threshold", f"{options.threshold:g}", "--min-size", str(options.min_size)]
    return chosen + ["--fill-holes"] * options.fill_holes + (["--axes", axes] if axes else [])
