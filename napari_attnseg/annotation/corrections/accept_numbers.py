"""Numbers for predicted objects that go into a mask whose objects are numbered one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_attnseg.errors import DataError

SAME_OBJECT = 0.5

Array = np.ndarray[Any, Any]


class FreeNumbers:
    """Gives numbers that no object of a mask has, those above all others first."""

    def __init__(self, labels: Array) -> None:
        self._labels = labels
        self._largest = int(np.iinfo(labels.dtype).max)
        self._next = int(labels.max(initial=0)) + 1
        self._gaps: list[int] | None = None

    def take(self) -> int:
        """Return the next one.

        Raises
        ------
        DataError
            Every number that the mask can hold is taken.
        """
        if self._next <= self._largest:
            self._next += 1
            return self._next - 1
        if self._gaps is None:
            taken = np.unique(self._labels)
            self._gaps = np.setdiff1d(np.arange(1, self._largest, dtype=np.int64), taken)[::-1].tolist()
        if not self._gaps:
            raise DataError(
                f"The mask holds objects up to the number {self._largest} and has none left for new ones; "
                "save it with larger numbers (32 bit), then accept again."
            )
        return self._gaps.pop()


def numbered(predicted: Array, present: Array, free: FreeNumbers, *, through_planes: bool = False) -> Array:
    """Turn what was predicted into numbers: an object that is there already keeps its number, others get new ones.

    Two objects are the same if they share more than half of what both cover together; that holds for one pair at most.

    Parameters
    ----------
    predicted
        (plane, y, x), 0 where there is nothing.
    present
        The numbers in the mask, of the same shape.
    free
        Where new numbers come from.
    through_planes
        Whether objects go on from one plane to the next, as in a Z stack.

    Returns
    -------
    ndarray
        (plane, y, x), of the mask's number type.
    """
    result = np.zeros(present.shape, present.dtype)
    for volume in _volumes(len(predicted), through_planes):
        parts, count = _components(predicted[volume])
        numbers = np.zeros(count + 1, present.dtype)
        same = _same_objects(parts, present[volume], count)
        for part in range(1, count + 1):
            numbers[part] = same[part] if part in same else free.take()
        result[volume] = numbers[parts]
    return result


def numbered_around(predicted: Array, present: Array, free: FreeNumbers, *, through_planes: bool = False) -> Array:
    """Turn what was predicted into numbers that leave the present ones as they are; see `numbered`.

    What a predicted object has beyond the objects that it overlaps goes to the nearest of these. One that overlaps none
    gets a new number.
    """
    from scipy import ndimage

    result = np.zeros(present.shape, present.dtype)
    for volume in _volumes(len(predicted), through_planes):
        parts, _ = _components(predicted[volume])
        for part, box in enumerate(ndimage.find_objects(parts), start=1):
            own, there = parts[box] == part, present[volume][box]
            shared = own & (there > 0)
            if shared.any():
                nearest = ndimage.distance_transform_edt(~shared, return_distances=False, return_indices=True)
                result[volume][box][own] = there[tuple(nearest)][own]
            else:
                result[volume][box][own] = free.take()
    return result


def same_object(region: Array, present: Array, whole: Array) -> int | None:
    """Return the number of the object that a predicted one is, or None if it is a new one; see `numbered`.

    Parameters
    ----------
    region
        bool (y, x), the predicted object.
    present
        The numbers there, of the same shape.
    whole
        The numbers of the whole plane, for the size of the objects.
    """
    covered = present[region]
    values, shared = np.unique(covered[covered > 0], return_counts=True)
    for value, pixels in zip(values.tolist(), shared.tolist(), strict=True):
        together = int(region.sum()) + int(np.count_nonzero(whole == value)) - pixels
        if pixels > SAME_OBJECT * together:
            return int(value)
    return None


def _volumes(planes: int, through_planes: bool) -> list[slice]:
    return [slice(None)] if through_planes else [slice(plane, plane + 1) for plane in range(planes)]


def _components(predicted: Array) -> tuple[Array, int]:
    """Number the connected objects of a volume, diagonal neighbours included."""
    from scipy import ndimage

    parts, count = ndimage.label(predicted != 0, np.ones((3, 3, 3), bool), output=np.int32)
    return parts, int(count)


def _same_objects(parts: Array, present: Array, count: int) -> dict[int, int]:
    """Return the number in the mask for each predicted object that is there already."""
    both = (parts > 0) & (present > 0)
    if not both.any():
        return {}
    values, ranks = np.unique(present[present > 0], return_inverse=True)
    sizes = np.bincount(ranks, minlength=len(values))
    part_sizes = np.bincount(parts.ravel(), minlength=count + 1)
    pairs = parts[both].astype(np.int64) * len(values) + np.searchsorted(values, present[both])
    found, shared = np.unique(pairs, return_counts=True)
    part, rank = found // len(values), found % len(values)
    alike = shared > SAME_OBJECT * (part_sizes[part] + sizes[rank] - shared)
    return dict(zip(part[alike].tolist(), values[rank[alike]].tolist(), strict=True))
