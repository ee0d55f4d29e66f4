"""Where the tiles of a plane lie, and how much each counts where several meet.

Both ways of predicting, the plane in memory and the plane from file to file, take their tiles and weights from here, so
that they say the same. A tile's weight falls to zero towards the borders it shares with others, over the width of the
overlap. Tiles lie on a grid, so that weights along y and along x can be made to sum to 1 on their own; their products
then do so at every pixel, and nothing has to be divided by a sum afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def starts(length: int, tile: int, overlap: int, grid: int = 1) -> list[int]:
    """Return where tiles begin along one axis, evenly spread, neighbours sharing at least `overlap` pixels.

    All begin at multiples of `grid`; `length` and `tile` must be multiples of it, unless one tile is enough.
    """
    if length <= tile:
        return [0]
    step = (tile - overlap) // grid * grid
    count = -(-(length - tile) // step) + 1
    return [round(index * (length - tile) / (count - 1) / grid) * grid for index in range(count)]


@dataclass(frozen=True)
class Axis:
    """The tiles along one axis of a plane, in pixels."""

    length: int
    """Of the plane, padded so that tiles begin where the network's pooling begins a cell."""
    tile: int
    """Length of each tile."""
    starts: tuple[int, ...]
    weights: tuple[FloatArray, ...]
    """Of each tile, float32 (tile,); at every pixel those of all tiles sum to 1."""

    def final_until(self, index: int) -> int:
        """Return up to where no later tile than this one reaches back."""
        return self.starts[index + 1] if index + 1 < len(self.starts) else self.length

    def first_reaching(self, index: int) -> int:
        """Return the first tile that has a part in what lies behind the beginning of tile `index`."""
        return next(i for i, start in enumerate(self.starts) if i == index or start + self.tile > self.starts[index])


def axes_of(height: int, width: int, tile_size: int, overlap: int, divisor: int) -> tuple[Axis, Axis]:
    """Return the tiles along y and x of a plane.

    Parameters
    ----------
    height, width
        Of the plane; one that fits into one tile goes through in one piece, and is not padded here.
    tile_size, overlap
        In pixels; the tile size is rounded up to a multiple of `divisor`.
    divisor
        What the network needs sides to be a multiple of.
    """
    tile_size = -(-tile_size // divisor) * divisor
    padding = [-side % divisor if max(height, width) > tile_size else 0 for side in (height, width)]
    down, across = (
        _axis(side + extra, tile_size, overlap, divisor) for side, extra in zip((height, width), padding, strict=True)
    )
    return down, across


def _axis(length: int, tile_size: int, overlap: int, divisor: int) -> Axis:
    tile = min(tile_size, length)
    first = tuple(starts(length, tile_size, overlap, divisor))
    ramps = [_ramp(tile, overlap, at_start=start > 0, at_end=start + tile < length) for start in first]
    total = np.zeros(length, np.float32)
    for start, ramp in zip(first, ramps, strict=True):
        total[start : start + tile] += ramp
    weights = tuple(ramp / total[start : start + tile] for start, ramp in zip(first, ramps, strict=True))
    return Axis(length, tile, first, weights)


def _ramp(length: int, overlap: int, *, at_start: bool, at_end: bool) -> FloatArray:
    """Return 1, falling to nearly 0 towards the ends that other tiles reach over."""
    ramp = np.ones(length, np.float32)
    overlap = min(overlap, length)
    rise = np.sin(np.linspace(0, np.pi / 2, overlap + 2)[1:-1]).astype(np.float32) ** 2
    if at_start:
        ramp[:overlap] *= rise
    if at_end:
        ramp[length - overlap :] *= rise[::-1]
    return ramp
