"""Annotated images too large to be held whole: predicted tile by tile, and compared with their masks by rows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.mask_rows import ClassRows
from napari_attnseg.data.normalise import finite_mask
from napari_attnseg.data.pairs import PREDICTION, Pair
from napari_attnseg.data.parts import FileParts
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.streaming import predict_streamed
from napari_attnseg.prediction.targets import target_of
from napari_attnseg.training.evaluation import ImageScore
from napari_attnseg.training.metrics import confusion_matrix

_PIXELS = 2**22  # that are compared at once


def score_large(
    predictor: Predictor,
    pair: Pair,
    convention: MaskConvention,
    on_share: Callable[[float], None],
    should_stop: Callable[[], bool],
) -> ImageScore:
    """Predict an annotated image into temporary files and compare with its mask, some rows at a time.

    Parameters
    ----------
    pair
        The mask is one for which `mask_rows.can_be_read_in_rows`.
    convention
        What its values mean.
    on_share
        Called with the share that is done, 0 to 1.
    should_stop
        Asked between tiles.

    Raises
    ------
    DataError
        The image or the mask cannot be used, or the image has parts that cannot be decoded.
    SaveError
        The disk of temporary files has no room for the prediction.
    Stopped
        `should_stop` returned True.
    """
    assert pair.mask is not None
    image = FileParts(pair.image, predictor.data.axes)
    info = image.info
    truth = ClassRows(pair.mask, convention, info)
    n_classes = predictor.convention.n_classes
    with tempfile.TemporaryDirectory(prefix="attnseg-") as folder:
        began = time.perf_counter()
        predict_streamed(predictor, pair.image, Path(folder), lambda large: on_share(0.95 * large.share), should_stop)
        seconds = time.perf_counter() - began
        as_tiff = predictor.settings.format == "tiff"
        path = target_of(pair.image, PREDICTION, Path(folder), as_tiff=as_tiff)
        predicted = ClassRows(path, predictor.convention, info)
        matrix = np.zeros((n_classes, n_classes), np.int64)
        for plane, rows in _parts(info):
            valid = finite_mask(image.read(plane, rows)[None]) if np.dtype(info.dtype).kind == "f" else None
            found = predicted.part(plane, rows)
            matrix += confusion_matrix(truth.part(plane, rows), found, n_classes, None if valid is None else valid[0])
        del predicted  # closes the file, before its folder is removed
    return ImageScore(pair.name, matrix, seconds)


def _parts(info: ImageInfo) -> Iterator[tuple[int, slice]]:
    step = max(_PIXELS // max(info.width, 1), 1)
    for plane in range(info.n_planes):
        for top in range(0, info.height, step):
            yield plane, slice(top, min(top + step, info.height))
