"""Class ids of a large image in little memory: compressed in squares, of which only those looked at are unpacked."""

from __future__ import annotations

import zlib
from math import prod
from typing import Any

import numpy as np

_SIDE = 256
_FASTEST = 1

Array = np.ndarray[Any, Any]


class PackedPlanes:
    """Planes of small numbers, (plane, y, x), that are indexed as an array is: by plane, or by plane and two slices.

    Parameters
    ----------
    planes
        uint8 or bool (plane, y, x).
    """

    def __init__(self, planes: Array) -> None:
        self.shape, self.dtype, self.ndim = planes.shape, planes.dtype, planes.ndim
        self._squares = {
            (plane, y, x): zlib.compress(planes[plane, y : y + _SIDE, x : x + _SIDE].tobytes(), _FASTEST)
            for plane in range(self.shape[0])
            for y in range(0, self.shape[1], _SIDE)
            for x in range(0, self.shape[2], _SIDE)
        }

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return sum(map(len, self._squares.values()))

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> Array:
        """Return a plane (y, x), or with a key (plane, ..., rows, columns) of slices without steps a part of it."""
        plane, rows, columns = (key[0], *key[-2:]) if isinstance(key, tuple) else (key, slice(None), slice(None))
        top, bottom, _ = rows.indices(self.shape[1])
        left, right, _ = columns.indices(self.shape[2])
        part = np.empty((max(bottom - top, 0), max(right - left, 0)), self.dtype)
        for y in range(top // _SIDE * _SIDE, bottom, _SIDE):
            for x in range(left // _SIDE * _SIDE, right, _SIDE):
                square = self._square(int(plane), y, x)
                down, across = slice(max(top - y, 0), bottom - y), slice(max(left - x, 0), right - x)
                cut = square[down, across]
                at_y, at_x = max(y - top, 0), max(x - left, 0)
                part[at_y : at_y + cut.shape[0], at_x : at_x + cut.shape[1]] = cut
        return part

    def _square(self, plane: int, y: int, x: int) -> Array:
        values = np.frombuffer(zlib.decompress(self._squares[plane, y, x]), self.dtype)
        return values.reshape(min(_SIDE, self.shape[1] - y), min(_SIDE, self.shape[2] - x))
