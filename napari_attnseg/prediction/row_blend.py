"""Tiles blended into each other as they come, row by row, keeping no more than the rows that are not final."""

from __future__ import annotations

import numpy as np

from napari_attnseg.prediction.grid import Axis, FloatArray

Part = tuple[slice, slice]


class RowBlend:
    """The weighted sum of tiles that come from left to right, one row after the other.

    It holds the tile that is being added to, and below the row that is being predicted one band across the plane, as
    high as rows of tiles overlap.
    """

    def __init__(self, down: Axis, across: Axis, channels: int) -> None:
        self._down, self._across = down, across
        self._open = np.zeros((channels, down.tile, across.tile), np.float32)
        height = max((self._band_height(row) for row in range(1, len(down.starts))), default=0)
        self._band = np.zeros((channels, height, across.length), np.float32)

    def add(self, row: int, column: int, result: FloatArray) -> tuple[Part, FloatArray]:
        """Add a tile; return the part of the padded plane that no later tile reaches, and the values there.

        Parameters
        ----------
        result
            float32 (channel, y, x): what the network says about the tile.

        Returns
        -------
        part, values
            Rows and columns, and float32 (channel, y, x), a view that the next call changes.
        """
        down, across, band = self._down, self._across, self._band
        y, x = down.starts[row], across.starts[column]
        kept = 0
        if column > 0:
            moved = x - across.starts[column - 1]
            kept = across.tile - moved
            self._open[:, :, :kept] = self._open[:, :, moved:].copy()
        self._open[:, :, kept:] = 0
        carried = self._band_height(row)
        self._open[:, :carried, kept:] = band[:, :carried, x + kept : x + across.tile]
        self._open += result * (down.weights[row][:, None] * across.weights[column])
        bottom, right = down.final_until(row), across.final_until(column)
        carries = down.tile - (bottom - y)
        band[:, :carries, x:right] = self._open[:, bottom - y :, : right - x]
        return (slice(y, bottom), slice(x, right)), self._open[:, : bottom - y, : right - x]

    def _band_height(self, row: int) -> int:
        """Return how far the rows of tiles before this one reach into it."""
        return self._down.starts[row - 1] + self._down.tile - self._down.starts[row] if row > 0 else 0
