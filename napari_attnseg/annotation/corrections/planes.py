"""Corrections of one plane of a mask: each takes class ids or object numbers and returns a corrected copy.

All of them keep to two rules. What grows, fills or smooths takes background only, never another class or object; what
is removed becomes background (0). In a plane of numbered objects everything is done for each number by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_attnseg.annotation.corrections.outline import grow, shrink, smooth
from napari_attnseg.annotation.corrections.scope import (
    Box,
    Mask,
    Scope,
    chosen_pixels,
    clusters,
    count_regions,
    require_class,
)

__all__ = [
    "Scope",
    "copy_plane",
    "fill_holes",
    "grow",
    "keep_largest",
    "remove_small",
    "shrink",
    "smooth",
]

Array = np.ndarray[Any, Any]


def fill_holes(labels: Array, where: Scope) -> Array:
    """Fill the holes of objects with their own value.

    A hole is background that pixels of one value enclose, diagonal neighbours closing it. Background that reaches the
    border of the plane is no hole, and neither is background that two values enclose only together. Other objects in a
    hole stay, and so do their own holes.

    Parameters
    ----------
    labels
        (y, x), unsigned.
    where
        What to correct; see `Scope`.

    Returns
    -------
    ndarray
        A corrected copy.

    Raises
    ------
    DataError
        There is no object at the position of the scope, or it names the background.
    """
    from scipy import ndimage

    box, meant = chosen_pixels(labels, where)
    result = labels.copy()
    part, corrected = labels[box], result[box]
    for value, piece, mask in clusters(part, meant):
        holes = ndimage.binary_fill_holes(mask) & (corrected[piece] == 0)
        # The background inside another object that lies in a hole is that object's.
        numbered, count = ndimage.label(holes)
        own = np.zeros(count + 1, bool)
        own[numbered[ndimage.binary_dilation(mask)]] = True
        own[0] = False
        corrected[piece][own[numbered]] = value
    return result


def remove_small(labels: Array, where: Scope, min_pixels: int) -> Array:
    """Remove regions of fewer than `min_pixels` pixels; diagonal neighbours belong to one region.

    Parameters, result and errors are those of `fill_holes`.
    """
    box, meant = chosen_pixels(labels, where)
    result = labels.copy()
    part, corrected = labels[box], result[box]
    for _, piece, mask in clusters(part, meant):
        numbered, sizes = count_regions(mask)
        corrected[piece][(sizes < min_pixels)[numbered] & mask] = 0
    return result


def keep_largest(labels: Array, where: Scope) -> Array:
    """Keep the largest region of each value and remove its others; for one region, keep that region instead.

    Of several that are the largest one is kept. Parameters, result and errors are those of `fill_holes`.
    """
    box, meant = chosen_pixels(labels, where)
    result = labels.copy()
    corrected = result[box]
    if where.kind == "region":
        value = labels[box][meant][0]
        result[labels == value] = 0
        corrected[meant] = value
        return result
    largest: dict[int, tuple[int, Box, Mask]] = {}
    for value, piece, mask in clusters(labels[box], meant):
        numbered, sizes = count_regions(mask)
        first = int(np.argmax(sizes))
        if value not in largest or sizes[first] > largest[value][0]:
            largest[value] = int(sizes[first]), piece, numbered == first
    corrected[meant] = 0
    for value, (_, piece, kept) in largest.items():
        corrected[piece][kept] = value
    return result


def copy_plane(source: Array, target: Array, value: int | None = None) -> Array:
    """Copy the mask of one plane to another.

    Parameters
    ----------
    source, target
        (y, x) of the same size, unsigned.
    value
        The class to copy: it is replaced in the target and does not go over other classes there. None: all of them,
        so that the target becomes the source.

    Returns
    -------
    ndarray
        The new target, of its dtype.

    Raises
    ------
    DataError
        The value is that of the background.
    ValueError
        The planes differ in size.
    """
    if source.shape != target.shape:
        raise ValueError(f"The planes differ in size: {source.shape} and {target.shape}.")
    require_class(value)
    if value is None:
        return source.astype(target.dtype)
    result = target.copy()
    result[result == value] = 0
    result[(source == value) & (result == 0)] = value
    return result
