"""Brightfield: living cells without a stain, seen by their phase rims."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter, laplace

from sample_data.blobs import Blob, blob_mask, cover, place_blobs, random_blob, spots
from sample_data.optics import as_bytes, count_photons, illumination
from sample_data.sample import Sample
from sample_data.texture import Array, smooth_noise


def cell_bodies(rng: Generator, blobs: list[Blob], shape: tuple[int, int]) -> Array:
    """Thickness of the flat cells around the nuclei, about 0 to 1, with a grainy cytoplasm."""
    thick = np.zeros(shape)
    for blob in blobs:
        away, turn = rng.uniform(0, 0.5) * blob.radius, rng.uniform(0, 2 * np.pi)
        y, x = blob.y + away * np.sin(turn), blob.x + away * np.cos(turn)
        cell = random_blob(rng, y, x, rng.uniform(1.8, 2.5) * blob.radius, 1.3, 0.22, rng.uniform(0, np.pi))
        window, depth = cell.depth(shape)
        # Neighbours flatten against each other instead of piling up.
        thick[window] = np.maximum(thick[window], cover(depth, 3.0) * (0.7 + 0.3 * np.tanh(depth / cell.radius * 3)))
    return thick * (1.0 + 0.1 * smooth_noise(rng, shape, 1.6))


def brightfield(
    rng: Generator, shape: tuple[int, int], count: int, radius: float, crowding: float, focus: float
) -> Sample:
    """Unstained cells: grey, nuclei seen by their phase rims and nucleoli more than by their brightness.

    The image is what a thin transparent object shows out of focus: absorption, plus `focus` times the curvature of
    the optical path. The sign of `focus` swaps dark and bright rims.
    """
    blobs = place_blobs(rng, np.ones(shape, bool), count, radius, crowding, 1.25)
    cells = cell_bodies(rng, blobs, shape)
    path, absorbed = 0.45 * cells, 0.10 * cells
    grain = smooth_noise(rng, shape, 1.5)
    for blob in blobs:
        window, depth = blob.depth(shape)
        inside = cover(depth, 2.0)
        path[window] += inside * (1.0 + 0.08 * grain[window])
        absorbed[window] += inside * rng.uniform(0.05, 0.13) * (1.0 + 0.25 * grain[window])
        for _ in range(int(rng.integers(1, 4))):
            away, turn = rng.uniform(0, 0.55) * blob.radius, rng.uniform(0, 2 * np.pi)
            y, x = blob.y + away * np.sin(turn), blob.x + away * np.cos(turn)
            nucleolus = random_blob(rng, y, x, rng.uniform(0.14, 0.24) * blob.radius, 1.2, 0.05, 0.0)
            window, depth = nucleolus.depth(shape)
            path[window] += 0.6 * cover(depth)
            absorbed[window] += 0.12 * cover(depth)
    for window, depth in spots(rng, shape, 2 * count, (1.0, 2.6)):  # vesicles: refract, do not absorb
        path[window] += rng.uniform(0.5, 1.3) * cover(depth)
    for window, depth in spots(rng, shape, count // 3 + 4, (1.2, 4.5)):  # dirt: absorbs
        absorbed[window] += rng.uniform(0.15, 0.5) * cover(depth)
    rims = focus * laplace(gaussian_filter(path, 1.7))
    dust = 0.045 * smooth_noise(rng, shape, 12.0) + 0.05 * smooth_noise(rng, shape, 35.0)
    lamp = illumination(rng, shape, 0.38, rng.uniform(0.78, 0.92))
    grey = lamp * np.exp(-gaussian_filter(absorbed, 0.8) - dust) * (1.0 + np.clip(rims, -0.5, 0.6))
    grey = count_photons(rng, grey, rng.uniform(1500, 3000), 0.006)
    return Sample(as_bytes(np.repeat(grey[..., None], 3, axis=2)), blob_mask(blobs, shape), {"photometric": "rgb"})
