"""An image predicted and written, in memory if there is room for it, else tile by tile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import ChangedError, DataError, ModelFileError
from napari_attnseg.prediction.begun import discard_begun, has_begun, tell_of_lost_rows
from napari_attnseg.prediction.finishing import LargeProgress
from napari_attnseg.prediction.from_card import channels_of
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.predictor import Predictor
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
        info = read_info(path, predictor.data.axes)
        origin = _origin(predictor, path, digest)  # before it is read: what changes then is not what was predicted
        try:
            image = read_image(path, predictor.data.axes)
        except ChangedError:
            raise
        except DataError:
            if not info.is_tiled or predictor.settings.tile_by_tile == "never":
                raise
        else:
            prediction = predictor.predict_image(image, lambda share: on_progress(share, None), should_stop)
            written = write_prediction(predictor.card, prediction, folder, origin.as_text() if origin else "")
            if origin and not has_begun(predictor, path, folder, digest):
                tell_of_lost_rows(predictor, path, folder, origin, on_notice)
            discard_begun(path, folder)
            return written
    # also an image with a damaged tile comes here, which then is one gap
    return predict_streamed(predictor, path, folder, tell, should_stop, on_notice, digest)


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
