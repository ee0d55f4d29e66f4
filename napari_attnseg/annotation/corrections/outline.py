"""Growing, shrinking and smoothing the outlines of objects of one plane, square by square."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_attnseg.annotation.corrections.scope import (
    Box,
    Mask,
    Scope,
    bounding_box,
    chosen_pixels,
    clusters,
    count_regions,
    padded,
    value_boxes,
)

# Side of the squares that a plane is worked through in: memory stays small on any plane.
SQUARE = 512

Array = np.ndarray[Any, Any]
Change = Callable[[Array, Mask], Array]


def grow(labels: Array, where: Scope, radius: int) -> Array:
    """Grow objects into the background by a disc of `radius` pixels; between two of them the nearer one takes a pixel.

    Parameters
    ----------
    labels
        (y, x), unsigned.
    where
        What to correct; see `Scope`.
    radius
        Pixels.

    Returns
    -------
    ndarray
        A corrected copy.

    Raises
    ------
    DataError
        There is no object at the position of the scope, or it names the background.
    ValueError
        The radius is negative.
    """

    def grown(part: Array, meant: Mask) -> Array:
        from scipy import ndimage

        result = part.copy()
        box = bounding_box(meant, radius)
        old = part[box]
        distance, (y, x) = ndimage.distance_transform_edt(~meant[box], return_indices=True)
        result[box] = np.where((distance <= radius) & (old == 0), old[y, x], old)
        return result

    return _locally(labels, where, _checked(radius), grown)


def shrink(labels: Array, where: Scope, radius: int) -> Array:
    """Shrink objects by a disc of `radius` pixels, from each other too; the border of the plane does not eat into them.

    Parameters, result and errors are those of `grow`.
    """

    def shrunk(part: Array, meant: Mask) -> Array:
        from scipy import ndimage

        result = part.copy()
        for value, found in value_boxes(part, meant):
            box = padded(found, 1, part.shape)
            mask = meant[box] & (part[box] == value)
            if not mask.all():
                result[box][mask & (ndimage.distance_transform_edt(mask) <= radius)] = 0
        return result

    return _locally(labels, where, _checked(radius), shrunk)


def smooth(labels: Array, where: Scope, radius: int) -> Array:
    """Smooth the outlines of objects against the background.

    In a disc of `radius` pixels around each pixel the object is weighed against the background, and the pixel goes to
    the larger of the two. Outlines that two objects share stay, and so does an object that would vanish altogether.
    Parameters, result and errors are those of `grow`.
    """

    def smoothed(part: Array, meant: Mask) -> Array:
        result, claimed = part.copy(), np.zeros(part.shape, np.int32)
        for value, found in value_boxes(part, meant):
            box = padded(found, 2 * radius, part.shape)  # the discs of all pixels that can change
            mask = meant[box] & (part[box] == value)
            own, background = _count_in_disc(mask, radius), _count_in_disc(part[box] == 0, radius)
            result[box][mask & (own < background)] = 0
            taken = (part[box] == 0) & (own > background) & (own > claimed[box])
            result[box][taken] = value
            claimed[box][taken] = own[taken]
        return result

    result = _locally(labels, where, _checked(radius), smoothed)
    _restore_vanished(labels, result, where)
    return result


def _checked(radius: int) -> int:
    if radius < 0:
        raise ValueError(f"A radius cannot be negative: {radius}.")
    return radius


def _locally(labels: Array, where: Scope, radius: int, change: Change) -> Array:
    """Change a plane square by square, for a change that sees no farther than `radius` pixels.

    `change` gets a part of the plane and which of its pixels are meant, and returns the new part. Squares without
    anything that is meant in reach are left as they are.
    """
    # A pixel in reach of an object is weighed by the pixels in reach of it, and a distance needs one pixel more.
    reach = 2 * radius + 1
    box, meant = chosen_pixels(labels, where, reach)
    result = labels.copy()
    if radius == 0:
        return result
    part, corrected = labels[box], result[box]
    for square in _squares(part.shape):
        seen = padded(square, reach, part.shape)
        if meant[seen].any():
            top, left = (inner.start - outer.start for inner, outer in zip(square, seen, strict=True))
            height, width = (side.stop - side.start for side in square)
            changed = change(part[seen], meant[seen])
            corrected[square] = changed[top : top + height, left : left + width]
    return result


def _squares(shape: tuple[int, ...]) -> Iterator[Box]:
    for y in range(0, shape[0], SQUARE):
        for x in range(0, shape[1], SQUARE):
            yield slice(y, min(y + SQUARE, shape[0])), slice(x, min(x + SQUARE, shape[1]))


def _count_in_disc(mask: Mask, radius: int) -> Array:
    """Count the pixels of a mask in a disc around each pixel, int32; beyond its border the mask goes on mirrored."""
    height, width = mask.shape
    spread = np.pad(mask, radius, mode="symmetric")
    sums = np.zeros((spread.shape[0], spread.shape[1] + 1), np.int32)
    np.cumsum(spread, axis=1, out=sums[:, 1:])
    counts = np.zeros(mask.shape, np.int32)
    for dy in range(-radius, radius + 1):
        half = int((radius**2 - dy**2) ** 0.5)
        rows = sums[radius + dy : radius + dy + height]
        after, before = radius + half + 1, radius - half
        counts += rows[:, after : after + width] - rows[:, before : before + width]
    return counts


def _restore_vanished(labels: Array, result: Array, where: Scope) -> None:
    """Put back, in the background of `result`, the regions that have no pixel left there."""
    box, meant = chosen_pixels(labels, where)
    part, corrected = labels[box], result[box]
    for value, piece, mask in clusters(part, meant):
        numbered, sizes = count_regions(mask)
        there = np.zeros(sizes.size, bool)
        there[numbered[mask & (corrected[piece] == value)]] = True
        back = ~there[numbered] & mask & (corrected[piece] == 0)
        corrected[piece][back] = value
