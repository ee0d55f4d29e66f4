"""Annotated images too large to be held whole: predicted tile by tile, and compared with their masks by rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import numpy as np

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.mask_rows import ClassRows
from napari_attnseg.data.normalise import finite_mask
from napari_attnseg.data.pairs import PREDICTION, Pair
from napari_attnseg.data.parts import FileParts, parts_of
from napari_attnseg.errors import DataError
from napari_attnseg.prediction.for_now import predicted_for_now
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.targets import target_of
from napari_attnseg.training.evaluation import ImageScore
from napari_attnseg.training.metrics import confusion_matrix

_PIXELS = 2**25  # that are compared at once


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
        The image or the mask cannot be used, the image has parts that cannot be decoded, or the disk of temporary files
        has no room.
    Stopped
        `should_stop` returned True.
    """
    assert pair.mask is not None
    n_classes = predictor.convention.n_classes
    matrix = np.zeros((n_classes, n_classes), np.int64)
    with closing(FileParts(pair.image, predictor.data.axes)) as image:
        info = image.info
        with closing(ClassRows(pair.mask, convention, info)) as truth:
            began = time.perf_counter()
            with predicted_for_now(predictor, pair.image, lambda share: on_share(0.95 * share), should_stop) as folder:
                seconds = time.perf_counter() - began
                path = target_of(pair.image, PREDICTION, folder, as_tiff=predictor.settings.format == "tiff")
                with closing(ClassRows(path, predictor.convention, info)) as predicted:
                    for plane, rows in parts_of(info, _PIXELS):
                        known = finite_mask(image.read(plane, rows)[None]) if info.dtype.startswith("float") else None
                        valid = None if known is None else known[0]
                        found = predicted.part(plane, rows)
                        matrix += confusion_matrix(truth.part(plane, rows), found, n_classes, valid)
    score = ImageScore(pair.name, matrix, seconds)
    require_pixels(score)
    return score


def require_pixels(found: ImageScore) -> None:
    """Refuse scores of nothing: without a mistake they would be perfect.

    Raises
    ------
    DataError
        No pixel was compared.
    """
    if not found.matrix.sum():
        raise DataError(f"No pixel of {found.name} is a number, so there is nothing to be scored; export it again.")
