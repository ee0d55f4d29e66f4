"""What the channels of an image are like within each object, summed up part by part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

KINDS = ("Mean", "Min", "Max", "SD")

Array = np.ndarray[Any, Any]


class Intensities:
    """Sums, extremes and squares of each channel in each object; pixels that are NaN or infinite do not count.

    Parameters
    ----------
    count
        How many objects there are.
    channels
        Names of the channels.
    """

    def __init__(self, count: int, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        many = (len(self._channels), count + 1)
        self._known = np.zeros(many, np.int64)
        self._totals, self._squares = np.zeros(many), np.zeros(many)
        self._least, self._most = np.full(many, np.inf), np.full(many, -np.inf)
        self._shift, self._is_shifted = np.zeros(len(self._channels)), np.zeros(len(self._channels), bool)

    def add(self, part: slice, numbers: Array, values: Iterable[Array]) -> None:
        """Take some pixels.

        Parameters
        ----------
        part
            The numbers of the objects that they belong to lie within it.
        numbers
            Of the object of each pixel, counted from the start of `part`.
        values
            For each channel the values of these pixels; taken one after the other, so that they may be made then.
        """
        for channel, stored in enumerate(values):
            row = np.asarray(stored, np.float64)
            known = np.isfinite(row)
            at, row = (numbers, row) if known.all() else (numbers[known], row[known])
            if not self._is_shifted[channel] and len(row):  # so that large values of little spread keep their digits
                self._is_shifted[channel], self._shift[channel] = True, row[0]
            size = part.stop - part.start
            shifted = row - self._shift[channel]
            self._known[channel, part] += np.bincount(at, minlength=size)
            self._totals[channel, part] += np.bincount(at, shifted, size)
            self._squares[channel, part] += np.bincount(at, shifted**2, size)
            np.minimum.at(self._least[channel, part], at, row)
            np.maximum.at(self._most[channel, part], at, row)

    def columns(self) -> dict[str, Array]:
        """Return for each channel the mean, the extremes and the standard deviation in objects 1, 2, 3..."""
        found = {}
        for channel, name in enumerate(self._channels):
            known = self._known[channel, 1:]
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = self._totals[channel, 1:] / known
                spread = np.sqrt(np.maximum(self._squares[channel, 1:] / known - mean**2, 0))
            shift = self._shift[channel]
            values = (mean + shift, self._least[channel, 1:], self._most[channel, 1:], spread)
            for kind, row in zip(KINDS, values, strict=True):
                found[f"{kind} {name}"] = np.where(known > 0, row, np.nan)
        return found
