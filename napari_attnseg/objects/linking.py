"""Connected regions through the planes of a stack, numbered without the stack being in memory.

Planes come one by one. Each is numbered by itself; where a region touches one of the same class on a plane before, the
two numbers are noted as one (a union-find). When all planes have come, each plane's numbers are replaced by those of
the whole. The result is that of `skimage.measure.label` on the whole stack, numbers included.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from skimage.measure import label

Array = np.ndarray[Any, Any]
Plane = tuple[int, ...]
Step = tuple[Plane, int]
"""How many planes back along each stack axis, and how far a pixel on the one may lie from that on the other."""


class Linker:
    """Takes planes in the order of the stack, or rows; `final` then says which number each provisional one becomes.

    Parameters
    ----------
    stack_shape
        Lengths of the stack axes.
    through
        For each stack axis, whether a region can go on along it.
    connectivity
        scikit-image's: along how many of the axes that regions can go through a step may go at once.
    """

    def __init__(self, stack_shape: Plane, through: tuple[bool, ...], connectivity: int) -> None:
        self._shape = stack_shape
        self._steps = _steps(through, connectivity)
        self._in_plane = min(connectivity, 2)
        self._planes = np.ndindex(*stack_shape)
        self._recent: OrderedDict[Plane, tuple[Array, Array]] = OrderedDict()
        self._last_row: tuple[Array, Array]
        self._parents = np.zeros(1, np.int64)
        self._classes = np.zeros(1, np.uint8)
        self._count = 0

    def add(self, classes: Array) -> Array:
        """Take the next plane, class ids (y, x); return its provisional numbers, int64, 0 for the background."""
        index = next(self._planes)
        numbers = self._numbered(classes)
        for back, reach in self._steps:
            place = tuple(i - step for i, step in zip(index, back, strict=True))
            before = self._recent.get(place)
            if before is not None:
                self._link(before, (numbers, classes), reach)
        self._remember(index, numbers, classes)
        return np.asarray(numbers)

    def add_rows(self, classes: Array, *, is_first: bool) -> Array:
        """Take the next rows of a plane, as `add` takes planes; only where regions go on through none.

        `is_first` says that a plane begins with them.
        """
        numbers = self._numbered(classes)
        if not is_first:
            self._link(self._last_row, (numbers[:1], classes[:1]), self._in_plane - 1)
        self._last_row = numbers[-1:].copy(), classes[-1:].copy()
        return numbers

    def final(self) -> tuple[Array, Array]:
        """Return the final number of each provisional one, uint32, and the class of each final number, uint8."""
        roots = np.array([self._root(number) for number in range(self._count + 1)])
        is_root = roots == np.arange(self._count + 1)
        # the least number of a region is its root, and its first pixel's, so that ranks follow the order of pixels
        ranks = np.cumsum(is_root) - 1
        return ranks[roots].astype(np.uint32), self._classes[: self._count + 1][is_root]

    def _numbered(self, classes: Array) -> Array:
        numbers, count = label(classes, background=0, return_num=True, connectivity=self._in_plane)
        numbers = numbers.astype(np.int64)
        numbers[numbers > 0] += self._count
        self._grow(numbers, classes, count)
        return np.asarray(numbers)

    def _grow(self, numbers: Array, classes: Array, count: int) -> None:
        total = self._count + count + 1
        if total > len(self._parents):
            size = max(total, 2 * len(self._parents))
            self._parents = np.concatenate([self._parents, np.arange(len(self._parents), size)])
            self._classes = np.concatenate([self._classes, np.zeros(size - len(self._classes), np.uint8)])
        at = numbers > 0
        self._classes[numbers[at]] = classes[at]
        self._count += count

    def _link(self, before: tuple[Array, Array], now: tuple[Array, Array], reach: int) -> None:
        for dy, dx in product((-1, 0, 1), repeat=2):
            if abs(dy) + abs(dx) > reach:
                continue
            old, old_classes = (_shifted(array, dy, dx) for array in before)
            new, new_classes = (_shifted(array, -dy, -dx) for array in now)
            touch = (old > 0) & (old_classes == new_classes)
            pairs = np.unique(old[touch] * (self._count + 1) + new[touch])  # as one number each: many times faster
            for one, other in zip(*np.divmod(pairs, self._count + 1), strict=True):
                self._unite(int(one), int(other))

    def _unite(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        self._parents[high] = low

    def _root(self, number: int) -> int:
        parents = self._parents
        while (parent := int(parents[number])) != number:
            parents[number] = parents[parent]
            number = parent
        return number

    def _remember(self, index: Plane, numbers: Array, classes: Array) -> None:
        """Keep the planes that later ones can touch."""
        if not self._steps:
            return
        self._recent[index] = (numbers, classes)
        farthest = max(int(np.ravel_multi_index(tuple(map(abs, back)), self._padded)) for back, _ in self._steps)
        while len(self._recent) > farthest:
            self._recent.popitem(last=False)

    @property
    def _padded(self) -> Plane:
        return tuple(max(length, 2) for length in self._shape)


def _steps(through: tuple[bool, ...], connectivity: int) -> tuple[Step, ...]:
    """Return the steps to all planes before that a region can touch."""
    choices: Iterator[Plane] = product(*((-1, 0, 1) if on else (0,) for on in through))
    found = []
    for back in choices:
        moved = sum(map(abs, back))
        if back > (0,) * len(back) and moved <= connectivity:  # planes come in this order
            found.append((back, min(connectivity - moved, 2)))
    return tuple(found)


def _shifted(array: Array, dy: int, dx: int) -> Array:
    """Return the part of a plane that another one, moved by (dy, dx), lies over."""
    height, width = array.shape
    return array[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)]
