"""Which pixels of a plane a correction works on, found without copies of a large plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.errors import DataError

# Side of the squares that a sparse plane is divided into: empty ones are skipped.
TILE = 256
FIRST_REACH = 256

Array = np.ndarray[Any, Any]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice]


@dataclass(frozen=True)
class Scope:
    """What a correction works on.

    Attributes
    ----------
    kind
        'class': all pixels of `value`; 'plane': every value but 0, each by itself; 'region': the connected pixels
        (diagonals included) of one value at `position`.
    value
        A class id or an object's number, for 'class' only.
    position
        (y, x) in pixels, for 'region' only.
    """

    kind: Literal["class", "plane", "region"]
    value: int | None = None
    position: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.kind == "class" and self.value is None:
            raise ValueError("A scope of one class needs its value.")
        if self.kind == "region" and self.position is None:
            raise ValueError("A scope of one region needs a position.")


def chosen_pixels(labels: Array, where: Scope, margin: int = 0) -> tuple[Box, Mask]:
    """Return the part of a plane a scope lies in and, for that part, which pixels are meant.

    Parameters
    ----------
    labels
        (y, x), unsigned.
    where
        What is meant.
    margin
        Pixels around the bounding box of what is meant that belong to the part too, as far as the plane goes.

    Returns
    -------
    tuple
        Slices of `labels` and a bool array (y, x) of the size of that part. Both are empty if the class is not there.

    Raises
    ------
    DataError
        There is no object at the position, or the value is the background's.
    """
    if where.kind == "region":
        return _region(labels, where.position or (0, 0), margin)
    if where.kind == "class":
        require_class(where.value)
        meant = labels == where.value
    else:
        meant = labels != 0
    box = bounding_box(meant, margin)
    return box, meant[box]


def require_class(value: int | None) -> None:
    """Raise a DataError if a value is that of the background; None means all values and is fine."""
    if value == 0:
        raise DataError("Label 0 is the background, which has no objects to correct; choose a class first.")


def value_boxes(labels: Array, meant: Mask) -> list[tuple[int, Box]]:
    """Return each value among the pixels that are meant, in rising order, with its bounding box.

    Parameters
    ----------
    labels, meant
        (y, x) of the same size.
    """
    from scipy import ndimage

    if not meant.any():
        return []
    if labels.dtype.itemsize > 2:
        # Numbers may be in the billions, and `find_objects` makes a list as long as the largest.
        values, places = np.unique(labels[meant], return_inverse=True)
        ranks = np.zeros(labels.shape, np.int32)
        ranks[meant] = places + 1
    else:
        values = np.arange(1, int(labels.max(initial=0)) + 1)
        ranks = np.where(meant, labels, 0)
    boxes = ndimage.find_objects(ranks)
    return [(int(value), box) for value, box in zip(values, boxes, strict=False) if box is not None]


def clusters(labels: Array, meant: Mask) -> Iterator[tuple[int, Box, Mask]]:
    """Yield the pixels that are meant, value by value, in pieces that hold whole regions each.

    A region (connected, diagonals included) never lies in two pieces, and pieces that are far apart are not joined, so
    that what has to be allocated is small where a large plane is mostly empty.

    Parameters
    ----------
    labels, meant
        (y, x) of the same size.

    Yields
    ------
    tuple
        Value, slices of `labels`, and a bool array (y, x) of that size.
    """
    for part, piece in _pieces(meant):
        for value, box in value_boxes(labels[part], piece):
            own = within(part, box)
            yield value, own, piece[box] & (labels[own] == value)


def bounding_box(mask: Mask, margin: int) -> Box:
    """Return the bounding box of a mask (y, x) with a margin, as far as the mask goes; empty if the mask is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return padded(box, margin, mask.shape)


def count_regions(mask: Mask) -> tuple[Array, Array]:
    """Number the connected regions of a mask from 1; return the numbers int32 (y, x) and the size of each.

    Diagonal neighbours belong to one region. Number 0, what is in no region, has size 0.
    """
    from scipy import ndimage

    numbered, count = ndimage.label(mask, np.ones((3, 3), bool), output=np.int32)
    sizes = np.bincount(numbered[mask], minlength=count + 1)
    return numbered, sizes


def within(outer: Box, inner: Box) -> Box:
    """Return slices into the whole for slices into a part of it."""
    rows, columns = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
    return rows, columns


def padded(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """Return a box with a margin, cut at the border of an array (y, x)."""
    rows, columns = (
        slice(max(side.start - margin, 0), min(side.stop + margin, size)) for side, size in zip(box, shape, strict=True)
    )
    return rows, columns


def _pieces(mask: Mask) -> Iterator[tuple[Box, Mask]]:
    """Yield the parts of a mask whose occupied tiles touch, each with only its own pixels."""
    from scipy import ndimage

    if mask.size <= 4 * TILE * TILE:
        yield (slice(0, mask.shape[0]), slice(0, mask.shape[1])), mask
        return
    columns = np.arange(0, mask.shape[1], TILE)
    strips = [mask[y : y + TILE].any(axis=0) for y in range(0, mask.shape[0], TILE)]
    occupied = np.logical_or.reduceat(np.stack(strips), columns, axis=1)
    groups, _ = ndimage.label(occupied, np.ones((3, 3), bool))
    for number, tiles in enumerate(ndimage.find_objects(groups), start=1):
        part = padded((_in_pixels(tiles[0]), _in_pixels(tiles[1])), 0, mask.shape)
        piece = mask[part]
        own = groups[tiles] == number
        if not own.all():
            own = own.repeat(TILE, axis=0).repeat(TILE, axis=1)
            piece = piece & own[: piece.shape[0], : piece.shape[1]]
        yield part, piece


def _in_pixels(tiles: slice) -> slice:
    return slice(tiles.start * TILE, tiles.stop * TILE)


def _region(labels: Array, position: tuple[int, int], margin: int) -> tuple[Box, Mask]:
    """Find the region at a position by looking at a window around it, a larger one while the region reaches its rim."""
    from scipy import ndimage

    y, x = position
    inside = 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]
    if not inside or labels[y, x] == 0:
        raise DataError("There is no object under the cursor; point at a painted object and try again.")
    reach = FIRST_REACH
    while True:
        window = padded((slice(y, y + 1), slice(x, x + 1)), reach, labels.shape)
        numbered, _ = ndimage.label(labels[window] == labels[y, x], np.ones((3, 3), bool))
        region = numbered == numbered[y - window[0].start, x - window[1].start]
        found = bounding_box(region, 0)
        if not _is_cut(found, window, labels.shape):
            break
        reach *= 2
    box = padded(within(window, found), margin, labels.shape)
    meant = np.zeros(labels[box].shape, bool)
    top, left = window[0].start + found[0].start - box[0].start, window[1].start + found[1].start - box[1].start
    pixels = region[found]
    meant[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return box, meant


def _is_cut(found: Box, window: Box, shape: tuple[int, ...]) -> bool:
    """Return whether what was found in a window reaches a side of it that is no side of the plane."""
    return any(
        (part.start == 0 and side.start > 0) or (part.stop == side.stop - side.start and side.stop < size)
        for part, side, size in zip(found, window, shape, strict=True)
    )
