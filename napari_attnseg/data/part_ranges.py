"""The intensities of an image that is read part by part: the same as if it were in memory as a whole.

Of numbers with 8 or 16 bits all are counted. Of others the same pixels are looked at as `normalise` looks at.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from napari_attnseg.data.normalise import MOST_SAMPLED, counts_of, percentile_of_counts, range_of_dtype
from napari_attnseg.settings import DataSettings

Array = np.ndarray[Any, Any]


class PartRanges:
    """Gathers the intensities of each channel from parts that are given in any order, from any thread.

    Parameters
    ----------
    shape
        (plane, y, x) of the whole image.
    channels, dtype
        Of the parts.
    """

    def __init__(
        self, shape: tuple[int, int, int], channels: int, dtype: np.dtype[Any], settings: DataSettings
    ) -> None:
        self._shape = shape
        self._dtype = dtype
        self._settings = settings
        self._counted = dtype in (np.uint8, np.uint16)
        size = 2 ** (8 * dtype.itemsize) if self._counted else 0
        self._counts = np.zeros((channels, size), np.int64)
        self._step = max(1, int(np.prod(shape, dtype=np.int64)) // MOST_SAMPLED)
        self._sampled: list[list[Array]] = [[] for _ in range(channels)]
        self._low, self._high = np.full(channels, np.inf), np.full(channels, -np.inf)
        self._lock = threading.Lock()

    @property
    def is_known(self) -> bool:
        """Whether no pixel has to be looked at."""
        return self._settings.normalisation == "dtype"

    @property
    def bytes_a_pixel(self) -> int:
        """About how much memory `add` takes for each pixel of a part, besides the part."""
        return self._dtype.itemsize if self._counted else 24  # the others' numbers in the image, and copies

    def add(self, part: Array, plane: int, top: int, left: int, valid: Array | None = None) -> None:
        """Take a part into account.

        Parameters
        ----------
        part
            (channel, y, x).
        plane, top, left
            Where it lies.
        valid
            bool (y, x): the pixels that count; None: all.
        """
        chosen = None if self._counted else self._chosen(plane, top, left, part.shape[1], part.shape[2], valid)
        for channel, values in enumerate(part):
            seen = values.ravel() if valid is None else values[valid]
            if self._counted:
                counts = counts_of(seen, self._counts.shape[1])
                with self._lock:
                    self._counts[channel] += counts
                continue
            sampled = values[chosen]
            finite = seen[np.isfinite(seen)] if seen.dtype.kind == "f" else seen
            with self._lock:
                self._sampled[channel].append(sampled[np.isfinite(sampled)].astype(np.float64))
                if finite.size:
                    self._low[channel] = min(self._low[channel], float(finite.min()))
                    self._high[channel] = max(self._high[channel], float(finite.max()))

    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Return, for each channel, the values that become 0 and 1; see `normalise.channel_range`."""
        if self.is_known:
            return (range_of_dtype(self._dtype),) * len(self._counts)
        return tuple(self._range(channel) for channel in range(len(self._counts)))

    def _chosen(self, plane: int, top: int, left: int, height: int, width: int, valid: Array | None) -> Array:
        """Return which pixels of a part are among every n-th one of the whole image, bool (y, x)."""
        _, rows, columns = self._shape
        first = (plane * rows + np.arange(top, top + height, dtype=np.int64)) * columns + left
        chosen = (first[:, None] + np.arange(width, dtype=np.int64)) % self._step == 0
        return np.asarray(chosen if valid is None else chosen & valid)

    def _range(self, channel: int) -> tuple[float, float]:
        percents = (self._settings.low_percentile, self._settings.high_percentile)
        if self._counted:
            counts = self._counts[channel]
            if not counts.any():
                return 0.0, 0.0
            present = np.flatnonzero(counts)
            low, high = (percentile_of_counts(counts, percent) for percent in percents)
            extremes = float(present[0]), float(present[-1])
        else:
            sampled = np.concatenate(self._sampled[channel]) if self._sampled[channel] else np.empty(0)
            low, high = map(float, np.percentile(sampled, percents)) if sampled.size else (0.0, 0.0)
            known = self._high[channel] >= self._low[channel]
            extremes = (float(self._low[channel]), float(self._high[channel])) if known else (0.0, 0.0)
        return (low, high) if self._settings.normalisation == "percentile" and high > low else extremes
