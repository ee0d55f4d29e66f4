"""Images to measure with: mosaics of real ones, of any size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.tiff import read_image

SAMPLES = Path(__file__).resolve().parents[1] / "sample_data" / "nuclei"
_SEGMENT = 512
_MOST_IMAGES = 40


def write_mosaic(path: Path, side: int, images: list[NDArray[np.uint8]], width: int | None = None) -> None:
    """Write a tiled, compressed BigTIFF (y, x, 3) of small images (512, 512, 3), one of them at a time in memory.

    It is square, or `side` high and `width` wide.
    """
    width = width or side
    rng = np.random.default_rng(0)
    count = (-(-side // _SEGMENT)) * (-(-width // _SEGMENT))
    tiles: Iterator[NDArray[np.uint8]] = (images[rng.integers(len(images))] for _ in range(count))
    tifffile.imwrite(
        path,
        tiles,
        shape=(side, width, 3),
        dtype=np.uint8,
        tile=(_SEGMENT, _SEGMENT),
        photometric="rgb",
        compression="zlib",
        bigtiff=True,
    )


def segments(data: Path) -> list[NDArray[np.uint8]]:
    """Return parts of RGB images of a folder, (512, 512, 3), reflected where an image is smaller."""
    found = []
    for pair in find_pairs(data).pairs[:_MOST_IMAGES]:
        pixels = read_image(pair.image).pixels[0]
        if pixels.shape[0] != 3 or pixels.dtype != np.uint8:
            continue
        part = np.moveaxis(pixels, 0, -1)[:_SEGMENT, :_SEGMENT]
        missing = [(0, _SEGMENT - side) for side in part.shape[:2]]
        found.append(np.ascontiguousarray(np.pad(part, (*missing, (0, 0)), mode="reflect")))
    return found
