"""Annotated images predicted and compared with their masks, whose values may mean something else than the model's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from napari_attnseg.data.classes import find_classes
from napari_attnseg.data.convention import MaskConvention, decide_convention
from napari_attnseg.data.mask_values import survey_masks
from napari_attnseg.data.masks import read_mask
from napari_attnseg.data.normalise import finite_mask
from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.tiff import read_image
from napari_attnseg.errors import DataError
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.training.evaluation import ImageScore, score_image


def score_pair(
    predictor: Predictor, pair: Pair, convention: MaskConvention, should_stop: Callable[[], bool]
) -> ImageScore:
    """Predict one annotated image and compare with its mask; see `engine.evaluate`."""
    assert pair.mask is not None
    image = read_image(pair.image, predictor.data.axes)
    truth = read_mask(pair.mask, convention, image.info)
    began = time.perf_counter()
    labels = predictor.predict_image(image, should_stop=should_stop).labels
    seconds = time.perf_counter() - began
    found = score_image(pair.name, truth, labels, predictor.convention.n_classes, finite_mask(image.pixels))
    return replace(found, seconds=seconds)


def evaluation_convention(predictor: Predictor, pairs: Sequence[Pair]) -> MaskConvention:
    """Decide what the masks' values mean, and hold it against the model's classes.

    Raises
    ------
    DataError
        The masks have other classes than the model.
    """
    own = predictor.convention
    survey = survey_masks(pair.mask for pair in pairs if pair.mask)
    values = {value for found in survey.values() for value in found.non_zero}
    if own.kind == "classes" and values <= set(own.values):
        return own
    found = decide_convention(survey, find_classes(pairs[0].image.parent), predictor.data.mask_values)
    if found.n_classes != own.n_classes:
        raise DataError(
            f"The model knows {', '.join(own.class_names[1:])} and the masks have {', '.join(found.class_names[1:])}; "
            "evaluate it on masks of its own classes."
        )
    return found
