"""Blobs: the rounded outlines of nuclei, cells and small bodies, and how they are spread over an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sample_data.texture import Array

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Blob:
    """A rounded shape: an ellipse (pixels, radians) whose radius is modulated by low harmonics of the angle."""

    y: float
    x: float
    long: float
    short: float
    angle: float
    waves: tuple[tuple[int, float, float], ...]

    @property
    def radius(self) -> float:
        """Radius of the disc with the same area, in pixels."""
        return float(np.sqrt(self.long * self.short))

    def depth(self, shape: tuple[int, int], margin: float = 4.0) -> tuple[Window, Array]:
        """Distance to the outline in pixels (about), positive inside, in the window of the image that holds it."""
        reach = 1.35 * max(self.long, self.short) + margin
        rows = slice(max(0, int(self.y - reach)), max(0, min(shape[0], int(self.y + reach) + 1)))
        columns = slice(max(0, int(self.x - reach)), max(0, min(shape[1], int(self.x + reach) + 1)))
        y, x = np.mgrid[rows, columns].astype(float)
        y, x = y - self.y, x - self.x
        along = (x * np.cos(self.angle) + y * np.sin(self.angle)) / self.long
        across = (y * np.cos(self.angle) - x * np.sin(self.angle)) / self.short
        rho, theta = np.hypot(along, across), np.arctan2(across, along)
        outline = 1.0 + sum(size * np.cos(order * theta + phase) for order, size, phase in self.waves)
        return (rows, columns), (outline - rho) * min(self.short, self.radius)


def random_blob(rng: Generator, y: float, x: float, radius: float, stretch: float, rough: float, angle: float) -> Blob:
    """A blob of about `radius`, with long/short axis ratio `stretch` and outline harmonics of relative size `rough`."""
    waves = tuple((k, float(rng.normal(0.0, rough / k)), float(rng.uniform(0, 2 * np.pi))) for k in (2, 3, 4, 5))
    return Blob(y, x, radius * np.sqrt(stretch), radius / np.sqrt(stretch), angle, waves)


def place_blobs(
    rng: Generator, allowed: NDArray[np.bool_], count: int, radius: float, crowding: float, stretch: float = 1.3
) -> list[Blob]:
    """Up to `count` blobs in the `allowed` region that touch but hardly overlap.

    `crowding` in [0, 1] is the chance that a blob is put right beside an earlier one. Blobs may leave the image.
    """
    taken = np.zeros(allowed.shape, bool)
    blobs: list[Blob] = []
    for _ in range(40 * count):
        if len(blobs) == count:
            break
        size = radius * float(np.clip(rng.normal(1.0, 0.16), 0.6, 1.5))
        y, x = rng.uniform(0, allowed.shape[0] - 1), rng.uniform(0, allowed.shape[1] - 1)
        turn, beside = rng.uniform(0, 2 * np.pi), rng.random() < crowding
        if blobs and beside:
            near = blobs[int(rng.integers(len(blobs)))]
            y, x = near.y + (near.radius + size) * np.sin(turn), near.x + (near.radius + size) * np.cos(turn)
        ratio = max(1.0, rng.normal(stretch, 0.17 * stretch))
        blob = random_blob(rng, y, x, size, ratio, 0.1, rng.uniform(0, np.pi))
        if not (0 <= y < allowed.shape[0] and 0 <= x < allowed.shape[1]) or not allowed[int(y), int(x)]:
            continue
        window, depth = blob.depth(allowed.shape)
        if (taken[window] & (depth > 0)).sum() <= 0.05 * (depth > 0).sum():
            taken[window] |= depth > 0
            blobs.append(blob)
    return blobs


def blob_mask(blobs: Iterable[Blob], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """0 outside and 255 inside of the blobs."""
    mask = np.zeros(shape, np.uint8)
    for blob in blobs:
        window, depth = blob.depth(shape)
        mask[window][depth > 0] = 255
    return mask


def spots(
    rng: Generator, shape: tuple[int, int], count: int, radius: tuple[float, float]
) -> Iterator[tuple[Window, Array]]:
    """Windows and depths of `count` small round bodies with radii in the range `radius`, anywhere in the image."""
    for _ in range(count):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        blob = random_blob(rng, y, x, rng.uniform(*radius), rng.uniform(1.0, 1.6), 0.15, rng.uniform(0, np.pi))
        yield blob.depth(shape)


def nucleoli(rng: Generator, blob: Blob, window: Window) -> Array:
    """One to three dots in a blob, 0 to 1, in its window."""
    rows, columns = np.ogrid[window]
    dots = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start))
    for _ in range(int(rng.integers(1, 4))):
        away, turn = rng.uniform(0, 0.5) * blob.short, rng.uniform(0, 2 * np.pi)
        y, x = blob.y + away * np.sin(turn), blob.x + away * np.cos(turn)
        dots = np.maximum(dots, np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * (0.12 * blob.radius + 0.4) ** 2)))
    return dots


def cover(depth: Array, edge: float = 1.0) -> Array:
    """How much of a pixel lies inside, in [0, 1], with a border that is `edge` pixels wide."""
    return np.clip(depth / edge + 0.5, 0.0, 1.0)
