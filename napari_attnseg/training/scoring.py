"""Annotated images predicted and compared with their masks, whose values may mean something else than the model's."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

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
    """Predict one annotated image and compare with its mask; see `engine.evaluate`.

    Raises
    ------
    DataError
        The image or the mask cannot be used, or is too large for the memory.
    Stopped
        `should_stop` returned True.
    """
    try:
        return _scored(predictor, pair, convention, should_stop)
    except MemoryError as error:
        raise DataError(
            f"{pair.name} is too large for this computer's memory, in which it is held whole to be scored; cut image "
            "and mask into parts, or close other programs."
        ) from error


def _scored(
    predictor: Predictor, pair: Pair, convention: MaskConvention, should_stop: Callable[[], bool]
) -> ImageScore:
    assert pair.mask is not None
    image = read_image(pair.image, predictor.data.axes)
    truth = read_mask(pair.mask, convention, image.info)
    began = time.perf_counter()
    labels = predictor.predict_image(image, should_stop=should_stop).labels
    seconds = time.perf_counter() - began
    found = score_image(pair.name, truth, labels, predictor.convention.n_classes, finite_mask(image.pixels))
    return replace(found, seconds=seconds)


def evaluation_convention(predictor: Predictor, pairs: Sequence[Pair], source: Path | None = None) -> MaskConvention:
    """Decide what the masks' values mean, and hold it against the model's classes.

    Several classes that a `classes.json` names are matched with the model's by their names, so that each is compared
    with itself whatever its number is. Without one, and where the names say nothing ('class 1'), the numbers decide;
    of a single class the name does not matter.

    Parameters
    ----------
    predictor
        The model.
    pairs
        Annotated images.
    source
        The folder where `classes.json` is looked for; None: that of the images.

    Raises
    ------
    DataError
        The masks have other classes than the model.
    """
    own = predictor.convention
    survey = survey_masks(pair.mask for pair in pairs if pair.mask)
    classes = find_classes(source or _common_folder(pairs))
    values = {value for found in survey.values() for value in found.non_zero}
    says_nothing = classes is None or len(classes) <= 2
    if own.kind == "classes" and says_nothing and values <= set(own.values):
        return own
    found = decide_convention(survey, classes, predictor.data.mask_values)
    is_named = own.n_classes > 2 and found.n_classes > 2 and not _has_no_names(own) and not _has_no_names(found)
    if not is_named:
        if found.n_classes != own.n_classes:
            raise _other_classes(own, found.class_names)
        return found
    ids = {name.casefold(): class_id for class_id, name in enumerate(own.class_names)}
    names = {value: found.class_names[class_id] for value, class_id in found.values.items() if class_id}
    annotated = {value: name for value, name in names.items() if value in values or name.casefold() in ids}
    if not {name.casefold() for name in annotated.values()} <= set(ids):
        raise _other_classes(own, found.class_names)
    ids_of_values = {0: 0} | {value: ids[name.casefold()] for value, name in annotated.items()}
    return replace(found, values=ids_of_values, class_names=own.class_names)


def _common_folder(pairs: Sequence[Pair]) -> Path:
    folders = [pair.image.resolve().parent for pair in pairs]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # they are on two drives
        return folders[0]


def _has_no_names(convention: MaskConvention) -> bool:
    """Whether classes are called 'class 1' and so on, as where nobody named them."""
    return all(re.fullmatch(r"class \d+", name) for name in convention.class_names[1:])


def _other_classes(own: MaskConvention, names: Sequence[str]) -> DataError:
    return DataError(
        f"The model knows {', '.join(own.class_names[1:])} and the masks have {', '.join(names[1:])}; "
        "evaluate it on masks of its own classes, which classes.json has to name alike."
    )
