"""Light on its way to the file: the lamp, the camera and the rounding to bytes."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sample_data.texture import Array


def illumination(rng: Generator, shape: tuple[int, int], darkest: float, brightest: float = 1.0) -> Array:
    """Uneven lamp light: a broad off-centre spot on a gradient, from `darkest` to `brightest`."""
    y, x = (axis / max(shape) - 0.5 for axis in np.mgrid[: shape[0], : shape[1]].astype(float))
    turn, cy, cx = rng.uniform(0, 2 * np.pi), rng.uniform(-0.35, 0.35), rng.uniform(-0.35, 0.35)
    light: Array = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 0.28) + 0.5 * (x * np.cos(turn) + y * np.sin(turn))
    low, high = float(light.min()), float(light.max())
    return darkest + (brightest - darkest) / (high - low) * (light - low)


def count_photons(rng: Generator, light: Array, full: float, read: float) -> Array:
    """Camera noise: Poisson for `full` photons at light 1, then read noise of `read` (in units of light)."""
    # Rounding keeps a last-bit difference between processors from changing the draws.
    photons = rng.poisson(np.round(np.maximum(light, 0.0) * full, 3))
    return photons / full + rng.normal(0.0, read, light.shape)


def as_bytes(values: Array) -> NDArray[np.uint8]:
    """[0, 1] to uint8."""
    return np.round(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
