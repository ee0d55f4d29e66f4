"""Undo and redo of a whole mask, across its planes, in steps of tiles that changed.

A mask is thought of in tiles: squares of 256 x 256 pixels of one plane, from the corner of the plane on. A step keeps
what its tiles were before and after, cut down to the pixels that differ and compressed.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

TILE = 256
DEFAULT_LIMIT = 256 * 2**20
_COMPRESSED_FROM = 4096  # bytes; below, zlib's own overhead is most of it

Array = np.ndarray[Any, Any]
Box = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Change:
    """A part of a mask before and after an edit."""

    box: Box
    """The part of the whole mask, a slice with start and stop for each axis."""
    before: Array
    after: Array


class History:
    """The steps that can be undone and redone, of one mask.

    Parameters
    ----------
    revision
        Names what the mask holds at the beginning, see `History.revision`.
    limit_bytes
        How much memory the steps may take, as stored. The oldest are dropped beyond, never the newest.
    """

    def __init__(self, revision: int = 0, limit_bytes: int = DEFAULT_LIMIT) -> None:
        self.limit_bytes = limit_bytes
        self._oldest = revision
        self._done: deque[_Step] = deque()
        self._undone: list[_Step] = []
        self._bytes = 0

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step that was undone and nothing recorded since."""
        return bool(self._undone)

    @property
    def revision(self) -> int:
        """What the mask holds now, by the number that was given when it came to be so."""
        return self._done[-1].revision if self._done else self._oldest

    @property
    def stored_bytes(self) -> int:
        """Memory that the stored pixels take."""
        return self._bytes

    def record(self, changes: Sequence[Change], revision: int) -> None:
        """Add what was just done as one step; what was undone before cannot be redone any more.

        The arrays are copied. Where nothing differs nothing is recorded.

        Parameters
        ----------
        changes
            The parts of the mask that were edited.
        revision
            A number for what the mask holds from now on, never used before.
        """
        parts = tuple(part for part in map(_stored, changes) if part is not None)
        if not parts:
            return
        self._bytes -= sum(undone.size for undone in self._undone)
        self._undone.clear()
        self._done.append(_Step(parts, revision))
        self._bytes += self._done[-1].size
        while self._bytes > self.limit_bytes and len(self._done) > 1:
            dropped = self._done.popleft()
            self._bytes -= dropped.size
            self._oldest = dropped.revision

    def undo(self, *masks: Array) -> tuple[Box, ...]:
        """Write back what was there before the last step.

        Parameters
        ----------
        masks
            The whole mask (stack axes..., y, x), and copies of it; changed in place.

        Returns
        -------
        tuple of boxes
            The boxes of the step's changes; empty if there is nothing to undo.
        """
        if not self._done:
            return ()
        step = self._done.pop()
        self._undone.append(step)
        for part in reversed(step.parts):  # changes of one step may overlap
            _write(masks, part.inner, part.before)
        return tuple(part.box for part in step.parts)

    def redo(self, *masks: Array) -> tuple[Box, ...]:
        """Write again what was undone last; see `undo`."""
        if not self._undone:
            return ()
        step = self._undone.pop()
        self._done.append(step)
        for part in step.parts:
            _write(masks, part.inner, part.after)
        return tuple(part.box for part in step.parts)

    def clear(self) -> None:
        """Forget all steps."""
        self._oldest = self.revision
        self._done.clear()
        self._undone.clear()
        self._bytes = 0


def tiles_of(shape: Sequence[int], box: Box) -> list[Box]:
    """Return the boxes of the tiles that cover a box of a mask, cut at the mask's edges.

    Parameters
    ----------
    shape
        Lengths of the mask's axes (stack axes..., y, x).
    box
        A slice with start and stop for each axis; what lies outside the mask is left out.
    """
    ranges = []
    for axis, (length, part) in enumerate(zip(shape, box, strict=True)):
        side = TILE if axis >= len(shape) - 2 else 1
        start, stop = max(part.start, 0), min(part.stop, length)
        if start >= stop:
            return []
        ranges.append([slice(at, min(at + side, length)) for at in range(start - start % side, stop, side)])
    return list(product(*ranges))


def changed_tiles(before: Array, after: Array, origin: Sequence[int]) -> list[Change]:
    """Split a part of a mask along the grid of the whole mask's tiles and return what differs, as copies.

    Parameters
    ----------
    before, after
        The part (stack axes..., y, x) as it was and as it is; of equal shape and number type.
    origin
        Where the part begins in the whole mask, for each axis.

    Returns
    -------
    list of Change
        One for each tile with a difference, with its box in the whole mask. Where the part covers a tile only partly,
        the box is what it covers of it.
    """
    if before.shape != after.shape or len(origin) != before.ndim:
        raise ValueError(f"parts of shape {before.shape} and {after.shape} at {tuple(origin)} cannot be compared")
    changes = []
    for part in _grid(before.shape, origin):
        old, new = before[part], after[part]
        if not np.array_equal(old, new):
            box = tuple(
                slice(first + inner.start, first + inner.stop) for first, inner in zip(origin, part, strict=True)
            )
            changes.append(Change(box, old.copy(), new.copy()))
    return changes


def _grid(shape: Sequence[int], origin: Sequence[int]) -> Iterator[Box]:
    """Yield boxes inside a part that begins at `origin`, cut where the tiles of the whole mask meet."""
    ranges = []
    for axis, (length, first) in enumerate(zip(shape, origin, strict=True)):
        side = TILE if axis >= len(shape) - 2 else 1
        cuts = [0, *range(side - first % side, length, side), length]
        ranges.append([slice(start, stop) for start, stop in pairwise(cuts) if stop > start])
    yield from product(*ranges)


@dataclass(frozen=True)
class _Packed:
    data: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    compressed: bool


@dataclass(frozen=True)
class _Part:
    """A change as stored: `inner` is the part of `box` in which pixels differ."""

    box: Box
    inner: Box
    before: _Packed
    after: _Packed


@dataclass(frozen=True)
class _Step:
    parts: tuple[_Part, ...]
    revision: int
    """What the mask holds after the step."""

    @property
    def size(self) -> int:
        return sum(len(part.before.data) + len(part.after.data) for part in self.parts)


def _stored(change: Change) -> _Part | None:
    different = change.before != change.after
    if not different.any():
        return None
    tight = []
    inner = []
    for axis, part in enumerate(change.box):
        others = tuple(other for other in range(different.ndim) if other != axis)
        hit = np.flatnonzero(different.any(axis=others))
        first, last = int(hit[0]), int(hit[-1]) + 1
        tight.append(slice(first, last))
        inner.append(slice(part.start + first, part.start + last))
    cut = tuple(tight)
    return _Part(change.box, tuple(inner), _pack(change.before[cut]), _pack(change.after[cut]))


def _pack(array: Array) -> _Packed:
    data = array.tobytes()
    compressed = len(data) > _COMPRESSED_FROM
    return _Packed(zlib.compress(data, 1) if compressed else data, array.shape, array.dtype, compressed)


def _unpack(packed: _Packed) -> Array:
    data = zlib.decompress(packed.data) if packed.compressed else packed.data
    return np.frombuffer(data, packed.dtype).reshape(packed.shape)


def _write(masks: Sequence[Array], where: Box, packed: _Packed) -> None:
    pixels = _unpack(packed)
    for mask in masks:
        mask[where] = pixels
