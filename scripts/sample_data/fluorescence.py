"""Fluorescence: nuclei with labelled DNA, bright on dark ground."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from sample_data.blobs import Blob, blob_mask, cover, nucleoli, place_blobs, spots
from sample_data.optics import as_bytes, count_photons, illumination
from sample_data.sample import Sample
from sample_data.texture import Array, smooth_noise


def stained_dna(rng: Generator, blobs: list[Blob], shape: tuple[int, int], faint: float) -> Array:
    """Brightness of labelled nuclei: thicker in the middle, chromatin grain, dark nucleoli; a part is very faint."""
    signal = np.zeros(shape)
    grain, fine = smooth_noise(rng, shape, 2.2), smooth_noise(rng, shape, 0.9)
    for blob in blobs:
        window, depth = blob.depth(shape)
        level = rng.uniform(0.15, 0.28) if rng.random() < faint else rng.lognormal(-0.6, 0.35)
        dome = np.sqrt(np.clip(depth / blob.radius, 0.0, 1.0))
        body = cover(depth) * (0.6 + 0.4 * dome) * (1.0 + 0.16 * grain[window] + 0.1 * fine[window])
        signal[window] += level * np.maximum(body, 0.0) * (1.0 - 0.45 * nucleoli(rng, blob, window))
    return signal


def bright_debris(rng: Generator, shape: tuple[int, int], count: int, strands: int) -> Array:
    """What shines but is no nucleus: small dots, and a few thin curled strands."""
    light = np.zeros(shape)
    for window, depth in spots(rng, shape, count, (0.9, 2.4)):
        light[window] += rng.uniform(0.6, 2.2) * cover(depth)
    for _ in range(strands):
        steps = int(rng.integers(40, 110))
        turn = np.cumsum(rng.normal(0.0, 0.12, steps)) + rng.uniform(0, 2 * np.pi)
        y = np.round(rng.uniform(0, shape[0]) + np.cumsum(np.sin(turn))).astype(int)
        x = np.round(rng.uniform(0, shape[1]) + np.cumsum(np.cos(turn))).astype(int)
        inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
        light[y[inside], x[inside]] += rng.uniform(0.6, 1.3)
    return light


def fluorescence(
    rng: Generator, shape: tuple[int, int], count: int, radius: float, crowding: float, tint: tuple[float, float, float]
) -> Sample:
    """Labelled nuclei on dark ground, with out-of-focus haze, debris, uneven light and camera noise."""
    blobs = place_blobs(rng, np.ones(shape, bool), count, radius, crowding)
    nuclei = stained_dna(rng, blobs, shape, faint=0.3)
    below = place_blobs(rng, np.ones(shape, bool), count // 4 + 2, 1.3 * radius, 0.3)
    blurred = gaussian_filter(stained_dna(rng, below, shape, faint=0.2), 0.55 * radius)
    haze = 0.25 * gaussian_filter(nuclei, 1.6 * radius) + 0.5 * blurred
    light = gaussian_filter(nuclei + bright_debris(rng, shape, count // 5 + 3, int(rng.integers(0, 4))), 0.9)
    cytoplasm = np.clip(1.0 + 0.5 * smooth_noise(rng, shape, 14.0), 0.2, None)
    lamp = illumination(rng, shape, 0.18)
    glow = rng.uniform(0.02, 0.05) * cytoplasm + 0.15 * illumination(rng, shape, 0.0) ** 2
    exposure = rng.uniform(0.55, 1.0)
    grey = count_photons(rng, exposure * lamp * (light + haze + glow) + 0.015, rng.uniform(220, 500), 0.006)
    grey = np.round(np.clip(grey, 0.0, 1.0) * 255.0) / 255.0
    return Sample(as_bytes(grey[..., None] * np.array(tint)), blob_mask(blobs, shape), {"photometric": "rgb"})
