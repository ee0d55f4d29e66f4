"""From a filled working store to the files that were asked for: objects tidied, coarser levels, TIFF or OME-Zarr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.masks import values_of_new_mask
from napari_attnseg.data.ome_zarr import Layout, fill_levels
from napari_attnseg.data.pairs import PREDICTION
from napari_attnseg.data.pyramid_tiff import write_pyramid
from napari_attnseg.prediction.gaps import write_gaps
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.targets import remove_others, target_of
from napari_attnseg.prediction.tiling import Stopped
from napari_attnseg.prediction.working_store import WorkingStore, keeping, remove

_SHARES = {"intensities": (0.0, 0.03), "rows": (0.03, 0.93), "objects": (0.93, 0.95), "files": (0.95, 1.0)}


@dataclass(frozen=True)
class LargeProgress:
    """How far the prediction of a large image is."""

    image: Path
    partial: Path
    """The working store, which can be looked at while it grows; gone when all is written."""
    stage: str
    """'intensities', 'rows', 'objects' or 'files'."""
    share_of_stage: float
    rows_done: int
    """Rows of tiles, of all planes."""
    rows: int

    @property
    def share(self) -> float:
        """Of the whole work, 0 to 1."""
        begin, end = _SHARES[self.stage]
        return begin + (end - begin) * self.share_of_stage

    @property
    def text(self) -> str:
        """What is being done, in a few words."""
        if self.stage == "rows":
            return f"row {self.rows_done} of {self.rows}"
        return {"intensities": "reading intensities", "objects": "tidying objects", "files": "writing"}[self.stage]

    def details(self) -> dict[str, Any]:
        """Return what an event says of it."""
        return {"tile_rows_done": self.rows_done, "tile_rows": self.rows, "partial": str(self.partial)}


def finish(
    predictor: Predictor,
    store: WorkingStore,
    layouts: Mapping[str, Layout],
    path: Path,
    folder: Path,
    on_progress: Callable[[LargeProgress], None],
    should_stop: Callable[[], bool],
) -> list[Path]:
    """Write what is in a working store whose rows are all there, and remove it.

    What there is of an earlier prediction of the image beside the files is removed.

    Raises
    ------
    SaveError
        The disk is full; the store is still there, and so are older files.
    Stopped
        `should_stop` returned True.
    """

    def tell(stage: str, share: float) -> None:
        if should_stop():
            raise Stopped
        rows = store.progress.rows
        on_progress(LargeProgress(path, store.folder, stage, share, rows, rows))

    tidied = _tidy(predictor, store, layouts[PREDICTION], lambda share: tell("objects", share))
    as_tiff = predictor.settings.format == "tiff"
    parts = tidied + len(layouts) * as_tiff
    written = []

    def tell_file(number: int, share: float) -> None:
        tell("files", (number + share) / parts)

    if tidied:  # all other coarser levels have grown with the finest one
        with keeping(store.folder):
            for share in fill_levels(store.levels(PREDICTION), layouts[PREDICTION], mean=False):
                tell_file(0, share)
    tell("files", 0.0 if as_tiff else 1.0)
    for number, (kind, layout) in enumerate(layouts.items(), start=tidied):
        store.note_gaps(kind)
        target = target_of(path, kind, folder, as_tiff=as_tiff)
        if as_tiff:
            if kind == PREDICTION and store.progress.damages:
                write_gaps(target, store.progress.damages)
            write_pyramid(target, store.levels(kind), layout, partial(tell_file, number))
        else:
            with keeping(store.folder):
                _put_in_place(store.folder / kind, target)
        written.append(target)
    remove_others(path, folder, written, as_tiff=as_tiff, has_gaps=bool(store.progress.damages))
    with keeping(store.folder):
        remove(store.folder)
    return written


def _tidy(predictor: Predictor, store: WorkingStore, layout: Layout, on_share: Callable[[float], None]) -> bool:
    """Drop small objects and fill holes, plane by plane, if that is asked for; gaps stay gaps."""
    settings = predictor.settings
    if settings.min_size <= 1 and not settings.fill_holes:
        return False
    from napari_attnseg.prediction.tidy_strips import Mask, tidy_strips  # half a second of imports

    values = [int(value) for value in values_of_new_mask(predictor.convention)[1:]]
    planes = layout.info.n_planes
    for plane in range(planes):

        def on_strip(plane: int = plane) -> None:
            on_share(plane / planes)

        mask = Mask(store.levels(PREDICTION)[0], layout.place(plane))
        with keeping(store.folder):
            tidy_strips(mask, values, min_size=settings.min_size, fill_holes=settings.fill_holes, on_strip=on_strip)
    for gap in store.progress.damages:
        store.put(PREDICTION, gap.plane, 0, gap.rows, gap.columns, np.uint8(0))
    return True


def _put_in_place(made: Path, target: Path) -> None:
    """Let a folder take the place of another one, which is there until then."""
    old = target.with_name(f".{target.name}.old")
    remove(old)
    if target.exists():
        target.rename(old)
    made.rename(target)
    remove(old)
