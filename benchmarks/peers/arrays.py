"""The arrays that all peers get alike; nothing here imports a framework."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

Floats = NDArray[np.float32]
DIVISOR = 32
"""What the sides of images are filled up to a multiple of; it suits the deepest of the networks."""


def batch_of(size: int, batch: int, channels: int) -> tuple[Floats, Floats]:
    """Return the patches that all learn: images float32 (n, channel, y, x), masks float32 (n, y, x) of 0 and 1."""
    rng = np.random.default_rng(0)
    images = rng.random((batch, channels, size, size), np.float32)
    return images, (rng.random((batch, size, size)) > 0.7).astype(np.float32)


def read_rgb(path: str) -> Floats:
    """Read an RGB image of 8 bits, float32 (channel, y, x) in [0, 1]."""
    pixels = np.moveaxis(tifffile.imread(path), -1, 0)
    return np.ascontiguousarray(pixels, np.float32) / np.float32(255)


def padded(image: Floats) -> Floats:
    """Return (channel, y, x) filled up by reflection until a network takes it."""
    missing = [(0, -side % DIVISOR) for side in image.shape[1:]]
    return np.pad(image, ((0, 0), *missing), mode="reflect") if any(after for _, after in missing) else image


def write_mask(folder: str, image: str, foreground: NDArray[Any]) -> None:
    """Write a mask of 0 and 255 as a compressed TIFF beside others, named after its image."""
    mask = np.where(foreground, np.uint8(255), np.uint8(0))
    tifffile.imwrite(Path(folder) / f"{Path(image).stem}_PRED.tif", mask, compression="zlib", tile=(512, 512))


def lesson_patches(lesson: str) -> Iterator[tuple[Floats, Floats]]:
    """Yield batches of a lesson for ever: images float32 (n, channel, y, x) in [0, 1], masks float32 (n, y, x)."""
    images = np.load(Path(lesson) / "patches.npy", mmap_mode="r")
    masks = np.load(Path(lesson) / "masks.npy", mmap_mode="r")
    while True:
        for image, mask in zip(images, masks, strict=True):
            yield image / np.float32(255), mask.astype(np.float32)


def write_probabilities(images: list[str], out: str, probability_of: Any) -> list[str]:
    """Apply a function from (channel, y, x) to (y, x) to images in .npy files; return the files that are written."""
    written = []
    for path in images:
        target = Path(out) / Path(path).name
        np.save(target, np.asarray(probability_of(np.load(path)), np.float32))
        written.append(str(target))
    return written
