"""What a mask becomes when a prediction is accepted, wholly or in part.

All of these give new planes for `Editing.apply`, which makes one undo step of them, and leave the mask alone that they
are given. Nothing to accept gives no planes. Where the model does not know a class of the folder, pixels of that class
stay (`Offer.kept`). In a mask of numbered objects a predicted object gets a new number, unless it is an object that is
there already: if it shares more than half of what both cover together, it keeps that one's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_attnseg.annotation.corrections.accept_numbers import FreeNumbers, numbered, numbered_around, same_object
from napari_attnseg.annotation.corrections.scope import Scope, chosen_pixels, count_regions

Array = np.ndarray[Any, Any]
Index = tuple[int, ...]
Planes = dict[Index, Array]
Position = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Offer:
    """A prediction, and the mask that it may go into."""

    labels: Array
    """The mask (stack axes..., y, x): class ids, or numbers of objects."""
    prediction: Array
    """Class ids of the folder: (y, x) of one plane, or of the shape of the mask."""
    plane: Index | None = None
    """Indices along the stack axes of the plane that is meant; None: all planes, of which a single image has one."""
    counts_objects: bool = False
    """Whether the mask holds numbers of objects; see `Document.counts_objects`."""
    through_planes: bool = False
    """Whether numbered objects go on from plane to plane, as in a Z stack."""
    kept: frozenset[int] = frozenset()
    """Classes that the model does not know; their pixels stay as they are."""
    whole: Array | None = None
    """The mask that `labels` are a part of, so that new objects get numbers that are free in all of it."""

    def __post_init__(self) -> None:
        stack, size = self.labels.shape[:-2], self.labels.shape[-2:]
        whole = self.prediction.shape == self.labels.shape
        one = self.prediction.shape == size and (self.plane is not None or not stack)
        if not (whole or one) or len(self.plane or stack) != len(stack):
            raise ValueError(
                f"a prediction {self.prediction.shape} of plane {self.plane} does not fit a mask {self.labels.shape}"
            )

    @property
    def indices(self) -> list[Index]:
        """The planes that are meant."""
        stack = self.labels.shape[:-2]
        return [self.plane] if self.plane is not None else list(np.ndindex(*stack))

    @property
    def numbered(self) -> Array:
        """All labels whose numbers are taken."""
        return self.labels if self.whole is None else self.whole

    def predicted(self, index: Index) -> Array:
        """Return the class ids predicted for a plane, (y, x)."""
        return self.prediction if self.prediction.ndim == 2 else self.prediction[index]

    @property
    def only_index(self) -> Index:
        """The plane under the cursor.

        Raises
        ------
        ValueError
            It was not said which one of a stack that is.
        """
        if len(self.indices) != 1:
            raise ValueError("which plane of the stack is meant must be said")
        return self.indices[0]


def accept_all(offer: Offer) -> Planes:
    """Make the mask what was predicted, on every plane on which anything was; what else was painted there goes."""
    indices = [index for index in offer.indices if offer.predicted(index).any()]
    proposed = _proposed(offer, indices)
    return _changed(offer, {index: _keeping(offer, offer.labels[index], plane) for index, plane in proposed.items()})


def accept_where_empty(offer: Offer) -> Planes:
    """Take over what was predicted where the mask has background, and nowhere else.

    Of a predicted object that overlaps what is there only the rest is taken: in a mask of classes with its own class,
    in one of numbered objects with the number of the nearest object that it overlaps.
    """
    indices = [index for index in offer.indices if offer.predicted(index).any()]
    proposed = _proposed(offer, indices, around=True)
    present = {index: offer.labels[index] for index in indices}
    return _changed(offer, {index: np.where(present[index] == 0, proposed[index], present[index]) for index in indices})


def accept_object(offer: Offer, at: Position, *, replace: bool = False) -> Planes:
    """Take over the connected predicted object under the cursor, whatever is painted there.

    Parameters
    ----------
    offer
        Of one plane.
    at
        (row, column) under the cursor; outside of the image nothing is accepted.
    replace
        Also remove what was painted of the same class (the same number) in connection with the object, and was not
        predicted: the object then ends where the prediction does. Without it painted pixels only become more.
    """
    index = offer.only_index
    predicted, mask = offer.predicted(index), offer.labels[index]
    if not _is_inside(at, predicted) or predicted[at] == 0:
        return {}
    box, region = chosen_pixels(predicted, Scope("region", position=at))
    value = int(predicted[at])
    if offer.counts_objects:
        number = same_object(region, mask[box], mask)
        value = FreeNumbers(offer.numbered).take() if number is None else number
    plane = mask.copy()
    if replace:
        plane[_beyond(mask, predicted, box, region, value, whole_value=offer.counts_objects)] = 0
    plane[box][region] = value
    return _changed(offer, {index: _keeping(offer, mask, plane)})


def accept_region(offer: Offer, at: Position) -> Planes:
    """Make the mask what was predicted, within the connected area under the cursor that is painted or predicted.

    An object that was painted and not predicted is removed, one that was predicted and not painted is added.

    Parameters
    ----------
    offer
        Of one plane.
    at
        (row, column) under the cursor; where nothing is painted or predicted nothing is accepted.
    """
    index = offer.only_index
    predicted, mask = offer.predicted(index), offer.labels[index]
    if not _is_inside(at, predicted) or (predicted[at] == 0 and mask[at] == 0):
        return {}
    either = ((predicted != 0) | (mask != 0)).astype(np.uint8)
    box, region = chosen_pixels(either, Scope("region", position=at))
    part = np.where(region, predicted[box], 0)
    if offer.counts_objects:
        present = np.where(region, mask[box], 0)
        part = numbered(part[None], present[None], FreeNumbers(offer.numbered))[0]
    plane = mask.copy()
    plane[box][region] = part[region]
    return _changed(offer, {index: _keeping(offer, mask, plane)})


def class_mapping(model_names: Sequence[str], folder_names: Sequence[str]) -> dict[int, int] | None:
    """Return the folder's class id for each class id of a model; None if the folder lacks one of its classes.

    Two lists of a single class beside the background mean the same by their place, whatever the names. Else names
    decide, upper and lower case alike.
    """
    if len(model_names) == len(folder_names) == 2:
        return {0: 0, 1: 1}
    by_name = {name.strip().casefold(): number for number, name in enumerate(folder_names) if number > 0}
    found = {number: by_name.get(name.strip().casefold()) for number, name in enumerate(model_names) if number > 0}
    if any(number is None for number in found.values()):
        return None
    return {0: 0} | {number: place for number, place in found.items() if place is not None}


def mapping_problem(model_names: Sequence[str], folder_names: Sequence[str]) -> str | None:
    """Say in a sentence which classes of a model the folder lacks; None if it lacks none."""
    if class_mapping(model_names, folder_names) is not None:
        return None
    known = {name.strip().casefold() for name in folder_names[1:]}
    missing = [name for name in model_names[1:] if name.strip().casefold() not in known]
    listed = ", ".join(f"'{name}'" for name in missing)
    what = f"the class {listed}" if len(missing) == 1 else f"the classes {listed}"
    return (
        f"The model knows {what}, which this folder does not have (it has {', '.join(folder_names[1:])}); "
        f"add {'it' if len(missing) == 1 else 'them'} to the folder's classes, or choose another model."
    )


def classes_kept(mapping: Mapping[int, int], n_classes: int) -> frozenset[int]:
    """Return the ids of the folder's `n_classes` classes (background included) that the model does not know."""
    return frozenset(range(1, n_classes)) - frozenset(mapping.values())


