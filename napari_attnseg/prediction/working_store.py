"""What is predicted of a large image so far: a hidden Zarr folder beside the target, and how far it is filled.

The folder holds a multiscale OME-Zarr image for each thing that is written, so that it can be looked at while it grows,
and `progress.json`, which says what it belongs to and how many rows of tiles are finished. Chunks are replaced at once,
and a row counts only when all of it is written, in all levels; so a process may be killed at any time and the next one
goes on.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.atomic import write_json
from napari_attnseg.data.ome_zarr import NOTE, Layout, fill_rows, make_levels, open_levels
from napari_attnseg.data.pairs import PREDICTION, stem_of
from napari_attnseg.data.regions import Damage
from napari_attnseg.errors import SaveError
from napari_attnseg.prediction.plane_input import Ranges

PROGRESS = "progress.json"
_FORMAT = 3
_SHARE_OF_LABELS = 0.15  # of their size that labels take once compressed; scattered small objects stay below
_LEVELS = 4 / 3  # all coarser levels together take a third of the finest

Array = np.ndarray[Any, Any]


@dataclass
class Progress:
    """How far a prediction is."""

    key: str
    """Tells model, settings and image from any others."""
    tile_size: int
    overlap: int
    rows: int
    """Rows of tiles of all planes."""
    rows_done: int = 0
    lines_done: int = 0
    """Rows of pixels that are finished, of the plane that the last finished row of tiles is of."""
    ranges: Ranges | None = None
    damages: list[Damage] = field(default_factory=list)


class WorkingStore:
    """The folder of one image's prediction.

    Attributes
    ----------
    folder
        The hidden folder.
    progress
        How far it is filled; `save` makes changes last.
    """

    def __init__(self, folder: Path, layouts: Mapping[str, Layout], progress: Progress) -> None:
        self.folder = folder
        self.progress = progress
        self._layouts = layouts
        self._levels = {kind: open_levels(folder / kind, writable=True) for kind in layouts}

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
            store = cls(folder, layouts, progress)
        store.save()
        return store

    @classmethod
    def found(cls, folder: Path, layouts: Mapping[str, Layout], key: str) -> WorkingStore | None:
        """Return what is there already, if it belongs to the same model, settings and image."""
        progress = read_progress(folder)
        if progress is None or progress.key != key:
            return None
        try:
            return cls(folder, layouts, progress)
        except (OSError, KeyError, ValueError):
            return None

    def put(self, kind: str, plane: int, channel: int, rows: slice, columns: slice, values: Array | np.uint8) -> None:
        """Write a part of a plane: (y, x), or one value for all of it.

        Raises
        ------
        SaveError
            The disk is full.
        """
        with keeping(self.folder):
            self._levels[kind][0][(*self._layouts[kind].place(plane, channel), rows, columns)] = values

    def finish_rows(self, plane: int, rows: slice) -> None:
        """Fill the coarser levels of everything where some rows of a plane are final now.

        Raises
        ------
        SaveError
            The disk is full.
        """
        with keeping(self.folder):
            for kind, layout in self._layouts.items():
                fill_rows(self._levels[kind], layout, plane, rows, mean=kind != PREDICTION)

    def levels(self, kind: str) -> list[Any]:
        """Return the levels of what is written, finest first."""
        return self._levels[kind]

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
        ranges = values.pop("ranges")
        known = None if ranges is None else tuple((float(low), float(high)) for low, high in ranges)
        return Progress(**values, ranges=known, damages=damages)
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


def disk_needed(layouts: Mapping[str, Layout]) -> float:
    """Return about how many bytes all levels of what is written will take on the disk."""
    size = 0.0
    for layout in layouts.values():
        kind = np.dtype(layout.dtype)
        share = 1.0 if kind.kind == "f" else _SHARE_OF_LABELS
        levels = _LEVELS if len(layout.level_shapes) > 1 else 1
        size += float(np.prod(layout.shape, dtype=np.float64)) * kind.itemsize * share * levels
    return size


def require_disk(
    folder: Path, layouts: Mapping[str, Layout], *, share_left: float, as_tiff: bool, replaced: Path | None = None
) -> None:
    """Refuse to begin what will not fit on the disk.

    Parameters
    ----------
    share_left
        The share of the image that is not predicted yet.
    as_tiff
        Whether a TIFF is written from the working store at the end, so that both are there for a while.
    replaced
        A folder that will be removed first.

    Raises
    ------
    SaveError
        The free space is less than what will probably be needed, or the folder is not there.
    """
    needed = disk_needed(layouts) * (share_left + as_tiff)
    free = free_disk(folder, replaced)
    if needed > free:
        raise SaveError(
            f"The prediction needs about {gigabytes(needed)} in {folder}, and {gigabytes(free)} are free there; make "
            "room, choose a folder on another disk with --out, or write less than probability and attention."
        )


def free_disk(folder: Path, replaced: Path | None = None) -> int:
    """Return how many bytes are free where a folder is, or will be, once `replaced` is removed from there.

    Raises
    ------
    SaveError
        That cannot be found out.
    """
    there = next((place for place in (folder, *folder.parents) if place.is_dir()), folder)
    with keeping(folder):
        given_back = sum(file.stat().st_size for file in replaced.rglob("*") if file.is_file()) if replaced else 0
        return shutil.disk_usage(there).free + given_back


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


def gigabytes(size: float) -> str:
    """Write a number of bytes as '1.2 GB' or '35.0 MB'."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
