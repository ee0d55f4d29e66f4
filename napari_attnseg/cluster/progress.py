"""How far a cluster is with many images: those that are done, and the rows of large ones that are being predicted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from napari_attnseg.events import EventHandler
from napari_attnseg.events import Progress as ProgressEvent
from napari_attnseg.prediction.working_store import read_progress, store_folder

_SECONDS_BETWEEN_LOOKS = 3.0
_SHARE_OF_ROWS = 0.93  # of the work on a large image; then it is written
_STORE = ".partial.zarr"


class ClusterProgress:
    """Tells of the progress of the whole.

    What a worker has finished of a large image lies beside the output, where this computer sees it too.

    Parameters
    ----------
    outputs
        Where the prediction of each image goes, as in `predicting.predict_images`.
    done
        How many images were done before, which count.
    on_event
        What is told.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        outputs: Mapping[Path, Path],
        done: int,
        on_event: EventHandler,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._growing = {str(store_folder(image, out.parent)): image for image, out in outputs.items()}
        self._folders = sorted({out.parent for out in outputs.values()})
        self._before, self._done, self._count = done, done, done + len(outputs)
        self._on_event, self._clock = on_event, clock
        self._began = self._looked = clock()
        self._share = 0.0
        self._left_before = self._rows()  # by a command that was broken off; some may be of no use

    def one_more(self, image: Path) -> None:
        """Tell of an image that is done, well or badly."""
        self._done += 1
        for store in [store for store, one in self._growing.items() if one == image]:
            del self._growing[store]  # where it failed, rows of it may stay
        self._tell(self._done, image.name)

    def look(self) -> None:
        """Tell of large images that have grown, if it is some seconds since the last time."""
        if self._clock() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = self._clock()
        grown = {store: rows for store, rows in self._rows().items() if rows != self._left_before.get(store)}
        done = self._done + sum(_SHARE_OF_ROWS * rows_done / rows for rows_done, rows in grown.values())
        if grown and done / self._count > self._share:
            farthest = max(grown, key=lambda store: grown[store][0] / grown[store][1])
            self._tell(done, "{}: row {} of {}".format(self._growing[farthest].name, *grown[farthest]))

    def _rows(self) -> dict[str, tuple[int, int]]:
        """Return how many rows of tiles of large images are finished, and how many there are, by their folders."""
        found = {}
        for folder in self._folders:
            for name in _names_in(folder):
                store = str(folder / name) if name.endswith(_STORE) else ""
                if store in self._growing and (progress := read_progress(Path(store))) and progress.rows:
                    found[store] = (progress.rows_done, progress.rows)
        return found

    def _tell(self, done: float, what: str) -> None:
        self._share = max(self._share, min(done / self._count, 1.0))
        newly = self._share * self._count - self._before
        left = (self._clock() - self._began) * (self._count - self._before - newly) / newly if newly > 0 else None
        self._on_event(ProgressEvent(self._share, f"{self._done} of {self._count}, {what}", seconds_left=left))


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # a network drive that does not answer for a moment
        return []
