"""An image predicted from file to file, tile by tile, in memory that does not grow with it.

One thread reads the next tiles while the network computes, another blends and writes those that came before. What is
finished is kept in a working store, so that a prediction that was broken off goes on at the first missing row of tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from napari_attnseg.data.lazy import opened_pixels
from napari_attnseg.data.loading import require_channels
from napari_attnseg.data.ome_zarr import Layout
from napari_attnseg.data.pairs import PREDICTION, stem_of
from napari_attnseg.data.tiff import ImageInfo
from napari_attnseg.errors import DataError, GapsError, SaveError, SettingsError
from napari_attnseg.models.device import choose_compute
from napari_attnseg.prediction.claim import claimed
from napari_attnseg.prediction.disk import require_disk
from napari_attnseg.prediction.finishing import LargeProgress, finish
from napari_attnseg.prediction.from_card import layouts_of
from napari_attnseg.prediction.grid import axes_of
from napari_attnseg.prediction.origin import Origin, state_of
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.tile_input import TileInput
from napari_attnseg.prediction.tile_rows import TileRows, TileTooLarge
from napari_attnseg.prediction.tuning import found_tiling
from napari_attnseg.prediction.working_store import (
    Progress,
    WorkingStore,
    read_progress,
    remove,
    store_folder,
)

_NOT_IN_KEY = {"device", "batch_size", "tile_by_tile", "format"}


class _ImageChanged(DataError):
    """What is predicted so far is of an image that is not there any more."""


def predict_streamed(
    predictor: Predictor,
    path: Path,
    folder: Path,
    on_progress: Callable[[LargeProgress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Path]:
    """Predict an image and write NAME_PRED and, where asked for, NAME_PROB and NAME_ATTN to a folder.

    Parameters
    ----------
    on_progress
        Called after each row of tiles, and while the rest is done, from this thread.
    should_stop
        Asked between batches of tiles; what is finished stays, and the next call goes on from there.

    Returns
    -------
    list
        What was written.

    Raises
    ------
    DataError
        The image does not fit the model, or was changed while it was read; or the memory is not enough any more for
        tiles of which some rows are finished, and these stay.
    GapsError
        It has parts that cannot be decoded; the rest was predicted and written, and the parts are 0 in the mask and
        NaN in the probability.
    SaveError
        The disk is too small or full, or another process predicts the same image into the same folder.
    Stopped
        `should_stop` returned True.
    """
    with _claimed(path, folder):
        fresh = False
        while True:
            try:
                store, layouts = _predict_rows(predictor, path, folder, fresh, on_progress, should_stop)
            except TileTooLarge:
                fresh = True
                continue
            written = finish(predictor, store, layouts, path, folder, on_progress, should_stop)
            _report(path, store.progress)
            return written


def has_begun(predictor: Predictor, path: Path, folder: Path) -> bool:
    """Whether a prediction of this image with this model and these settings was broken off and can go on.

    Raises
    ------
    DataError, ModelFileError
        The image or the model cannot be read any more.
    """
    progress = read_progress(store_folder(path, folder))
    return progress is not None and progress.key == _key(predictor, Origin.of(predictor.path, path, predictor.settings))


def discard_begun(path: Path, folder: Path) -> None:
    """Remove what is left of a prediction that was broken off, unless another process goes on with it."""
    if store_folder(path, folder).exists():
        with suppress(SaveError, OSError), _claimed(path, folder):
            remove(store_folder(path, folder))


def _claimed(path: Path, folder: Path) -> AbstractContextManager[None]:
    lock = folder / f".{stem_of(path)}{PREDICTION}.lock"
    return claimed(lock, f"{path.name} is being predicted into {folder}")


def _predict_rows(
    predictor: Predictor,
    path: Path,
    folder: Path,
    fresh: bool,
    on_progress: Callable[[LargeProgress], None],
    should_stop: Callable[[], bool],
) -> tuple[WorkingStore, dict[str, Layout]]:
    """Fill the working store, from the first missing row of tiles on."""
    origin = Origin.of(predictor.path, path, predictor.settings)
    with opened_pixels(path, predictor.data.axes) as (info, pixels):
        require_channels(info, predictor.data, predictor.card.model.in_channels)
        layouts = layouts_of(predictor.card, predictor.settings, info)
        store = _store(predictor, info, layouts, folder, origin, fresh)
        source = TileInput(info, pixels, predictor.data)
        source.damages |= {(one.plane, one.top, one.left): one for one in store.progress.damages}

        progress = store.progress

        def tell(stage: str, share: float, rows_done: int = 0) -> None:
            _require_unchanged(path, origin.state)
            on_progress(LargeProgress(path, store.folder, stage, share, rows_done, progress.rows))

        def on_row(rows_done: int) -> None:
            tell("rows", rows_done / progress.rows, rows_done)

        try:
            if progress.ranges is None:
                progress.ranges = source.find_ranges(lambda share: tell("intensities", share), should_stop)
                store.save()
            on_row(progress.rows_done)
            rows = TileRows(predictor, source, store, layouts, on_row, should_stop)
            first, done = divmod(progress.rows_done, progress.rows // info.n_planes)
            if first < info.n_planes:
                rows.predict(first, done)
        except _ImageChanged:
            remove(store.folder)
            raise
        except TileTooLarge:
            _require_nothing_done(predictor, path, progress)
            raise
        return store, layouts


def _require_nothing_done(predictor: Predictor, path: Path, progress: Progress) -> None:
    """Keep rows that are finished from being begun anew with smaller tiles, because memory is short for the moment.

    Raises
    ------
    DataError
        There are some.
    """
    if not progress.rows_done:
        return
    elsewhere = " or with --device cpu," if goes_on_on_cpu(predictor) else ""
    raise DataError(
        f"The {predictor.compute.owner}'s memory is not enough at the moment to go on with {path.name} in tiles of "
        f"{progress.tile_size} pixels; {progress.rows_done} of {progress.rows} rows of tiles are finished, and stay. "
        f"Predict it again when other programs have given memory back,{elsewhere} and it goes on from there; "
        f"--tile-size {predictor.tiling.tile_size} begins anew with smaller tiles."
    )


def goes_on_on_cpu(predictor: Predictor) -> bool:
    """Whether a CPU would go on with what a GPU has begun: it has to compute with the same type of numbers."""
    if predictor.compute.device.type == "cpu":
        return False
    try:
        return choose_compute("cpu", predictor.settings.precision).dtype == predictor.compute.dtype
    except SettingsError:  # float16, which CPUs do not compute with
        return False


def _store(
    predictor: Predictor, info: ImageInfo, layouts: dict[str, Layout], folder: Path, origin: Origin, fresh: bool
) -> WorkingStore:
    """Return the working store that is there, or a new one where there is none that belongs to this."""
    settings, tiling = predictor.settings, predictor.tiling
    place, key = store_folder(info.path, folder), _key(predictor, origin)
    found = None if fresh else WorkingStore.found(place, layouts, key)
    if not fresh:
        begun = found.progress if found else None  # its rows of tiles are counted, and so have to stay the same
        better = found_tiling(
            predictor.model,
            predictor.compute,
            info.height * info.width,
            tile_size=begun.tile_size if begun else settings.tile_size,
            batch_size=settings.batch_size,
            overlap=begun.overlap if begun else settings.overlap,
            attention=settings.attention,
            turned=settings.tta,
        )
        tiling.tile_size, tiling.overlap, tiling.batch_size = better.tile_size, better.overlap, better.batch_size
    left = 1 - found.progress.rows_done / found.progress.rows if found else 1.0
    replaced = place if found is None else None
    require_disk(folder, layouts, share_left=left, as_tiff=settings.format == "tiff", replaced=replaced)
    if found is not None:
        return found
    down, _ = axes_of(info.height, info.width, tiling.tile_size, tiling.overlap, predictor.model.divisor)
    progress = Progress(key, tiling.tile_size, tiling.overlap, len(down.starts) * info.n_planes)
    return WorkingStore.begun(place, layouts, progress, origin.to_json())


def _key(predictor: Predictor, origin: Origin) -> str:
    """Tell a prediction from those with another model, other settings or another image."""
    settings = predictor.settings.model_dump_json(exclude=_NOT_IN_KEY)
    number_type = str(predictor.compute.dtype)
    described = (origin.digest, settings, predictor.data.model_dump_json(), number_type, origin.image, *origin.state)
    return hashlib.sha256(repr(described).encode()).hexdigest()


def _require_unchanged(path: Path, state: tuple[int, int]) -> None:
    if state_of(path) != state:
        raise _ImageChanged(f"{path.name} was changed while it was being predicted; predict it again ({path}).")


def _report(path: Path, progress: Progress) -> None:
    """Say which parts are gaps.

    Raises
    ------
    GapsError
        There is one.
    """
    if not progress.damages:
        return
    one = progress.damages[0]
    plane = f" of plane {one.plane + 1}" if one.plane else ""
    others = f" and {len(progress.damages) - 1} more" if len(progress.damages) > 1 else ""
    raise GapsError(
        f"{path.name} was predicted with gaps: the tile of rows {one.top} to {one.bottom - 1} and columns {one.left} "
        f"to {one.right - 1}{plane}{others} cannot be decoded, and is 0 in the mask and NaN in the probability. "
        f"Export the image again, then predict it again. {one.reason}"
    )
