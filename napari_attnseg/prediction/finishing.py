"""From a filled working store to the files that were asked for: objects tidied, coarser levels, TIFF or OME-Zarr."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.atomic import remove_temporary
from napari_attnseg.data.masks import values_of_new_mask
from napari_attnseg.data.ome_zarr import Layout, fill_levels
from napari_attnseg.data.pairs import PREDICTION
from napari_attnseg.data.pyramid_tiff import write_pyramid
from napari_attnseg.prediction.gaps import write_gaps
from napari_attnseg.prediction.in_place import put_in_place, remove_replaced
from napari_attnseg.prediction.kept import kinds_of
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.targets import remove_others, target_of
from napari_attnseg.prediction.tiling import Stopped
from napari_attnseg.prediction.working_store import WorkingStore, keeping

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
    path: Path,
    folder: Path,
    on_progress: Callable[[LargeProgress], None],
    should_stop: Callable[[], bool],
    on_notice: Callable[[str], None],
) -> list[Path]:
    """Write what is asked for of a working store whose rows are all there, and remove it.

    What there is of an earlier prediction of the image beside the files is removed. Where this was broken off before,
    it goes on with what is left to do.

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

    wanted = [kind for kind in store.layouts if kind in kinds_of(predictor.card, predictor.settings)]
    as_tiff, layout = predictor.settings.format == "tiff", store.layouts[PREDICTION]
    tidied = PREDICTION in store.kinds and _tidy(predictor, store, layout, lambda share: tell("objects", share))
    parts = tidied + len(wanted) * as_tiff

    def tell_file(number: int, share: float) -> None:
        tell("files", (number + share) / parts)

    if tidied:  # all other coarser levels have grown with the finest one
        with keeping(store.folder):
            for share in fill_levels(store.levels(PREDICTION), layout, mean=False):
                tell_file(0, share)
    tell("files", 0.0 if as_tiff else 1.0)
    remove_temporary(store.folder)
    for kind in store.kinds:
        store.note_gaps(kind)
    if as_tiff:
        written = []
        for number, kind in enumerate(wanted, start=tidied):
            written.append(target_of(path, kind, folder, as_tiff=True))
            _write_tiff(store, kind, written[-1], partial(tell_file, number))
        remove_others(path, folder, written, as_tiff=True, has_gaps=bool(store.progress.damages))
    else:
        written = put_in_place(store.folder, wanted, path, folder)
    remove_replaced(path, folder, on_notice)
    return written


def _write_tiff(store: WorkingStore, kind: str, target: Path, on_share: Callable[[float], None]) -> None:
    if kind == PREDICTION and store.progress.damages:
        write_gaps(target, store.progress.damages)
    note = store.note_of(kind)
    text = json.dumps(note) if note is not None else ""
    write_pyramid(target, store.levels(kind), store.layouts[kind], on_share, text, workplace=store.folder)


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
