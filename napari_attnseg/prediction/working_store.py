"""What is predicted of a large image so far: a hidden Zarr folder beside the target, and how far it is filled.

The folder holds a multiscale OME-Zarr image for each thing that is written, so that it can be looked at while it grows,
and `progress.json`, which says what it belongs to and how many rows of tiles are finished. Chunks are replaced at once,
and a row counts only when all of it is written in the finest level; so a process may be killed at any time and the next
one goes on. Coarser levels of real numbers may lack the last rows until those after them are written.
"""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.atomic import write_json
from napari_attnseg.data.ome_zarr import NOTE, Layout, fill_rows, from_whole_chunks, make_levels, open_levels
from napari_attnseg.data.pairs import ATTENTION, PREDICTION, PROBABILITY, stem_of
from napari_attnseg.data.regions import Damage
from napari_attnseg.errors import SaveError
from napari_attnseg.prediction.plane_input import Ranges

KINDS = (PREDICTION, PROBABILITY, ATTENTION)
"""What can be written of an image, by the suffixes of the names."""
PROGRESS = "progress.json"
_FORMAT = 3
_SECONDS_BETWEEN_FILLS = 5.0

Array = np.ndarray[Any, Any]


@dataclass
class Progress:
    """How far a prediction is."""

    key: str
    """Tells model, settings and image from any others; not which parts are written."""
    tile_size: int
    overlap: int
    rows: int
    """Rows of tiles of all planes."""
    rows_done: int = 0
    lines_done: int = 0
    """Rows of pixels that are finished, of the plane that the last finished row of tiles is of."""
    ranges: Ranges | None = None
    damages: list[Damage] = field(default_factory=list)
    kinds: tuple[str, ...] = ()
    """The parts that are written, by the suffixes of their names."""

    @property
    def is_done(self) -> bool:
        """Whether all rows of tiles are finished, and the files are to be written yet."""
        return self.rows_done == self.rows


