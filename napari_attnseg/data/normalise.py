"""Intensities to 0..1, per image and per channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_attnseg.settings import DataSettings

# luminance of red, green and blue (ITU-R BT.709), as in scikit-image
GREY_WEIGHTS = (0.2125, 0.7154, 0.0721)
MOST_SAMPLED = 1_000_000
_COUNTED_AT_ONCE = 2**20  # `np.bincount` makes 8 bytes of each value

Array = np.ndarray[Any, Any]


def normalise(pixels: Array, settings: DataSettings) -> Array:
    """Scale each channel of an image, over all its planes, to 0..1.

    Parameters
    ----------
    pixels
        (plane, channel, y, x), any real or whole number type.
    settings
        `normalisation`: 'percentile' (`low_percentile` becomes 0, `high_percentile` 1; where both are equal, minimum
        and maximum are taken), 'minmax', or 'dtype' (the range of the number type; 0 to 1 for real numbers).

    Returns
    -------
    ndarray
        float32 of the same shape in [0, 1]; values outside are clipped, NaN and infinity become 0, a constant channel
        becomes 0 unless the range is that of the number type.
    """
    scaled = np.empty(pixels.shape, np.float32)
    for channel in range(pixels.shape[1]):
        values = pixels[:, channel]
        low, high = channel_range(values, settings)
        scale(values, low, high, scaled[:, channel])
    return scaled


def channel_range(values: Array, settings: DataSettings) -> tuple[float, float]:
    """Return the values of a channel that become 0 and 1; both are equal if it is constant.

    Parameters
    ----------
    values
        All pixels of the channel, in any shape; NaN and infinity are left out.
    """
    if settings.normalisation == "dtype":
        return range_of_dtype(values.dtype)
    if settings.normalisation == "percentile":
        low, high = _percentiles(values, (settings.low_percentile, settings.high_percentile))
        if high > low:
            return low, high
    return _extremes(values)


def range_of_dtype(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the smallest and the largest number of a type; 0 and 1 for real numbers."""
    if dtype.kind in "fb":
        return 0.0, 1.0
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)


def scale(values: Array, low: float, high: float, out: Array) -> None:
    """Scale a channel so that `low` becomes 0 and `high` 1, into `out`, float32 of its shape; see `normalise`."""
    if not high > low:
        out[...] = 0
        return
    fits = values.dtype.itemsize <= 2 or (values.dtype == np.float32 and high - low < np.finfo(np.float32).max)
    with np.errstate(invalid="ignore", over="ignore"):
        if fits:
            np.subtract(values, np.float32(low), out=out, dtype=np.float32)
            np.divide(out, np.float32(high - low), out=out)
        else:
            out[...] = (values.astype(np.float64) - low) / (high - low)
    np.clip(out, 0, 1, out=out)
    if values.dtype.kind == "f":
        out[~np.isfinite(values)] = 0


def finite_mask(pixels: Array) -> Array | None:
    """Return where every channel of (plane, channel, y, x) is a number, as bool (plane, y, x).

    None if all pixels are, which whole numbers always are.
    """
    if pixels.dtype.kind != "f":
        return None
    valid = np.isfinite(pixels).all(axis=1)
    return None if valid.all() else np.asarray(valid)


def to_grey(pixels: Array) -> Array:
    """Turn RGB (plane, 3, y, x) into luminance (plane, 1, y, x) of the same number type; one channel stays as it is.

    Raises
    ------
    ValueError
        There are neither one nor three channels.
    """
    if pixels.shape[1] == 1:
        return pixels
    if pixels.shape[1] != 3:
        raise ValueError(f"RGB has 3 channels, not {pixels.shape[1]}")
    red, green, blue = (np.float32(weight) * pixels[:, i] for i, weight in enumerate(GREY_WEIGHTS))
    grey = (red + green + blue)[:, None]
    return np.rint(grey).astype(pixels.dtype) if pixels.dtype.kind in "iu" else grey.astype(pixels.dtype)


def _percentiles(values: Array, percents: tuple[float, float]) -> tuple[float, float]:
    if values.dtype in (np.uint8, np.uint16):
        counts = counts_of(values.ravel(), 1 + np.iinfo(values.dtype).max)
        low, high = (percentile_of_counts(counts, percent) for percent in percents)
        return low, high
    flat = values.ravel()
    flat = flat[:: max(1, flat.size // MOST_SAMPLED)]  # the same pixels each time
    flat = flat[np.isfinite(flat)].astype(np.float64)
    if not flat.size:
        return 0.0, 0.0
    low, high = np.percentile(flat, percents)
    return float(low), float(high)


def counts_of(values: Array, size: int) -> Array:
    """Count each value from 0 to `size` - 1, in a memory that does not grow with their number.

    Parameters
    ----------
    values
        (n,), uint8 or uint16; bytes are counted two at a time, which takes half as long.
    """
    counts = np.zeros(size, np.int64)
    for first in range(0, len(values), _COUNTED_AT_ONCE):
        counts += _counts(values[first : first + _COUNTED_AT_ONCE], size)
    return counts


def _counts(values: Array, size: int) -> Array:
    if values.dtype != np.uint8 or size != 256 or values.size < 2**16:
        return np.bincount(values, minlength=size)
    even = values.size // 2 * 2
    of_pairs = np.bincount(np.ascontiguousarray(values[:even]).view(np.uint16), minlength=2**16).reshape(256, 256)
    counts = of_pairs.sum(0) + of_pairs.sum(1)
    counts[values[even:]] += 1
    return np.asarray(counts)


def percentile_of_counts(counts: Array, percent: float) -> float:
    """Return what `np.percentile` gives, from the number of pixels of each value."""
    reached = np.cumsum(counts)
    position = percent / 100 * (reached[-1] - 1)
    below, above = (np.searchsorted(reached, rank, side="right") for rank in (np.floor(position), np.ceil(position)))
    return float(below + (above - below) * (position - np.floor(position)))


def _extremes(values: Array) -> tuple[float, float]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
