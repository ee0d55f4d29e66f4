"""Planes that are too large to be looked at as a whole, gone through some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from napari_attnseg.data.parts import rows_at_once
from napari_attnseg.settings import ObjectSettings

MOST_AT_ONCE = 2**25
"""Pixels of a plane that are looked at at once."""
_CONTEXT, _CONTEXT_OF_VOLUMES = 256, 64

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


def is_large_plane(size: tuple[int, ...]) -> bool:
    """Whether a plane of this size (y, x) is more than is looked at at once."""
    return size[0] * size[1] > MOST_AT_ONCE


def pixels_in_strip(size: tuple[int, ...]) -> int:
    """Return how many pixels of a plane of this size (y, x) `strips_of` has at once at most."""
    return max((rows.stop - rows.start for rows in strips_of(size)), default=0) * int(size[1])


def strips_of(size: tuple[int, ...]) -> Iterator[slice]:
    """Yield the rows of each strip of a plane of this size (y, x), from top to bottom; one if it is small."""
    height, width = size[0], max(size[1], 1)
    step = max(rows_at_once(width, MOST_AT_ONCE), 64)
    step = step if is_large_plane(size) else max(height, 1)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


@dataclass(frozen=True)
class Window:
    """How many rows of a plane or of a volume are separated at once."""

    step: int
    """That come in newly each time."""
    most: int
    """With those that wait for what follows."""
    context: int
    """That are looked at beyond what is decided, where a region is higher than all rows together."""
    near: int
    """How far off a region others can change how thick it seems, by smoothing."""

    @classmethod
    def of(cls, size: tuple[int, ...], planes: int, spacing: Sequence[float], settings: ObjectSettings) -> Window:
        """Return that for so many planes of a size (y, x), with `spacing` as `separate` has it."""
        near = _margin(spacing, settings)
        step = max(MOST_AT_ONCE // (max(size[1], 1) * planes) // 2, 32)
        context = max(_CONTEXT if planes == 1 else _CONTEXT_OF_VOLUMES, near)
        return cls(step, max(2 * step, step + 2 * context + near), context, near)

    def pixels(self, size: tuple[int, ...], planes: int) -> int:
        """Return how many pixels it shows of so many planes of a size (y, x) at most."""
        return min(size[0], self.most) * size[1] * planes


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
