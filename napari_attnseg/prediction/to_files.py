"""Images predicted and written, in memory if there is room for them, else tile by tile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import ChangedError, DataError, ModelFileError
from napari_attnseg.prediction.begun import discard_begun, has_begun, tell_of_lost_rows
from napari_attnseg.prediction.finishing import LargeProgress
from napari_attnseg.prediction.from_card import channels_of
from napari_attnseg.prediction.many import Done, is_small, predict_many
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.predictor import Prediction, Predictor, Seen
from napari_attnseg.prediction.room import free_memory, has_room
from napari_attnseg.prediction.streaming import predict_streamed
from napari_attnseg.prediction.writing import write_prediction

_log = logging.getLogger(__name__)

OnProgress = Callable[[float, LargeProgress | None], None]


def predict_to_files(
    predictor: Predictor,
    path: Path,
    folder: Path,
    on_progress: OnProgress = lambda share, large: None,
    should_stop: Callable[[], bool] = lambda: False,
    free: Callable[[], int] = free_memory,
    on_notice: Callable[[str], None] = _log.warning,
    digest: str = "",
) -> list[Path]:
    """Predict an image and write NAME_PRED and, where asked for, NAME_PROB and NAME_ATTN; return their paths.

    Parameters
    ----------
    on_progress
        Called with the share of the image that is done, 0 to 1, and, where it is predicted tile by tile, with how many
        rows of tiles are done and where they can be looked at.
    should_stop
        Asked between tiles.
    free
        Returns how many bytes of memory may be taken.
    on_notice
        Called with a sentence where rows of another prediction are removed, or what is over cannot be removed.
    digest
        Of the model, see `Origin.of`.

    Raises
    ------
    AttnSegError
        See `streaming.predict_streamed`.
    Stopped
        `should_stop` returned True.
    """

    def tell(progress: LargeProgress) -> None:
        on_progress(progress.share, progress)

    if not is_predicted_tile_by_tile(predictor, path, folder, free, digest):
        image = _read_whole(predictor, path, digest)
        if image is not None:
            found = predictor.predict_together([image], lambda share: on_progress(share, None), should_stop)
            return _write_whole(predictor, image, found[0], folder, on_notice, digest)
    # also an image with a damaged tile comes here, which then is one gap
    return predict_streamed(predictor, path, folder, tell, should_stop, on_notice, digest)


def predict_many_to_files(
    predictor: Predictor,
    folders: Mapping[Path, Path],
    on_progress: Callable[[Path, int, float, LargeProgress | None], None] = lambda path, number, share, large: None,
    should_stop: Callable[[], bool] = lambda: False,
    free: Callable[[], int] = free_memory,
    on_notice: Callable[[str], None] = _log.warning,
    digest: str = "",
) -> Iterator[Done[Path, list[Path]]]:
    """Predict images and write what `predict_to_files` does; yield each image with what was written of it.

    While the network computes, the next small images are read and the last ones written; see `many.predict_many`.

    Parameters
    ----------
    folders
        Where the prediction of each image goes.
    on_progress
        Called with the image that is computed, its number in the order of computing, from 0, the share of it that is
        done, 0 to 1, and, where it is predicted tile by tile, with how far that is.

    Raises
    ------
    AttnSegError
        See `streaming.predict_streamed`; but for a `DataError`, which is yielded with its image.
    Stopped
        `should_stop` returned True.
    """
    before = 0

    def read(path: Path) -> _Whole | None:
        info = read_info(path, predictor.data.axes)
        if not is_small(predictor, info, free) or is_predicted_tile_by_tile(
            predictor, path, folders[path], free, digest
        ):
            return None
        return _read_whole(predictor, path, digest)

    def write(path: Path, image: _Whole, prediction: Prediction, seconds: float) -> tuple[list[Path], list[str]]:
        notices: list[str] = []  # which are told by the thread that is asked
        return _write_whole(predictor, image, prediction, folders[path], notices.append, digest), notices

    def alone(path: Path) -> tuple[list[Path], list[str]]:
        def tell(share: float, large: LargeProgress | None) -> None:
            on_progress(path, before, share, large)

        return predict_to_files(predictor, path, folders[path], tell, should_stop, free, on_notice, digest), []

    def tell_share(path: Path, number: int, share: float) -> None:
        on_progress(path, number, share, None)

    for done in predict_many(predictor, folders, read, write, alone, tell_share, should_stop):
        before += 1
        written, notices = done.result or (None, [])
        for text in notices:
            on_notice(text)
        yield Done(done.item, written, done.error)


@dataclass(frozen=True)
class _Whole(Seen):
    """An image in memory, with what a prediction of it is made of; None if the model file has gone since."""

    origin: Origin | None


def _read_whole(predictor: Predictor, path: Path, digest: str) -> _Whole | None:
    """Return an image; None if it is damaged, and can be predicted in parts.

    Raises
    ------
    DataError
        It does not fit the model, or is damaged and cannot be predicted in parts.
    """
    info = read_info(path, predictor.data.axes)
    origin = _origin(predictor, path, digest)  # before it is read: what changes then is not what was predicted
    try:
        image = read_image(path, predictor.data.axes)
    except ChangedError:
        raise
    except DataError:
        if not info.is_tiled or predictor.settings.tile_by_tile == "never":
            raise
        return None
    seen = predictor.see(image)
    return _Whole(seen.info, seen.pixels, origin)


def _write_whole(
    predictor: Predictor,
    image: _Whole,
    prediction: Prediction,
    folder: Path,
    on_notice: Callable[[str], None],
    digest: str,
) -> list[Path]:
    """Write what a network says of an image, and remove what is left of a prediction that was broken off."""
    path, origin = image.info.path, image.origin
    tidied = predictor.tidied(prediction)
    written = write_prediction(predictor.card, tidied, folder, origin.as_text() if origin else "")
    if origin and not has_begun(predictor, path, folder, digest):
        tell_of_lost_rows(predictor, path, folder, origin, on_notice)
    discard_begun(path, folder)
    return written


def _origin(predictor: Predictor, path: Path, digest: str) -> Origin | None:
    """Return what a prediction is made of; None if the model file has gone since it was loaded."""
    try:
        return Origin.of(predictor.path, path, predictor.settings, digest)
    except ModelFileError:
        return None


def is_predicted_tile_by_tile(
    predictor: Predictor, path: Path, folder: Path, free: Callable[[], int] = free_memory, digest: str = ""
) -> bool:
    """Whether an image is read and written tile by tile: if there is no room for it, or that was begun in the folder.

    Raises
    ------
    DataError, ModelFileError
        See `tiff.read_info`, and `begun.has_begun`.
    """
    settings = predictor.settings
    if settings.format != "tiff" or settings.tile_by_tile == "always":
        return True
    if settings.tile_by_tile == "never":
        return False
    info = read_info(path, predictor.data.axes)
    has_enough = has_room(info, predictor.data, *channels_of(predictor.card, settings), free)
    return not has_enough or has_begun(predictor, path, folder, digest)
