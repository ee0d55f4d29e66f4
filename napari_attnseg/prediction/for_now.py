"""Predictions of images too large for memory that are looked at and then forgotten."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_attnseg.errors import DataError, GapsError, SaveError
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.streaming import predict_streamed


@contextmanager
def predicted_for_now(
    predictor: Predictor, path: Path, on_share: Callable[[float], None], should_stop: Callable[[], bool]
) -> Iterator[Path]:
    """Predict an image tile by tile and yield the folder of its prediction, which goes with the block.

    Raises
    ------
    DataError
        The image does not fit the model, has parts that cannot be decoded, or was changed; or the disk of temporary
        files has no room.
    Stopped
        `should_stop` returned True.
    """
    with tempfile.TemporaryDirectory(prefix="attnseg-", ignore_cleanup_errors=True) as name:
        try:
            predict_streamed(predictor, path, Path(name), lambda large: on_share(large.share), should_stop)
        except GapsError as error:
            raise DataError(
                f"{path.name} has tiles or strips that cannot be decoded, so it cannot be taken as a whole; export the "
                "image again, or predict it, which leaves gaps there."
            ) from error
        except SaveError as error:
            raise DataError(
                f"{path.name} does not fit into memory, and its prediction cannot be kept in {tempfile.gettempdir()}, "
                "the folder of temporary files, either; make room there, or name another folder in the environment "
                "variable TMPDIR."
            ) from error
        yield Path(name)
