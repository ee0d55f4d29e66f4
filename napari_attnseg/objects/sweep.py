"""Touching objects cut apart in planes and volumes too large to be looked at as a whole.

A window goes down the rows. What it shows is separated by `separate`; regions that reach its lower end wait until the
window has come to theirs, and are looked at again together with what goes on below. A region is separated by itself
and by what is near it, so what comes out is the same as for the whole at once.

Where a region is too high for the window, as in a tissue whose cells all touch, all but its last rows is decided; what
those last rows show is only there so that the others are cut as in the whole. In the next window, an object that goes
on is the one that has most of its pixels there already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from skimage.measure import label

from napari_attnseg.errors import Stopped
from napari_attnseg.objects import strips
from napari_attnseg.objects.separate import separate
from napari_attnseg.objects.strips import Planes, rows_of, strips_of
from napari_attnseg.settings import ObjectSettings

_CONTEXT, _CONTEXT_OF_VOLUMES = 256, 64  # rows above and below of what is decided, where a region is cut
_STEPS_AT_ONCE = 2

Array = np.ndarray[Any, Any]
ByClass = Callable[[Array], "dict[int, Array]"]


def most_looked_at(size: tuple[int, ...], planes: int, spacing: Sequence[float], settings: ObjectSettings) -> int:
    """Return how many pixels are looked at at once at most, of so many planes of this size (y, x)."""
    return min(size[0], _Rows.of(size, planes, _margin(spacing, settings)).most) * size[1] * planes


def separate_in_strips(
    labels: Array,
    planes: Sequence[int],
    classes: Planes,
    probability: Planes | None,
    by_class: ByClass,
    *,
    spacing: Sequence[float],
    settings: ObjectSettings,
    least_pixels: float,
    before: int,
    on_progress: Callable[[float], None] = lambda share: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Array:
    """Number the objects of a plane or a volume as `separate` does, some rows at a time.

    Parameters
    ----------
    labels
        uint32 (plane, y, x), 0 in these planes, which are filled in.
    planes
        The numbers of the planes: one, or those of a volume.
    classes
        Planes of class ids (y, x).
    probability
        Planes float (class, y, x), or None.
    by_class
        Makes of the probability of some rows, (class, y, x) or (plane, class, y, x), what `separate` takes.
    spacing, settings
        See `separate`.
    least_pixels
        How many pixels an object must have.
    before
        The highest number that is taken already.
    on_progress, should_stop
        As in `finding.find_objects`.

    Returns
    -------
    ndarray
        uint8: the class of each number from `before` + 1 on.

    Raises
    ------
    Stopped
        `should_stop` returned True.
    """
    work = _Sweep(labels, list(planes), before)
    height = labels.shape[1]
    near = _margin(spacing, settings)
    lot = _Rows.of(labels.shape[1:], len(planes), near)
    all_sizes = settings.model_copy(update={"min_size": 0})  # what is cut by a window's end must not be dropped
    start, end = 0, min(lot.step, height)
    while True:
        shown = slice(start, end)
        block = rows_of(classes, planes, shown)
        known = None if probability is None else by_class(rows_of(probability, planes, shown))
        found = separate(block, known, spacing=spacing, settings=all_sizes, should_stop=should_stop)
        regions, count = label(block, background=0, return_num=True, connectivity=block.ndim)
        is_open = np.zeros(count + 1, bool)
        if end < height:
            is_open[regions[..., max(end - start - near, 0) :, :]] = True
        is_open[0] = False
        waits = is_open[regions]
        following = max(start + _first_row(waits) - near, start)
        if end < height and min(end + lot.step, height) - following > lot.most:  # a region too high to wait for
            cut = end - lot.context
            waits[..., : cut - start, :] = False
            following = cut - lot.context
        work.take(found.labels, found.classes, ~waits, shown)
        on_progress(0.9 * end / height)
        if end == height:
            break
        start, end = following, min(end + lot.step, height)
    return work.finish(least_pixels, should_stop)


@dataclass(frozen=True)
class _Rows:
    """How many rows are taken at a time, at most, and as surroundings of what is cut."""

    step: int
    most: int
    context: int

    @classmethod
    def of(cls, size: tuple[int, ...], planes: int, near: int) -> _Rows:
        """Return them for so many planes of a size (y, x); see `_margin` for `near`."""
        row = max(size[1], 1) * planes
        context = max(_CONTEXT if planes == 1 else _CONTEXT_OF_VOLUMES, near)
        step = max(strips.MOST_AT_ONCE // row // _STEPS_AT_ONCE, 32)
        return cls(step, max(_STEPS_AT_ONCE * step, 2 * context + 2 * step), context)


class _Sweep:
    """What was found so far: objects under numbers of their own, and where each comes first."""

    def __init__(self, labels: Array, planes: list[int], before: int) -> None:
        self._labels, self._planes, self._before = labels, planes, before
        self._count = 0
        self._classes = np.zeros(1, np.uint8)
        self._sizes = np.zeros(1, np.int64)
        self._first = np.zeros(1, np.int64)

    def take(self, found: Array, classes: Array, decided: Array, rows: slice) -> None:
        """Take over what is decided of the objects of some rows, (y, x) or (z, y, x); `classes` is that of each."""
        there = self._labels[self._planes, rows].astype(np.int64).reshape(found.shape)
        numbers = self._goes_on(found, there, len(classes))
        new = decided & (found > 0) & (there == 0)
        fresh = np.flatnonzero((np.bincount(found[new], minlength=len(classes)) > 0) & (numbers == 0))
        numbers[fresh] = self._before + self._count + 1 + np.arange(len(fresh))
        self._grow(classes[fresh])
        written = numbers[found[new]]
        there[new] = written
        self._labels[self._planes, rows] = there.reshape((len(self._planes), -1, found.shape[-1])).astype(np.uint32)
        own = written - self._before
        self._sizes += np.bincount(own, minlength=len(self._sizes))
        places = self._place(np.flatnonzero(new), found.shape, rows.start)
        first = np.full(len(self._first), np.iinfo(np.int64).max)
        first[own[::-1]] = places[::-1]
        self._first = np.minimum(self._first, first)

    def finish(self, least_pixels: float, should_stop: Callable[[], bool]) -> Array:
        """Drop what is too small and number the others class by class, in the order in which they come first."""
        keep = self._sizes >= max(least_pixels, 1)
        keep[0] = False
        order = np.lexsort((self._first, self._classes))
        order = order[keep[order]]
        numbers = np.zeros(self._count + 1, np.uint32)
        numbers[order] = self._before + 1 + np.arange(len(order))
        for plane in self._planes:
            for rows in strips_of(self._labels.shape[1:]):
                if should_stop():
                    raise Stopped
                part = self._labels[plane, rows].astype(np.int64)
                self._labels[plane, rows] = numbers[np.where(part > 0, part - self._before, 0)]
        return np.asarray(self._classes[order])

    def _goes_on(self, found: Array, there: Array, count: int) -> Array:
        """Return for each object the number that most of its pixels have already; 0 where none has one."""
        both = (found > 0) & (there > 0)
        pairs, pixels = np.unique(found[both].astype(np.int64) << 32 | there[both], return_counts=True)
        numbers = np.zeros(count, np.int64)
        by_pixels = np.argsort(pixels, kind="stable")  # the last one that is written stays
        numbers[pairs[by_pixels] >> 32] = pairs[by_pixels] & 0xFFFFFFFF
        return numbers

    def _grow(self, classes: Array) -> None:
        self._count += len(classes)
        self._classes = np.concatenate([self._classes, classes])
        self._sizes = np.concatenate([self._sizes, np.zeros(len(classes), np.int64)])
        self._first = np.concatenate([self._first, np.full(len(classes), np.iinfo(np.int64).max)])

    def _place(self, flat: Array, shape: tuple[int, ...], top: int) -> Array:
        """Turn places in a window into places in the plane or volume."""
        _, height, width = self._labels.shape
        plane, inside = np.divmod(flat, shape[-2] * shape[-1])
        return np.asarray(plane * (height * width) + inside + top * width)


def _first_row(there: Array) -> int:
    """Return the first row in which something is true; how many rows there are if nothing is."""
    rows = np.asarray(there.any(axis=tuple(axis for axis in range(there.ndim) if axis != there.ndim - 2)))
    return int(rows.argmax()) if rows.any() else len(rows)


def _margin(spacing: Sequence[float], settings: ObjectSettings) -> int:
    """Return how many rows off a region others can change how thick it seems, by smoothing.

    Within the reach of smoothing, the thickness of a neighbour is that to the background between the two, which is not
    farther than the reach again.
    """
    pixel = math.sqrt(spacing[-1] * spacing[-2])
    smoothing = pixel if settings.smoothing is None else settings.smoothing
    reach = [int(4 * smoothing / length + 0.5) for length in spacing]  # scipy's, in pixels along each axis
    far = math.sqrt(sum((count * length) ** 2 for count, length in zip(reach, spacing, strict=True)))
    return reach[-2] + math.ceil(far / spacing[-2]) + 2
