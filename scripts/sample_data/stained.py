"""Stained tissue: nuclei in haematoxylin, fibres and blood in eosin, absorbing light by Beer and Lambert's law."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sample_data.blobs import Blob, blob_mask, cover, nucleoli, place_blobs, spots
from sample_data.optics import as_bytes, count_photons, illumination
from sample_data.sample import Sample
from sample_data.texture import Array, fibres, smooth_noise


def tissue_nuclei(rng: Generator, tissue: NDArray[np.bool_], nest: NDArray[np.bool_], radius: float) -> list[Blob]:
    """Round nuclei, crowded inside of the epithelial `nest`, and sparse spindles along the fibres outside of it."""
    area = tissue.size / radius**2
    packed = place_blobs(rng, tissue & nest, int(0.16 * area * nest.mean()) + 2, radius, 0.5, 1.25)
    sparse = place_blobs(rng, tissue & ~nest, int(0.055 * area * (~nest).mean()) + 2, 0.75 * radius, 0.1, 2.4)
    taken = blob_mask(packed, tissue.shape) > 0
    apart = []
    for blob in sparse:
        window, depth = blob.depth(tissue.shape)
        if not (taken[window] & (depth > 0)).any():
            apart.append(blob)
    return packed + apart


def turned(blobs: Iterable[Blob], angle: float, rng: Generator) -> list[Blob]:
    """Long blobs turned to lie along `angle`; round ones stay as they are."""
    result = []
    for blob in blobs:
        turn = angle + rng.normal(0.0, 0.2) if blob.long > 1.7 * blob.short else blob.angle
        result.append(Blob(blob.y, blob.x, blob.long, blob.short, turn, blob.waves))
    return result


def haematoxylin(rng: Generator, blobs: list[Blob], shape: tuple[int, int], strength: float) -> Array:
    """Amount of the purple dye in the nuclei: membrane, chromatin clumps; from pale and open to dark and dense."""
    dye = np.zeros(shape)
    clumps, fine = smooth_noise(rng, shape, 1.7), smooth_noise(rng, shape, 0.8)
    for blob in blobs:
        window, depth = blob.depth(shape)
        dense = rng.uniform(0.16, 0.42) if rng.random() < 0.6 else rng.uniform(0.6, 1.2)
        membrane = 0.38 * np.exp(-(((depth - 1.2) / 1.1) ** 2))
        texture = 1.0 + 0.3 * clumps[window] + 0.12 * fine[window]
        inner = np.maximum(dense * texture, 0.0) + membrane + nucleoli(rng, blob, window) * (dense < 0.5)
        dye[window] = np.maximum(dye[window], cover(depth, 1.4) * inner)
    return strength * dye


def purple_clutter(rng: Generator, shape: tuple[int, int], radius: float, taken: NDArray[np.bool_]) -> Array:
    """Purple that is no nucleus: diffuse basophilic smears without a border, and dark grains."""
    smear = np.clip(smooth_noise(rng, shape, 1.4 * radius) - 0.7, 0.0, 1.2)
    streak = np.clip(fibres(rng, shape, rng.uniform(0, np.pi), 1.8, 18.0) - 1.7, 0.0, 1.0)
    dye = 0.6 * smear * (1.0 + 0.2 * smooth_noise(rng, shape, 2.0)) + 0.6 * streak
    for window, depth in spots(rng, shape, int(rng.integers(10, 26)), (0.8, 1.9)):
        dye[window] += rng.uniform(0.6, 1.3) * cover(depth)
    return np.where(taken, 0.0, dye)


def red_cells(rng: Generator, tissue: NDArray[np.bool_], count: int, radius: float) -> Array:
    """Amount of the pink dye in a few groups of red blood cells, pale in the middle."""
    dye = np.zeros(tissue.shape)
    for blob in place_blobs(rng, tissue, count, radius, 0.9, 1.1):
        window, depth = blob.depth(tissue.shape)
        dye[window] = np.maximum(dye[window], cover(depth, 1.2) * (1.0 - 0.4 * np.clip(depth / radius, 0, 1)))
    return dye


def stained(rng: Generator, shape: tuple[int, int], radius: float, strength: float, blue: float) -> Sample:
    """Tissue stained with haematoxylin (purple) and eosin (pink); `blue` shifts the tint of the purple."""
    angle = rng.uniform(0, np.pi)
    tissue_field = smooth_noise(rng, shape, 22.0) + 1.5 + 0.12 * smooth_noise(rng, shape, 3.0)
    tissue = cover(tissue_field, 0.25)
    nest_field = smooth_noise(rng, shape, 34.0)
    blobs = turned(tissue_nuclei(rng, tissue_field > 0.15, nest_field > 0.1, radius), angle, rng)
    mask = blob_mask(blobs, shape)
    nest = cover(nest_field - 0.1, 0.5)
    strands = fibres(rng, shape, angle, 1.6, 22.0) + 0.6 * fibres(rng, shape, angle, 4.0, 30.0)
    granular = smooth_noise(rng, shape, 1.3) + smooth_noise(rng, shape, 5.0)
    pink = 0.55 * (1.0 + nest * 0.16 * granular + (1.0 - nest) * 0.40 * strands)
    blood = red_cells(rng, (mask == 0) & (nest < 0.5), int(rng.integers(0, 22)), 0.6 * radius)
    pink = np.maximum(pink * tissue, 1.05 * blood)
    purple = haematoxylin(rng, blobs, shape, strength)
    purple += tissue * (0.06 + 0.17 * nest * (1.0 + 0.3 * granular)) * strength
    purple += tissue * strength * purple_clutter(rng, shape, radius, mask > 0) * (blood < 0.1)
    dyes = np.stack([gaussian_filter(np.maximum(dye, 0.0), 0.8) for dye in (purple, pink)], axis=-1)
    tint = np.array([[0.72, 0.86, 0.30 - blue], [0.08, 0.78, 0.26]]) * rng.normal(1.0, 0.05, (2, 3))
    lamp = illumination(rng, shape, 0.8, 0.96)[..., None] * np.array([1.0, 0.985, 0.99])
    light = lamp * np.exp(-dyes @ tint)
    return Sample(as_bytes(count_photons(rng, light, 2500.0, 0.006)), mask, {"photometric": "rgb"})
