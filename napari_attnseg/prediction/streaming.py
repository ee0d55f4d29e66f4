"""An image predicted from file to file, tile by tile, in memory that does not grow with it.

One thread reads the next tiles while the network computes, another blends and writes those that came before. What is
finished is kept in a working store, so that a prediction that was broken off goes on at the first missing row of tiles.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from napari_attnseg.data.lazy import opened_pixels
from napari_attnseg.data.loading import require_channels
from napari_attnseg.data.tiff import ImageInfo
from napari_attnseg.errors import DataError, GapsError, SettingsError
from napari_attnseg.models.device import choose_compute
from napari_attnseg.prediction.begun import asking_for, goes_on, key_of, tell_of_lost_rows
from napari_attnseg.prediction.claim import prediction_claimed
from napari_attnseg.prediction.disk import require_disk
from napari_attnseg.prediction.finishing import LargeProgress, finish
from napari_attnseg.prediction.from_card import layouts_of
from napari_attnseg.prediction.grid import axes_of
from napari_attnseg.prediction.origin import Origin, state_of
from napari_attnseg.prediction.outcome import gaps_in_words
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.targets import target_of
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

_log = logging.getLogger(__name__)


class _ImageChanged(DataError):
    """What is predicted so far is of an image that is not there any more."""


def predict_streamed(
    predictor: Predictor,
    path: Path,
    folder: Path,
    on_progress: Callable[[LargeProgress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    on_notice: Callable[[str], None] = _log.warning,
    digest: str = "",
) -> list[Path]:
    """Predict an image and write NAME_PRED and, where asked for, NAME_PROB and NAME_ATTN to a folder.

    Parameters
    ----------
    on_progress
        Called after each row of tiles, and while the rest is done, from this thread.
    should_stop
        Asked between batches of tiles; what is finished stays, and the next call goes on from there.
    on_notice
        Called with a sentence where rows of another prediction are removed, or what is over cannot be removed.
    digest
        Of the model, see `Origin.of`.

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
    with prediction_claimed(path, folder):
        origin = Origin.of(predictor.path, path, predictor.settings, digest)
        fresh = False
        while True:
            try:
                store = _predict_rows(predictor, path, folder, origin, fresh, on_progress, should_stop, on_notice)
            except TileTooLarge:
                fresh = True
                continue
            written = finish(predictor, store, path, folder, on_progress, should_stop, on_notice)
            _report(path, store.progress)
            return written


def _predict_rows(
    predictor: Predictor,
    path: Path,
    folder: Path,
    origin: Origin,
    fresh: bool,
    on_progress: Callable[[LargeProgress], None],
    should_stop: Callable[[], bool],
    on_notice: Callable[[str], None],
) -> WorkingStore:
    """Fill the working store, from the first missing row of tiles on."""
    with opened_pixels(path, predictor.data.axes) as (info, pixels):
        require_channels(info, predictor.data, predictor.card.model.in_channels)
        store = _store(predictor, info, folder, origin, fresh, on_notice)
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
            rows = TileRows(predictor, source, store, store.layouts, on_row, should_stop)
            first, done = divmod(progress.rows_done, progress.rows // info.n_planes)
            if first < info.n_planes:
                rows.predict(first, done)
        except _ImageChanged:
            remove(store.folder)
            raise
        except TileTooLarge:
            _require_nothing_done(predictor, path, progress)
            raise
        return store


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
    predictor: Predictor,
    info: ImageInfo,
    folder: Path,
    origin: Origin,
    fresh: bool,
    on_notice: Callable[[str], None],
) -> WorkingStore:
    """Return the working store that is there, or a new one where there is none that belongs to this.

    What is there may have more parts than are asked for. They are predicted as well, so that it stays whole.
    """
    place = store_folder(info.path, folder)
    found = None if fresh else _found(predictor, info, folder, origin)
    begun = found.progress if found else None
    settings = asking_for(predictor.settings, begun.kinds) if begun else predictor.settings
    layouts, tiling = layouts_of(predictor.card, settings, info), predictor.tiling
    if not fresh:
        better = found_tiling(
            predictor.model,
            predictor.compute,
            info.height * info.width,
            # its rows of tiles are counted, and so have to stay the same
            tile_size=begun.tile_size if begun else settings.tile_size,
            batch_size=settings.batch_size,
            overlap=begun.overlap if begun else settings.overlap,
            attention=settings.attention,
            turned=settings.tta,
        )
        tiling.tile_size, tiling.overlap, tiling.batch_size = better.tile_size, better.overlap, better.batch_size
    left = 1 - begun.rows_done / begun.rows if begun else 1.0
    replaced = place if found is None else None
    require_disk(folder, layouts, share_left=left, as_tiff=settings.format == "tiff", replaced=replaced)
    if found is not None:
        return found
    if not fresh:
        tell_of_lost_rows(predictor, info.path, folder, origin, on_notice)
    down, _ = axes_of(info.height, info.width, tiling.tile_size, tiling.overlap, predictor.model.divisor)
    progress = Progress(key_of(predictor, origin), tiling.tile_size, tiling.overlap, len(down.starts) * info.n_planes)
    return WorkingStore.begun(place, layouts, progress, origin.to_json())


def _found(predictor: Predictor, info: ImageInfo, folder: Path, origin: Origin) -> WorkingStore | None:
    """Return the working store that is there, if it belongs to this."""
    place = store_folder(info.path, folder)
    progress = read_progress(place)
    if progress is None or not goes_on(predictor, origin, progress):
        return None
    layouts = layouts_of(predictor.card, asking_for(predictor.settings, progress.kinds), info)

    def is_in_place(kind: str) -> bool:
        if predictor.settings.format == "tiff":
            return False
        return Origin.read(target_of(info.path, kind, folder, as_tiff=False)) == origin

    return WorkingStore.found(place, layouts, progress.key, is_in_place)


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
    if progress.damages:
        raise GapsError(gaps_in_words(path.name, progress.damages))