def _proposed(offer: Offer, indices: list[Index], *, around: bool = False) -> Planes:
    """Return what was predicted for some planes, as the labels of the mask would say it."""
    if not indices or not offer.counts_objects:
        return {index: offer.predicted(index).astype(offer.labels.dtype) for index in indices}
    predicted = np.stack([offer.predicted(index) for index in indices])
    present = np.stack([offer.labels[index] for index in indices])
    give = numbered_around if around else numbered
    numbers = give(predicted, present, FreeNumbers(offer.numbered), through_planes=offer.through_planes)
    return dict(zip(indices, numbers, strict=True))


def _beyond(
    mask: Array, predicted: Array, box: tuple[slice, slice], region: Array, value: int, *, whole_value: bool
) -> Array:
    """Return which pixels (y, x) of the object are painted and not predicted."""
    same = mask == value
    if whole_value:
        return np.asarray(same)
    regions, _ = count_regions(same)
    touched = np.unique(regions[box][region])
    beyond: Array = np.isin(regions, touched[touched > 0]) & (predicted != value)
    return beyond


def _keeping(offer: Offer, mask: Array, plane: Array) -> Array:
    """Put back into a new plane what the model does not know; of numbered objects it knows all."""
    if not offer.kept or offer.counts_objects:
        return plane
    return np.where(np.isin(mask, list(offer.kept)), mask, plane)


def _changed(offer: Offer, planes: Planes) -> Planes:
    return {index: plane for index, plane in planes.items() if not np.array_equal(plane, offer.labels[index])}


def _is_inside(at: Position, plane: Array) -> bool:
    return all(0 <= place < length for place, length in zip(at, plane.shape, strict=True))
