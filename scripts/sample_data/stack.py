"""Z stack: nuclei in three dimensions, as a confocal microscope sees them."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from sample_data.blobs import cover
from sample_data.optics import count_photons, illumination
from sample_data.sample import Sample
from sample_data.texture import Array, smooth_noise

PIXEL_SIZE_UM = 0.25
Z_SPACING_UM = 1.0


def place_spheroids(rng: Generator, shape: tuple[int, int, int], count: int) -> Array:
    """Centres (z, y, x) and mean radius in micrometres of nuclei that touch but do not overlap: (count, 4)."""
    extent = np.array([shape[0] * Z_SPACING_UM, shape[1] * PIXEL_SIZE_UM, shape[2] * PIXEL_SIZE_UM])
    found: list[Array] = []
    for _ in range(60 * count):
        centre, radius = rng.uniform(0.0, 1.0, 3) * extent, rng.uniform(2.2, 3.4)
        if all(np.linalg.norm(centre - other[:3]) > 0.93 * (radius + other[3]) for other in found):
            found.append(np.array([*centre, radius]))
        if len(found) == count:
            break
    return np.array(found)


def stack(rng: Generator, shape: tuple[int, int, int], count: int) -> Sample:
    """A confocal-like Z stack of nuclei: dimmer with depth, blurred more along Z than in the plane, 16 bit."""
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]].astype(float)
    z, y, x = z * Z_SPACING_UM, y * PIXEL_SIZE_UM, x * PIXEL_SIZE_UM
    uneven = 0.07 * smooth_noise(rng, shape, (1.5, 7.0, 7.0))
    grain = 1.0 + 0.22 * smooth_noise(rng, shape, (0.8, 2.0, 2.0))
    light, mask = np.zeros(shape), np.zeros(shape, np.uint8)
    for cz, cy, cx, radius in place_spheroids(rng, shape, count):
        turn, ratio = rng.uniform(0, np.pi), rng.uniform(1.0, 1.35)
        along = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / ratio
        across = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) * ratio
        depth = radius * (1.0 + uneven) - np.sqrt(along**2 + across**2 + (1.1 * (z - cz)) ** 2)
        level = rng.uniform(0.18, 0.35) if rng.random() < 0.3 else rng.uniform(0.5, 1.1)
        light = np.maximum(light, level * cover(depth, PIXEL_SIZE_UM) * grain)
        mask[depth > 0] = 255
    haze = 0.3 * gaussian_filter(light, (2.5, 12.0, 12.0))
    seen = gaussian_filter(light, (0.6, 1.0, 1.0)) + haze + 0.02
    lamp = illumination(rng, shape[1:], 0.45)
    seen *= lamp * np.exp(-z / (1.6 * shape[0] * Z_SPACING_UM))
    counts = 100.0 + 2800.0 * count_photons(rng, seen, 160.0, 0.006)
    metadata = {"axes": "ZYX", "spacing": Z_SPACING_UM, "unit": "micron"}
    tiff = {"imagej": True, "resolution": (1 / PIXEL_SIZE_UM, 1 / PIXEL_SIZE_UM), "metadata": metadata}
    return Sample(np.round(np.clip(counts, 0, 65535)).astype(np.uint16), mask, tiff)
