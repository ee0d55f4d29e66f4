"""Masks for the planes between two painted ones, from the shapes in those two."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_attnseg.annotation.corrections.interpolate_shapes import Shape, enclosing, match_shapes
from napari_attnseg.annotation.corrections.scope import require_class, value_boxes
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]


def interpolate_planes(first: Array, last: Array, n_between: int, value: int | None = None) -> list[Array]:
    """Interpolate the shapes of two painted planes for the planes between them.

    The signed distances to the outlines of a shape are interpolated linearly, and what comes out positive is the shape
    (shape-based interpolation; Raya and Udupa, IEEE Transactions on Medical Imaging 9(1), 1990). Each value is
    interpolated by itself; where two claim a pixel it goes to the one it lies deeper in.

    Regions of a value that overlap between the two planes belong together. Both are moved to the centroid they would
    have in between first, so that a shape that shifts keeps its size. Regions that overlap none are joined to the
    nearest such region of the other plane if the way is not farther than the two are wide; a value with a single
    region in each plane is always joined, however far it moved. What has no partner is not continued, and a value that
    is in one plane only is left out.

    Parameters
    ----------
    first, last
        The painted planes (y, x), of the same size and dtype, unsigned; 0 is background.
    n_between
        How many planes lie between them.
    value
        The only value to interpolate; None: all of them.

    Returns
    -------
    list of ndarray
        `n_between` planes (y, x) of the dtype of `first`, in order; 0 where nothing is interpolated.

    Raises
    ------
    DataError
        The value is that of the background, or is not in both planes.
    ValueError
        The planes differ in size or dtype, or `n_between` is negative.
    """
    if first.shape != last.shape or first.dtype != last.dtype or n_between < 0:
        raise ValueError(f"Cannot interpolate {n_between} planes from {first.shape} to {last.shape}.")
    require_class(value)
    boxes, boxes_last = (dict(value_boxes(plane, plane != 0)) for plane in (first, last))
    shared = sorted(boxes.keys() & boxes_last.keys())
    if value is not None and value not in shared:
        raise DataError(
            f"Label {value} is not painted in both planes; paint it in the two planes to interpolate between."
        )
    shapes = []
    for v in shared if value is None else [value]:
        box = enclosing([boxes[v], boxes_last[v]])
        shapes += [(v, shape) for shape in match_shapes(first[box] == v, last[box] == v, box, first.shape)]
    return [_plane_between(shapes, (n + 1) / (n_between + 1), first) for n in range(n_between)]


def interpolate_stack(stack: Array, z: int, value: int | None = None) -> dict[int, Array]:
    """Fill the unpainted planes around plane `z` from the nearest painted planes on both sides.

    If `z` is painted itself, it is the end of the gaps before and after it, and those are filled. Each value has its
    own gaps: a plane where another class is painted is unpainted for this one. Only background is painted.

    Parameters
    ----------
    stack
        Labels (z, y, x), unsigned.
    z
        The plane looked at, counted from 0.
    value
        The class or object to interpolate; None: each that is painted on both sides.

    Returns
    -------
    dict
        The new plane (y, x), of the dtype of the stack, for each plane that changes.

    Raises
    ------
    DataError
        The value is that of the background, or there is no gap between two painted planes here.
    """
    require_class(value)
    gaps: dict[tuple[int, int], list[int]] = {}
    for v in _values_of_stack(stack) if value is None else [value]:
        for gap in _gaps(stack, z, v):
            gaps.setdefault(gap, []).append(v)
    if not gaps:
        raise _nothing_between(z, value)
    planes: dict[int, Array] = {}
    for (before, after), values in gaps.items():
        ends = [np.where(np.isin(stack[end], values), stack[end], stack.dtype.type(0)) for end in (before, after)]
        for number, plane in enumerate(interpolate_planes(ends[0], ends[1], after - before - 1), start=before + 1):
            old = planes.get(number, stack[number])
            new = np.where(old == 0, plane, old)
            if not np.array_equal(new, old):
                planes[number] = new
    return planes


def _plane_between(shapes: list[tuple[int, Shape]], part: float, like: Array) -> Array:
    """Draw all shapes at a part, 0 to 1, of the way; where two meet, the pixel is that of the deeper one."""
    plane, depth = np.zeros_like(like), np.zeros(like.shape, np.float32)
    for value, shape in shapes:
        box, inside = shape.between(part)
        deeper = inside > depth[box]
        plane[box][deeper] = value
        depth[box][deeper] = inside[deeper]
    return plane


def _gaps(stack: Array, z: int, value: int) -> list[tuple[int, int]]:
    """Return the painted planes around each run of planes at `z` that the value is not painted in."""
    here = bool((stack[z] == value).any())
    before, after = _nearest(stack, z, -1, value), _nearest(stack, z, 1, value)
    ends = [(before, z), (z, after)] if here else [(before, after)]
    return [(a, b) for a, b in ends if a is not None and b is not None and b - a > 1]


def _nearest(stack: Array, z: int, step: int, value: int) -> int | None:
    end = len(stack) if step > 0 else -1
    for number in range(z + step, end, step):
        if (stack[number] == value).any():
            return number
    return None


def _values(plane: Array) -> list[int]:
    if plane.dtype.itemsize <= 2:
        counts = np.bincount(plane.ravel())
        return [int(value) for value in np.flatnonzero(counts) if value]
    return [int(value) for value in np.unique(plane) if value]


def _values_of_stack(stack: Array) -> list[int]:
    found: set[int] = set()
    for plane in stack:
        found.update(_values(plane))
    return sorted(found)


def _nothing_between(z: int, value: int | None) -> DataError:
    what = "Nothing" if value is None else f"Label {value}"
    verb = "is" if value is None else "is not"
    return DataError(
        f"{what} {verb} painted on both sides of plane {z} with empty planes in between; "
        "paint the object in a plane before and a plane after the ones to fill."
    )
