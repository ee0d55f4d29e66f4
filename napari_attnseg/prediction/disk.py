"""Whether what is predicted will have room on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from napari_attnseg.data.ome_zarr import Layout
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError, SaveError
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.prediction.from_card import data_of, layouts_of
from napari_attnseg.prediction.targets import target_of
from napari_attnseg.prediction.working_store import keeping, store_folder
from napari_attnseg.settings import PredictionSettings

_SHARE_OF_LABELS = 0.15  # of their size that labels take once compressed; scattered small objects stay below
_LEVELS = 4 / 3  # all coarser levels together take a third of the finest
_AMPLE = 400  # times the images' files: even probability and attention of well compressed images take less


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
        given_back = size_of([replaced]) if replaced else 0
        return shutil.disk_usage(there).free + given_back


def shortage(
    card: ModelCard,
    settings: PredictionSettings,
    outputs: Mapping[Path, Path],
    should_stop: Callable[[], bool] = lambda: False,
) -> str:
    """Say if the predictions of many images will perhaps not fit on the disk together; '' if they will.

    How well they shrink is not known before, so that this is no reason to refuse them. What is there of earlier
    predictions of the same images is replaced, and counts as free; images whose prediction was begun are looked at when
    their turn comes, and so are those that cannot be read.

    Parameters
    ----------
    outputs
        Of each image, where its prediction goes; all are on one disk.
    should_stop
        Asked before each file is looked at.

    Raises
    ------
    SaveError
        The free space cannot be found out.
    """
    if not outputs:
        return ""
    out = next(iter(outputs.values())).parent
    free = free_disk(out)
    if free > _AMPLE * size_of(outputs):
        return ""
    axes = data_of(card, axes=settings.axes, channels=settings.channels).axes
    needed, replaced = 0.0, 0
    for image, path in outputs.items():
        if should_stop():
            return ""
        if store_folder(image, path.parent).exists():
            continue
        try:
            layouts = layouts_of(card, settings, read_info(image, axes))
        except DataError:
            continue
        needed += disk_needed(layouts)
        replaced += size_of(target_of(image, kind, path.parent, as_tiff=settings.format == "tiff") for kind in layouts)
    if needed <= free + replaced:
        return ""
    return (
        f"The predictions may need {gigabytes(needed)} in {out}, and {gigabytes(free + replaced)} are free there. If "
        "the disk gets full, what is written by then stays; --out names a folder on another disk."
    )


def size_of(paths: Iterable[Path]) -> int:
    """Return how many bytes files, and what is in folders, take; those that are not there take none."""
    size = 0
    for path in paths:
        files = path.rglob("*") if path.is_dir() else [path]
        size += sum(file.stat().st_size for file in files if file.is_file())
    return size


def gigabytes(size: float) -> str:
    """Write a number of bytes as '1.2 GB' or '35.0 MB'."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
