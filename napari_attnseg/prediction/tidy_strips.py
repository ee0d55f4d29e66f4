"""Small objects dropped and holes filled in a mask that is too large for memory; the same as `postprocess.tidy`.

The mask is gone through twice, strip by strip. First the regions of each strip are found; those that reach the strip's
upper or lower border may go on in its neighbours, and which belong together is kept in a small table. Then the sizes of
whole objects are known, and each strip is changed. What such a change does when it is broken off half-way and done
again is the same as when it is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

STRIP = 512

Array = np.ndarray[Any, Any]
Bools = NDArray[np.bool_]


class Mask:
    """A plane of a mask as it is stored: rows are read and written when they are asked for."""

    def __init__(self, array: Any, place: tuple[int, ...] = ()) -> None:
        self._array, self._place = array, place
        self.shape: tuple[int, int] = array.shape[-2:]

    def strips(self) -> Iterator[slice]:
        """Yield the rows of each strip, from top to bottom."""
        for top in range(0, self.shape[0], STRIP):
            yield slice(top, min(top + STRIP, self.shape[0]))

    def read(self, rows: slice) -> Array:
        """Return some rows (y, x)."""
        return np.asarray(self._array[(*self._place, rows, slice(None))])

    def write(self, rows: slice, values: Array) -> None:
        """Replace some rows."""
        self._array[(*self._place, rows, slice(None))] = values


def tidy_strips(
    mask: Mask,
    values: Sequence[int],
    *,
    min_size: int = 0,
    fill_holes: bool = False,
    on_strip: Callable[[], None] = lambda: None,
) -> None:
    """Tidy a mask in place; see `postprocess.tidy`.

    Parameters
    ----------
    values
        What stands for each class in the mask, in the order of the classes, without the background, which is 0.
    on_strip
        Called after each strip of each pass; what it raises ends the work.
    """
    if min_size > 1:
        _change(mask, lambda part: part, 2, lambda found: found.size < min_size, 0, on_strip)
    if fill_holes:
        for value in values:

            def outside(part: Array, value: int = value) -> Array:
                return np.asarray(part != value)

            _change(mask, outside, 1, lambda found: ~found.at_edge, value, on_strip)


class _Regions:
    """Size of regions, by number, and whether they reach the edge of the plane."""

    def __init__(self, size: NDArray[np.int64], at_edge: Bools) -> None:
        self.size, self.at_edge = size, at_edge


def _change(
    mask: Mask,
    kinds: Callable[[Array], Array],
    connectivity: int,
    chosen: Callable[[_Regions], Bools],
    value: int,
    on_strip: Callable[[], None],
) -> None:
    """Set `value` in the regions of `kinds` that are chosen: where there is an object if it is 0, else none.

    A region is a connected part of one kind other than 0; `connectivity` 2 counts diagonals.
    """
    table = _Table()
    for rows in mask.strips():
        table.add(_numbered(kinds(mask.read(rows)), connectivity), _at_edge(rows, mask.shape[0]), connectivity)
        on_strip()
    table.finish()
    for number, rows in enumerate(mask.strips()):
        part = mask.read(rows)
        numbered, _ = _numbered(kinds(part), connectivity)
        take = chosen(table.regions(number, numbered, _at_edge(rows, mask.shape[0])))
        take[0] = False
        changed = take[numbered] & ((part == 0) if value else (part != 0))
        if changed.any():
            part = part.copy()
            part[changed] = value
            mask.write(rows, part)
        on_strip()


def _numbered(kinds: Array, connectivity: int) -> tuple[NDArray[np.int64], Array]:
    """Number the regions of a strip from 1; return them and the kinds themselves."""
    numbers = label(kinds.astype(np.uint8) if kinds.dtype == bool else kinds, background=0, connectivity=connectivity)
    return numbers, kinds


def _at_edge(rows: slice, height: int) -> tuple[bool, bool]:
    """Whether a strip's first and last row are those of the plane."""
    return rows.start == 0, rows.stop == height


def _measure(numbers: Array, edges: tuple[bool, bool]) -> _Regions:
    size = np.bincount(numbers.ravel())
    at_edge = np.zeros(len(size), bool)
    for line in (numbers[:, 0], numbers[:, -1], *((numbers[0],) * edges[0]), *((numbers[-1],) * edges[1])):
        at_edge[line] = True
    return _Regions(size, at_edge)


class _Table:
    """Which regions of neighbouring strips belong together.

    Only those that reach the border to a neighbouring strip are in it, under numbers that go on from strip to strip.
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._size: list[int] = []
        self._at_edge: list[bool] = []
        self._known: list[dict[int, int]] = []
        self._last: tuple[Array, Array] | None = None

    def add(self, numbered: tuple[Array, Array], edges: tuple[bool, bool], connectivity: int) -> None:
        """Take the next strip."""
        numbers, kinds = numbered
        measured = _measure(numbers, edges)
        border = np.unique(np.concatenate((numbers[0], numbers[-1])))
        known = {}
        for number in border[border > 0].tolist():
            known[number] = len(self._parents)
            self._parents.append(len(self._parents))
            self._size.append(int(measured.size[number]))
            self._at_edge.append(bool(measured.at_edge[number]))
        self._known.append(known)
        if self._last is not None:
            self._join(self._last, (numbers[0], kinds[0]), connectivity)
        self._last = numbers[-1].copy(), kinds[-1].copy()

    def finish(self) -> None:
        """Give every region what it has in all strips together."""
        size, at_edge = [0] * len(self._parents), [False] * len(self._parents)
        roots = [self._root(number) for number in range(len(self._parents))]
        for number, root in enumerate(roots):
            size[root] += self._size[number]
            at_edge[root] |= self._at_edge[number]
        self._size = [size[root] for root in roots]
        self._at_edge = [at_edge[root] for root in roots]

    def regions(self, strip: int, numbers: Array, edges: tuple[bool, bool]) -> _Regions:
        """Return what the regions of a strip have in all strips together."""
        found = _measure(numbers, edges)
        for number, index in self._known[strip].items():
            found.size[number], found.at_edge[number] = self._size[index], self._at_edge[index]
        return found

    def _join(self, above: tuple[Array, Array], below: tuple[Array, Array], connectivity: int) -> None:
        """Join what touches from one row to the next, of one kind; diagonally too with `connectivity` 2."""
        width = len(above[0])
        pairs = []
        for shift in (-1, 0, 1) if connectivity == 2 else (0,):
            upper = slice(max(-shift, 0), width - max(shift, 0))
            lower = slice(max(shift, 0), width - max(-shift, 0))
            same = (above[1][upper] == below[1][lower]) & (above[0][upper] > 0) & (below[0][lower] > 0)
            pairs.append(np.stack((above[0][upper][same], below[0][lower][same]), axis=1))
        earlier, later = self._known[-2], self._known[-1]
        for one, other in np.unique(np.concatenate(pairs), axis=0).tolist():
            first, second = self._root(earlier[one]), self._root(later[other])
            self._parents[max(first, second)] = min(first, second)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number
