"""Which regions of two planes are one shape, and what that shape is in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.annotation.corrections.scope import Box, Mask, count_regions, padded, within

Array = np.ndarray[Any, Any]
Point = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """One shape in two planes, within a box that holds both.

    Attributes
    ----------
    box
        Slices of the planes.
    first, last
        Signed distances to the outline, float32 (y, x) of the size of the box in pixels: positive inside, 0 half-way
        between the pixels on both sides of the outline.
    shift
        (y, x) from the centroid in the first plane to that in the last, in pixels.
    """

    box: Box
    first: NDArray[np.float32]
    last: NDArray[np.float32]
    shift: Point

    def between(self, part: float) -> tuple[Box, NDArray[np.float32]]:
        """Return the box and the signed distances, float32 (y, x), at a part, 0 to 1, of the way to the last plane."""
        (dy, dx), rest = self.shift, 1 - part
        first = _moved(self.first, (dy * part, dx * part))
        last = _moved(self.last, (-dy * rest, -dx * rest))
        return self.box, (rest * first + part * last).astype(np.float32)


def match_shapes(first: Mask, last: Mask, box: Box, plane_shape: tuple[int, ...]) -> list[Shape]:
    """Return the shapes of one value; see `interpolate.interpolate_planes` for what makes a shape.

    Parameters
    ----------
    first, last
        Where the value is in the two planes, bool (y, x), each with at least one pixel.
    box
        Slices of the planes that the masks were cut from; nothing of the value is outside.
    plane_shape
        Size of a plane (y, x).
    """
    from scipy import ndimage

    (numbered, sizes), (numbered_last, sizes_last) = count_regions(first), count_regions(last)
    groups = _overlapping(numbered, numbered_last, sizes.size, sizes_last.size)
    joined: list[set[int]] = [set().union(*(group[side] for group in groups)) for side in (0, 1)]
    loose = [set(range(1, count.size)) - known for count, known in zip((sizes, sizes_last), joined, strict=True)]
    groups += _nearest_pairs(numbered, numbered_last, loose, always=sizes.size == sizes_last.size == 2)
    boxes, boxes_last = ndimage.find_objects(numbered), ndimage.find_objects(numbered_last)
    shapes = []
    for a, b in groups:
        part = enclosing([*(boxes[n - 1] for n in a), *(boxes_last[n - 1] for n in b)])
        masks = np.isin(numbered[part], list(a)), np.isin(numbered_last[part], list(b))
        shapes.append(_shape(*masks, within(box, part), plane_shape))
    return shapes


def enclosing(boxes: list[Box]) -> Box:
    """Return the smallest box around all boxes."""
    rows, columns = (
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)) for axis in (0, 1)
    )
    return rows, columns


def _overlapping(first: Array, last: Array, count: int, count_last: int) -> list[tuple[set[int], set[int]]]:
    """Return the groups of regions of two numbered planes that overlap, directly or through others."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    both = (first > 0) & (last > 0)
    pairs = np.unique(np.stack([first[both], last[both]]), axis=1)
    total = count + count_last
    links = coo_matrix((np.ones(pairs.shape[1], bool), (pairs[0], pairs[1] + count)), shape=(total, total))
    _, group_of = connected_components(links, directed=False)
    groups: dict[int, tuple[set[int], set[int]]] = {}
    for a, b in pairs.T:
        group = groups.setdefault(int(group_of[a]), (set(), set()))
        group[0].add(int(a))
        group[1].add(int(b))
    return list(groups.values())


def _nearest_pairs(
    first: Array, last: Array, loose: list[set[int]], *, always: bool
) -> list[tuple[set[int], set[int]]]:
    """Join regions without overlap to the nearest of the other plane, the closest pair first."""
    found = [_places(plane, sorted(numbers)) for plane, numbers in zip((first, last), loose, strict=True)]
    ways = sorted(
        (float(np.hypot(a[0][0] - b[0][0], a[0][1] - b[0][1])), float(a[1] + b[1]), n, m)
        for n, a in found[0].items()
        for m, b in found[1].items()
    )
    pairs: list[tuple[set[int], set[int]]] = []
    for way, widths, n, m in ways:
        if (always or way <= widths) and n in loose[0] and m in loose[1]:
            loose[0].remove(n)
            loose[1].remove(m)
            pairs.append(({n}, {m}))
    return pairs


def _places(numbered: Array, numbers: list[int]) -> dict[int, tuple[Point, float]]:
    """Return the centroid of each region and the diameter of a disc of its size, in pixels."""
    from scipy import ndimage

    if not numbers:
        return {}
    areas = np.bincount(numbered.ravel())[numbers]
    centroids = ndimage.center_of_mass(numbered > 0, numbered, numbers)
    return {
        number: ((float(y), float(x)), float(np.sqrt(4 / np.pi * area)))
        for number, (y, x), area in zip(numbers, centroids, areas, strict=True)
    }


def _shape(first: Mask, last: Mask, tight: Box, plane_shape: tuple[int, ...]) -> Shape:
    """Measure a shape; the masks are those of the `tight` box of a plane."""
    (y, x), (y_last, x_last) = _centroid(first), _centroid(last)
    shift = y_last - y, x_last - x
    # Wide enough to be moved within; what lies beyond the border of the plane goes on as it is at the border.
    box = padded(tight, 2 + int(np.ceil(max(abs(part) for part in shift))), plane_shape)
    margins = [(inner.start - outer.start, outer.stop - inner.stop) for inner, outer in zip(tight, box, strict=True)]
    one, other = (np.pad(mask, margins) for mask in (first, last))
    return Shape(box, _signed_distance(one), _signed_distance(other), shift)


def _signed_distance(mask: Mask) -> NDArray[np.float32]:
    from scipy import ndimage

    outside = ndimage.distance_transform_edt(~mask)
    # A mask that fills its box fills the plane, as boxes have a rim: it is far from any outline.
    inside = ndimage.distance_transform_edt(mask) if not mask.all() else np.full(mask.shape, max(mask.shape))
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)


def _moved(distance: NDArray[np.float32], shift: Point) -> NDArray[np.float32]:
    from scipy import ndimage

    if max(abs(part) for part in shift) < 1e-6:
        return distance
    moved: NDArray[np.float32] = ndimage.shift(distance, shift, order=1, mode="nearest")
    return moved


def _centroid(mask: Mask) -> Point:
    y, x = np.nonzero(mask)
    return float(y.mean()), float(x.mean())