class WorkingStore:
    """The folder of one image's prediction.

    Attributes
    ----------
    folder
        The hidden folder.
    progress
        How far it is filled; `save` makes changes last.
    layouts
        Those of the parts that are written.
    kinds
        The parts that are in it: all, until they are moved to where they stay.
    """

    def __init__(self, folder: Path, layouts: Mapping[str, Layout], progress: Progress) -> None:
        self.folder = folder
        self.progress = progress
        self.layouts = dict(layouts)
        self.kinds = [kind for kind in layouts if (folder / kind).is_dir()]
        self._levels = {kind: open_levels(folder / kind, writable=True) for kind in self.kinds}
        self._filled_at = time.monotonic()

    @classmethod
    def begun(
        cls, folder: Path, layouts: Mapping[str, Layout], progress: Progress, note: dict[str, Any] | None = None
    ) -> WorkingStore:
        """Make the folder, in the place of any that is there, with a note on what it is made of.

        Raises
        ------
        SaveError
            It cannot be written.
        """
        with keeping(folder):
            remove(folder)
            folder.mkdir()
            for kind, layout in layouts.items():
                make_levels(folder / kind, layout, note)
            progress.kinds = tuple(layouts)
            store = cls(folder, layouts, progress)
        store.save()
        return store

    @classmethod
    def found(
        cls,
        folder: Path,
        layouts: Mapping[str, Layout],
        key: str,
        is_in_place: Callable[[str], bool] = lambda kind: False,
    ) -> WorkingStore | None:
        """Return what is there already, if it belongs to the same model, settings and image.

        Parameters
        ----------
        is_in_place
            Whether a part has been moved to where it stays, so that it need not be in the folder.
        """
        progress = read_progress(folder)
        if progress is None or progress.key != key:
            return None
        try:
            store = cls(folder, layouts, progress)
        except (OSError, KeyError, ValueError):
            return None
        moved = [kind for kind in layouts if kind not in store.kinds]
        return store if not moved or (progress.is_done and all(map(is_in_place, moved))) else None

    def put(self, kind: str, plane: int, channel: int, rows: slice, columns: slice, values: Array | np.uint8) -> None:
        """Write a part of a plane: (y, x), or one value for all of it.

        Raises
        ------
        SaveError
            The disk is full.
        """
        with keeping(self.folder):
            self._levels[kind][0][(*self.layouts[kind].place(plane, channel), rows, columns)] = values

    def finish_rows(self, plane: int, rows: slice) -> None:
        """Fill the coarser levels of everything where some rows of a plane are final now.

        Those of real numbers, which take long, are filled up to where their chunks are whole, and to the last row only
        now and then: what is left is filled with the rows after them.

        Raises
        ------
        SaveError
            The disk is full.
        """
        is_due = time.monotonic() - self._filled_at >= _SECONDS_BETWEEN_FILLS
        with keeping(self.folder):
            for kind, layout in self.layouts.items():
                mean = kind != PREDICTION
                ready = from_whole_chunks(rows, layout.info.height, to_the_end=is_due) if mean else rows
                if ready.start < ready.stop:
                    fill_rows(self._levels[kind], layout, plane, ready, mean=mean)
        if is_due:
            self._filled_at = time.monotonic()

    def levels(self, kind: str) -> list[Any]:
        """Return the levels of what is written, finest first."""
        return self._levels[kind]

    def note_of(self, kind: str) -> dict[str, Any] | None:
        """Return the note on what a part is made of; None if there is none."""
        import zarr  # slow to import, and needed for large images only

        with keeping(self.folder):
            found: Any = zarr.open_group(self.folder / kind, mode="r").attrs.get(NOTE)
        note: dict[str, Any] | None = found
        return note

    def note_gaps(self, kind: str) -> None:
        """Write the parts that are gaps into the note on what it is made of, if there are any.

        Raises
        ------
        SaveError
            The disk is full.
        """
        import zarr  # slow to import, and needed for large images only

        if self.progress.damages:
            with keeping(self.folder):
                attributes = zarr.open_group(self.folder / kind, mode="r+").attrs
                note: Any = attributes.get(NOTE)
                if note is not None:
                    attributes[NOTE] = {**note, "gaps": [asdict(damage) for damage in self.progress.damages]}

    def save(self) -> None:
        """Note how far it is.

        Raises
        ------
        SaveError
            The disk is full.
        """
        write_json(self.folder / PROGRESS, {"format": _FORMAT, **asdict(self.progress)})


def store_folder(image: Path, folder: Path) -> Path:
    """Return where the prediction of an image is kept while it grows: `folder/.NAME_PRED.partial.zarr`."""
    return folder / f".{stem_of(image)}{PREDICTION}.partial.zarr"


def read_progress(folder: Path) -> Progress | None:
    """Return how far the prediction in a working store is; None if there is no readable one."""
    try:
        values = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        if values.pop("format") != _FORMAT:
            return None
        damages = [Damage(**damage) for damage in values.pop("damages")]
        kinds = values.pop("kinds", None) or [kind for kind in KINDS if (folder / kind).is_dir()]
        ranges = values.pop("ranges")
        known = None if ranges is None else tuple((float(low), float(high)) for low, high in ranges)
        return Progress(**values, ranges=known, damages=damages, kinds=tuple(kinds))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remove(folder: Path) -> None:
    """Remove a folder if it is there.

    Raises
    ------
    OSError
        It cannot be removed.
    """
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Turn the errors of writing into one sentence that says what is kept.

    Raises
    ------
    SaveError
        The disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = "the disk is full" if full else (error.strerror or str(error) or type(error).__name__)
        raise SaveError(
            f"The prediction cannot be kept in {folder}: {reason[0].lower() + reason[1:]}. What is finished stays "
            "there; make room, then predict the same image again, and it goes on from there."
        ) from error
