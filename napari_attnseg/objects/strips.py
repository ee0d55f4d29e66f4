"""Planes that are too large to be looked at as a whole, gone through some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

MOST_AT_ONCE = 2**25
"""Pixels that are looked at at once, of one plane or of all that an object can be on."""
_TILE = 512  # rows of a tile as we write them, which is decoded anew for each strip that it is in

Array = np.ndarray[Any, Any]


class Planes(Protocol):
    """Planes that are read when they are asked for; an array (plane, ..., y, x) is one."""

    def __getitem__(self, plane: int, /) -> Any:
        """Return a plane."""


@runtime_checkable
class Rows(Protocol):
    """Planes of which some rows can be read by themselves."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a plane."""

    def part(self, plane: int, rows: slice) -> Array:
        """Return some rows of a plane (..., y, x)."""


def part_of(planes: Planes, plane: int, rows: slice) -> Array:
    """Return some rows of a plane (..., y, x)."""
    if isinstance(planes, Rows):
        return planes.part(plane, rows)
    return np.asarray(planes[plane])[..., rows, :]


def rows_of(source: Planes, planes: Sequence[int], rows: slice = slice(None)) -> Array:
    """Return rows, or all, of one plane (..., y, x), or of several (plane, ..., y, x)."""
    parts = [part_of(source, plane, rows) for plane in planes]
    return parts[0] if len(parts) == 1 else np.stack(parts)


def size_of(planes: Planes, plane: int) -> tuple[int, ...]:
    """Return rows and columns of a plane."""
    return planes.size if isinstance(planes, Rows) else np.asarray(planes[plane]).shape[-2:]


def is_large(size: tuple[int, ...], planes: int = 1) -> bool:
    """Whether so many planes of this size (y, x) are more than is looked at at once."""
    return planes * size[0] * size[1] > MOST_AT_ONCE


def strips_of(size: tuple[int, ...]) -> Iterator[slice]:
    """Yield the rows of each strip of a plane of this size (y, x), from top to bottom; one if it is small."""
    height, width = size[0], max(size[1], 1)
    step = max(MOST_AT_ONCE // width, 64)
    step -= step % _TILE if step > _TILE else 0
    for top in range(0, height, step if is_large(size) else max(height, 1)):
        yield slice(top, min(top + step, height) if is_large(size) else height)
