"""Random fields: smooth noise and strands, from which the textures are made."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

Array = NDArray[np.float64]


def smooth_noise(rng: Generator, shape: tuple[int, ...], sigma: float | tuple[float, ...]) -> Array:
    """Gaussian random field, mean 0 and standard deviation 1, correlated over about `sigma` pixels."""
    field: Array = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    field -= field.mean()
    return field / float(field.std())


def fibres(rng: Generator, shape: tuple[int, int], angle: float, width: float, length: float) -> Array:
    """Wavy strands along `angle`: stretched noise, read at rotated and bent coordinates. Mean 0, deviation about 1."""
    size = int(1.5 * max(shape)) + 32
    strands = smooth_noise(rng, (size, size), (width, length))
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    bend = 7.0 * smooth_noise(rng, shape, 28.0)
    across = y * np.cos(angle) - x * np.sin(angle) + bend
    along = x * np.cos(angle) + y * np.sin(angle)
    bent: Array = map_coordinates(strands, [across + size / 2, along + size / 2], order=1, mode="wrap")
    return bent
