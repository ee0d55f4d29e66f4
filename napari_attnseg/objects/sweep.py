"""Touching objects cut apart in planes and volumes too large to be looked at as a whole.

A window goes down the rows. What it shows is separated by `separate`; regions that reach its lower end wait until the
window has come to theirs, and are looked at again together with what goes on below. A region is separated by itself
and by what is near it, so what comes out is the same as for the whole at once.

Where a region is too high for the window, as in a tissue whose cells all touch, all but its last rows is decided; what
those last rows show is only there so that the others are cut as in the whole. In the next window, an object that goes
on is the one that has most of its pixels there already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from skimage.measure import label

from napari_attnseg.errors import Stopped
from napari_attnseg.objects.blank import release
from napari_attnseg.objects.separate import Objects, separate
from napari_attnseg.objects.strips import Planes, Window, rows_of, strips_of
from napari_attnseg.settings import ObjectSettings

Array = np.ndarray[Any, Any]
ByClass = Callable[[Array], "dict[int, Array]"]


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
    window = Window.of(labels.shape[1:], len(planes), spacing, settings)
    all_sizes = settings.model_copy(update={"min_size": 0})  # what is cut by a window's end must not be dropped
    start = end = 0
    while end < height:
        if should_stop():
            raise Stopped
        end = min(end + window.step, height)
        shown = slice(start, end)
        block = rows_of(classes, planes, shown)
        waits, start = _waiting(block, shown, height, window)
        known = None if probability is None else by_class(rows_of(probability, planes, shown))
        found = separate(block, known, spacing=spacing, settings=all_sizes, should_stop=should_stop)
        work.take(found, ~waits, shown)
        del block, waits, known, found  # before the next ones are there
        on_progress(0.9 * end / height)
    return work.finish(least_pixels, should_stop)


def _waiting(block: Array, shown: slice, height: int, window: Window) -> tuple[Array, int]:
    """Return which pixels of a window (..., y, x) are not decided yet, and the first row of the next window."""
    start, end = shown.start, shown.stop
    if end == height:
        return np.zeros(block.shape, bool), end
    regions, count = label(block, background=0, return_num=True, connectivity=block.ndim)
    is_open = np.zeros(count + 1, bool)
    is_open[regions[..., max(end - start - window.near, 0) :, :]] = True
    is_open[0] = False
    first = _first_rows(regions, is_open) + start
    too_high = min(end + window.step, height) - (first - window.near) > window.most
    waits = is_open[regions]
    following = first[~too_high].min(initial=end) - window.near
    if too_high.any():
        cut = end - window.context
        waits[..., : cut - start, :] &= ~too_high[regions[..., : cut - start, :]]
        following = min(following, cut - window.context)
    return waits, max(int(following), start)


def _first_rows(regions: Array, is_open: Array) -> Array:
    """Return the first row of each open region (..., y, x) by number; a row far below for the others."""
    first = np.full(len(is_open), np.iinfo(np.int64).max // 2)
    at = np.flatnonzero(is_open[regions])
    np.minimum.at(first, regions.ravel()[at], at // regions.shape[-1] % regions.shape[-2])
    return first


class _Sweep:
    """What was found so far: objects under numbers of their own, and where each comes first."""

    def __init__(self, labels: Array, planes: list[int], before: int) -> None:
        self._labels, self._planes, self._before = labels, planes, before
        self._count = 0
        self._classes = np.zeros(1, np.uint8)
        self._sizes = np.zeros(1, np.int64)
        self._first = np.zeros(1, np.int64)

    def take(self, objects: Objects, decided: Array, rows: slice) -> None:
        """Take over what is decided, bool (y, x) or (z, y, x), of the objects of some rows."""
        found, classes = objects.labels, objects.classes
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
        release(self._labels)

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
                release(self._labels)
        return np.asarray(self._classes[order])

    def _goes_on(self, found: Array, there: Array, count: int) -> Array:
        """Return for each object the number that most of its pixels have already; 0 for one that is new."""
        both = (found > 0) & (there > 0)
        pairs, pixels = np.unique(found[both].astype(np.int64) << 32 | there[both], return_counts=True)
        numbers = np.zeros(count, np.int64)
        by_pixels = np.argsort(pixels, kind="stable")  # the last one that is written stays
        objects, known = pairs[by_pixels] >> 32, pairs[by_pixels] & 0xFFFFFFFF
        numbers[objects] = known
        # of two that have most pixels of one number, the one that has more goes on as it
        values, place = np.unique(known, return_inverse=True)
        goes_on = np.zeros(len(values), np.int64)
        own = numbers[objects] == known
        goes_on[place[own]] = objects[own]
        numbers[objects[own & (goes_on[place] != objects)]] = 0
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
