"""What a pixel classifier sees of each pixel: its surroundings at several scales."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.feature import multiscale_basic_features

from benchmarks.peers.arrays import Floats

_SMALLEST, _LARGEST = 1, 16
"""Standard deviations in pixels; what lies between is doubled from one scale to the next."""


def pixel_features(image: Floats) -> Floats:
    """Return (y, x, feature) of an image (channel, y, x): smoothed values, edges and texture of each channel.

    It takes as many threads as there are cores; the argument for that is named differently from version to version.
    """
    found = multiscale_basic_features(
        np.moveaxis(image, 0, -1), sigma_min=_SMALLEST, sigma_max=_LARGEST, channel_axis=-1
    )
    return np.asarray(found, np.float32)


def sampled_pixels(mask: NDArray[np.uint8], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose pixels of a mask to learn from, half of them foreground as far as there is any; flat numbers."""
    flat = mask.ravel()
    inside, outside = np.flatnonzero(flat), np.flatnonzero(flat == 0)
    chosen = [rng.choice(one, min(len(one), most // 2), replace=False) for one in (inside, outside) if len(one)]
    return np.concatenate(chosen)
