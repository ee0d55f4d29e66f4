"""Coarser levels of large images: those in the file, and an overview made in the background where there are none."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import tifffile

LARGEST_WITHOUT_OVERVIEW = 4096
MOST_OVERVIEW_BYTES = 256 * 2**20
_COARSEST = 1024
_VALUES_AT_ONCE = 16 * 2**20

Array = np.ndarray[Any, Any]


def stored_levels(tif: tifffile.TiffFile, full: tifffile.TiffPageSeries) -> list[tifffile.TiffPageSeries]:
    """Return the coarser levels of a series, finest first.

    They are its SubIFDs or its format's pyramid; else other series of the file that are the same image at half, a
    quarter, an eighth... of the size, each side rounded either way.
    """
    if len(full.levels) > 1:
        return list(full.levels[1:])
    found = [(factor, series) for series in tif.series if (factor := _factor(full, series)) > 1]
    found.sort(key=lambda item: item[0])
    return [series for i, (factor, series) in enumerate(found) if i == 0 or factor > found[i - 1][0]]


def _factor(full: tifffile.TiffPageSeries, series: tifffile.TiffPageSeries) -> int:
    """How many times smaller a series is than the full image: a power of 2; 0 if it is another image."""
    if series.axes != full.axes or series.dtype != full.dtype or not {"Y", "X"} <= set(full.axes):
        return 0
    y, x = full.axes.index("Y"), full.axes.index("X")
    others = [i for i in range(len(full.axes)) if i not in (y, x)]
    if any(series.shape[i] != full.shape[i] for i in others) or 0 in (series.shape[y], series.shape[x]):
        return 0
    factor = 2 ** round(np.log2(full.shape[x] / series.shape[x]))
    fits = all(full.shape[i] // factor <= series.shape[i] <= -(-full.shape[i] // factor) for i in (y, x))
    return int(factor) if fits else 0


class Overview:
    """Levels of every second, fourth, eighth... pixel, in memory: zeros until they are filled.

    Attributes
    ----------
    levels
        Arrays of the axes of the full image, finest first.
    is_complete
        Whether all of it is filled.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], y_axis: int, first_factor: int) -> None:
        self._y = y_axis
        self._first_factor = first_factor
        self.levels: list[Array] = []
        self.is_complete = False
        factor = first_factor
        while True:
            self.levels.append(np.zeros(_coarser(shape, y_axis, factor), dtype))
            if max(self.levels[-1].shape[y_axis : y_axis + 2]) <= _COARSEST:
                break
            factor *= 2

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: np.dtype[Any], axes: str) -> Overview | None:
        """Make an empty overview; None if planes are small, or so many that an overview of all takes over 256 MB."""
        y = axes.index("Y")
        if max(shape[y : y + 2]) <= LARGEST_WITHOUT_OVERVIEW:
            return None
        for factor in (2, 4, 8):
            # all coarser levels together take a third of the first one
            if prod(_coarser(shape, y, factor)) * dtype.itemsize * 4 / 3 <= MOST_OVERVIEW_BYTES:
                return cls(shape, dtype, y, factor)
        return None

    def fill(
        self,
        pixels: Any,
        on_progress: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Fill the levels from the full image; see `lazy.LazyImage.fill_overview`."""
        outer = pixels.shape[: self._y]
        height, width = pixels.shape[self._y : self._y + 2]
        segment = getattr(pixels, "chunks", pixels.shape)[self._y]
        step = segment * max(_VALUES_AT_ONCE // (segment * width), 1)
        # each read takes all channels of a plane, which may be stored together
        stack = outer if getattr(pixels, "chunks", outer)[: self._y] == (1,) * len(outer) else outer[:-1]
        parts = [(place, top) for place in np.ndindex(*stack) for top in range(0, height, step)]
        for done, (place, top) in enumerate(parts):
            if should_stop is not None and should_stop():
                return False
            rows = (..., slice(top, min(top + step, height)), *(slice(None) for _ in pixels.shape[self._y + 1 :]))
            self._put(place, np.asarray(pixels[(*place, *rows)]), top)
            if on_progress is not None:
                on_progress(done + 1, len(parts))
        self.is_complete = True
        return True

    def _put(self, place: tuple[int, ...], part: Array, top: int) -> None:
        """Put every n-th pixel of some rows of the full image into each level."""
        y = self._y - len(place)
        for number, level in enumerate(self.levels):
            factor = self._first_factor * 2**number
            first = -top % factor
            begin = (slice(None),) * y
            taken = part[(*begin, slice(first, None, factor), slice(None, None, factor))]
            start = (top + first) // factor
            target: Any = (*place, *begin, slice(start, start + taken.shape[y]))
            level[target] = taken


def _coarser(shape: tuple[int, ...], y_axis: int, factor: int) -> tuple[int, ...]:
    return tuple(-(-length // factor) if axis - y_axis in (0, 1) else length for axis, length in enumerate(shape))
