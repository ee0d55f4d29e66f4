"""Numbers for objects that are counted one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_attnseg.data.info import ImageInfo

Array = np.ndarray[Any, Any]


def number_objects(foreground: Array, old: Array | None, like: ImageInfo) -> Array:
    """Number the objects of a mask one by one, as they were numbered before where they stay.

    Parameters
    ----------
    foreground
        bool (plane, y, x).
    old
        The numbers before, unsigned (plane, y, x), or None.
    like
        The image: objects go through the planes of a Z stack, but not through those of a time series.

    Returns
    -------
    ndarray
        int64 (plane, y, x). A new part of an object has that one's number, a new object a number that none had.
    """
    from skimage.measure import label  # slow to import

    kept = np.zeros(foreground.shape, np.int64) if old is None else np.where(foreground, old.astype(np.int64), 0)
    added = foreground & (kept == 0)
    next_number = int(kept.max(initial=0) if old is None else old.max(initial=0)) + 1
    volumes = [slice(None)] if like.stack_axes == "Z" else [slice(i, i + 1) for i in range(len(added))]
    for volume in volumes:
        parts, count = label(added[volume], return_num=True, connectivity=3)
        numbers = np.zeros(count + 1, np.int64)
        touched = _touched(parts, kept[volume], count)
        for part in range(1, count + 1):
            numbers[part] = touched.get(part, next_number)
            next_number += part not in touched
        kept[volume] += numbers[parts]
    return kept


def _touched(parts: Array, kept: Array, count: int) -> dict[int, int]:
    """Return the number of the object that each new part touches most."""
    contacts: dict[int, dict[int, int]] = {}
    for axis in range(parts.ndim) if count and kept.any() else ():
        first, second = [slice(None)] * parts.ndim, [slice(None)] * parts.ndim
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        for one, other in ((tuple(first), tuple(second)), (tuple(second), tuple(first))):
            touching = (parts[one] > 0) & (kept[other] > 0)
            both = np.stack([parts[one][touching], kept[other][touching]])
            pairs, sizes = np.unique(both, axis=1, return_counts=True)
            for (part, number), size in zip(pairs.T.tolist(), sizes.tolist(), strict=True):
                found = contacts.setdefault(part, {})
                found[number] = found.get(number, 0) + size
    return {part: max(found, key=lambda number: found[number]) for part, found in contacts.items()}
