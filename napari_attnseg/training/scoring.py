"""Annotated images predicted and compared with their masks, whose values may mean something else than the model's."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.data.classes import find_classes
from napari_attnseg.data.convention import MaskConvention, decide_convention
from napari_attnseg.data.mask_rows import can_be_read_in_rows
from napari_attnseg.data.mask_survey import survey_mask
from napari_attnseg.data.mask_values import MaskValues
from napari_attnseg.data.masks import read_mask
from napari_attnseg.data.normalise import finite_mask
from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import DataError
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.prediction.from_card import channels_of, convention_of
from napari_attnseg.prediction.many import is_small, predict_many
from napari_attnseg.prediction.predictor import Prediction, Predictor, Seen
from napari_attnseg.prediction.room import free_memory, memory_needed
from napari_attnseg.training.evaluation import ImageScore, score_image
from napari_attnseg.training.large_scoring import require_pixels, score_large

OnFailure = Callable[[Pair, DataError], None]
"""What is told of an annotated image that cannot be scored."""


def score_pairs(
    predictor: Predictor,
    pairs: Sequence[Pair],
    convention: MaskConvention,
    on_progress: Callable[[Pair, int, float], None],
    should_stop: Callable[[], bool],
    on_failure: OnFailure | None = None,
) -> tuple[ImageScore, ...]:
    """Predict annotated images and compare with their masks; see `engine.evaluate`.

    Parameters
    ----------
    on_progress
        See `many.predict_many`.
    on_failure
        Called with what cannot be scored, which is left out then; None: it is raised.

    Raises
    ------
    DataError
        An image or a mask cannot be used, or is too large for the memory; all of them if there is `on_failure`.
    Stopped
        `should_stop` returned True.
    """

    found: dict[Pair, ImageScore] = {}
    failed: list[DataError] = []

    def read(pair: Pair) -> _Annotated | None:
        is_read = is_small(predictor, read_info(pair.image, predictor.data.axes))
        return _read(predictor, pair, convention) if is_read else None

    def alone(pair: Pair) -> ImageScore:
        return score_pair(
            predictor, pair, convention, should_stop, partial(on_progress, pair, len(found) + len(failed))
        )

    for done in predict_many(predictor, pairs, read, partial(_scored, predictor), alone, on_progress, should_stop):
        if done.result is not None:
            found[done.item] = done.result
            continue
        error = done.error if isinstance(done.error, DataError) else _too_large(done.item)
        if on_failure is None:
            raise error from done.error
        failed.append(error)
        on_failure(done.item, error)
    require_scored(len(found), failed)
    return tuple(found[pair] for pair in pairs if pair in found)


def require_scored(count: int, failed: Sequence[DataError]) -> None:
    """Refuse scores of nothing.

    Raises
    ------
    DataError
        None of the images has been scored; it says why the first one has not.
    """
    if not count:
        raise DataError(str(failed[0]) if len(failed) == 1 else f"No image could be scored: {failed[0]}")


def score_pair(
    predictor: Predictor,
    pair: Pair,
    convention: MaskConvention,
    should_stop: Callable[[], bool],
    on_share: Callable[[float], None] = lambda share: None,
) -> ImageScore:
    """Predict one annotated image and compare with its mask; see `score_pairs`.

    `on_share` is called with the share of the image that is done, 0 to 1.

    Raises
    ------
    DataError
        The image or the mask cannot be used, or is too large for memory and disk.
    Stopped
        `should_stop` returned True.
    """
    try:
        if _memory_needed(predictor, pair) > free_memory():  # which systems promise and then end the program for
            if pair.mask is None or not can_be_read_in_rows(read_info(pair.mask)):
                raise _too_large(pair, ", or save the mask as one channel of class numbers")
            return score_large(predictor, pair, convention, on_share, should_stop)
        image = _read(predictor, pair, convention)
        began = time.perf_counter()
        found = predictor.predict_together([image], on_share, should_stop)[0]
        return _scored(predictor, pair, image, found, time.perf_counter() - began)
    except MemoryError as error:
        raise _too_large(pair) from error


def _memory_needed(predictor: Predictor, pair: Pair) -> int:
    """Return about how many bytes it takes to score an image."""
    info, card, settings = read_info(pair.image, predictor.data.axes), predictor.card, predictor.settings
    truth = info.n_planes * info.height * info.width  # bytes of class ids
    return memory_needed(info, predictor.data, *channels_of(card, settings)) + truth


@dataclass(frozen=True)
class _Annotated(Seen):
    """An image with what it is compared with."""

    truth: NDArray[np.uint8]
    """Class ids (plane, y, x)."""
    valid: NDArray[np.bool_] | None
    """Where the image is a number, (plane, y, x); None: everywhere."""
    seconds: float
    """How long it took to scale it for the network."""


def _read(predictor: Predictor, pair: Pair, convention: MaskConvention) -> _Annotated:
    assert pair.mask is not None
    image = read_image(pair.image, predictor.data.axes)
    truth = read_mask(pair.mask, convention, image.info)
    began = time.perf_counter()
    seen = predictor.see(image)
    return _Annotated(seen.info, seen.pixels, truth, finite_mask(image.pixels), time.perf_counter() - began)


def _scored(predictor: Predictor, pair: Pair, image: _Annotated, prediction: Prediction, seconds: float) -> ImageScore:
    began = time.perf_counter()
    labels = predictor.tidied(prediction).labels
    seconds += image.seconds + time.perf_counter() - began
    found = score_image(pair.name, image.truth, labels, predictor.convention.n_classes, image.valid)
    require_pixels(found)
    return replace(found, seconds=seconds)


def _too_large(pair: Pair, way: str = "") -> DataError:
    return DataError(
        f"{pair.name} is too large for this computer's memory, in which it is held whole to be scored; close other "
        f"programs, cut image and mask into parts{way}."
    )


def survey_pairs(pairs: Sequence[Pair], on_failure: OnFailure | None = None) -> dict[Path, MaskValues]:
    """List the values of the masks of annotated images.

    Parameters
    ----------
    on_failure
        Called with an image whose mask cannot be read, which is left out then; None: it is raised.

    Raises
    ------
    DataError
        A mask cannot be read, or none if there is `on_failure`.
    """
    survey: dict[Path, MaskValues] = {}
    failed: list[DataError] = []
    for pair in pairs:
        assert pair.mask is not None
        try:
            survey[pair.mask] = survey_mask(pair.mask)
        except DataError as error:
            if on_failure is None:
                raise
            failed.append(error)
            on_failure(pair, error)
    if pairs:
        require_scored(len(survey), failed)
    return survey


def evaluation_convention(
    card: ModelCard,
    pairs: Sequence[Pair],
    source: Path | None = None,
    survey: Mapping[Path, MaskValues] | None = None,
) -> MaskConvention:
    """Decide what the masks' values mean, and hold it against the model's classes.

    Several classes that a `classes.json` names are matched with the model's by their names, so that each is compared
    with itself whatever its number is. Without one, and where the names say nothing ('class 1'), the numbers decide;
    of a single class the name does not matter.

    Parameters
    ----------
    card
        Of the model.
    pairs
        Annotated images.
    source
        The folder where `classes.json` is looked for; None: that of the images.
    survey
        What values the masks hold; None: they are read.

    Raises
    ------
    DataError
        The masks have other classes than the model.
    """
    own = convention_of(card)
    survey = survey_pairs(pairs) if survey is None else survey
    classes = find_classes(source or _common_folder(pairs))
    values = {value for found in survey.values() for value in found.non_zero}
    says_nothing = classes is None or len(classes) <= 2
    if own.kind == "classes" and says_nothing and values <= set(own.values):
        return own
    found = decide_convention(survey, classes, card.data.mask_values)
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
