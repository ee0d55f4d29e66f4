"""Images in memory and the patches that are cut from them for training.

The patches of step n depend on the seed and on n alone, so a resumed run sees the very patches that an uninterrupted
one would have seen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.errors import DataError

_POINTS_PER_CLASS = 500

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class LoadedImage:
    """An annotated image, read and scaled.

    `pixels` is float16 (plane, channel, y, x) in [0, 1]; `labels` uint8 (plane, y, x), class ids; `valid` bool
    (plane, y, x), False where pixels are NaN or infinite, or None when all count. Of an image that is not kept in
    memory they are indexed likewise, by plane, or by plane and two slices.
    """

    name: str
    pixels: Any
    labels: Any
    valid: Any = None


@dataclass(frozen=True)
class PatchBatch:
    """Patches of one step: images float32 (n, channel, y, x), labels uint8 (n, y, x), valid bool (n, y, x) or None."""

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    valid: NDArray[np.bool_] | None


@dataclass(frozen=True)
class _Spot:
    """Some pixels of one class in one plane."""

    image: int
    plane: int
    points: NDArray[np.intp]  # (n, 2), y and x


class _Source:
    """Some of the images, and where in them patches may lie."""

    def __init__(self, images: Sequence[LoadedImage], numbers: Sequence[int], seed: int, *, with_spots: bool) -> None:
        self.planes = [(number, plane) for number in numbers for plane in range(len(images[number].pixels))]
        side = np.sqrt([prod(images[number].labels.shape[1:]) for number, _ in self.planes])
        self.chance = np.cumsum(side / side.sum())
        self.spots = _find_spots(images, self.planes, seed) if with_spots else []


class PatchSampler:
    """Cuts square patches at random: a share of them around annotated objects, the rest anywhere.

    Around objects every foreground class has the same chance, and within a class every plane that shows it; anywhere,
    a plane's chance grows with the square root of its area, so that large images count for more without drowning
    small ones. Patches larger than the image are filled up by reflection.

    Parameters
    ----------
    images
        All images that patches are cut from.
    size
        Side of the patches, in pixels.
    foreground
        Share of the patches around annotated objects, 0 to 1.
    seed
        With the step, all that the patches depend on.
    focus, focus_share
        Numbers of the images that this share of the patches comes from; the others share the rest. Without a focus, or
        where there are no others, all come from all images.
    """

    def __init__(
        self,
        images: Sequence[LoadedImage],
        *,
        size: int,
        foreground: float,
        seed: int,
        focus: Collection[int] = (),
        focus_share: float = 0.0,
    ) -> None:
        if not images:
            raise DataError("There are no images to cut patches from.")
        self.images = images
        self.size = size
        self.foreground = foreground
        self.seed = seed
        self.focus_share = focus_share
        self._has_invalid = any(image.valid is not None for image in images)
        others = [number for number in range(len(images)) if number not in focus]
        apart = bool(focus) and bool(others)
        numbers = others if apart else range(len(images))
        self._others = _Source(images, numbers, seed, with_spots=foreground > 0)
        self._focus = _Source(images, sorted(focus), seed, with_spots=foreground > 0) if apart else None

    @property
    def pixels(self) -> int:
        """Number of pixels in all planes."""
        return sum(image.labels.size for image in self.images)

    @property
    def planes(self) -> int:
        """Number of planes of all images."""
        return sum(len(image.pixels) for image in self.images)

    def batch(self, step: int, count: int, *, flips: bool, part: slice = slice(None)) -> PatchBatch:
        """Return the `count` patches of step `step`, each turned and mirrored at random if `flips`.

        With `part` only those of the patches are cut, and they are the very ones that the whole batch would hold.
        """
        rng = np.random.default_rng((self.seed, step))
        spots = [self._drawn(rng, flips=flips) for _ in range(count)]
        cut = [self._patch(*spot) for spot in spots[part]]
        images, labels, valid = zip(*cut, strict=True)
        return PatchBatch(np.stack(images), np.stack(labels), np.stack(valid) if self._has_invalid else None)

    def _drawn(self, rng: np.random.Generator, *, flips: bool) -> tuple[int, int, int, int, int, bool]:
        """Return image, plane, the upper left corner, quarter turns and whether to mirror, all at random."""
        place = self._place(rng)
        return (*place, int(rng.integers(4)), bool(rng.random() < 0.5)) if flips else (*place, 0, False)

    def _patch(
        self, number: int, plane: int, y: int, x: int, turns: int, mirror: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
        image = self.images[number]
        pixels = _cut(image.pixels, plane, y, x, self.size).astype(np.float32)
        labels = _cut(image.labels, plane, y, x, self.size)
        valid = np.ones_like(labels, bool) if image.valid is None else _cut(image.valid, plane, y, x, self.size)
        if turns or mirror:
            pixels, labels, valid = (_turn(array, turns, mirror) for array in (pixels, labels, valid))
        return pixels, labels, valid

    def _place(self, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Return image, plane and the patch's upper left corner."""
        source = self._others
        if self._focus is not None and rng.random() < self.focus_share:
            source = self._focus
        if source.spots and rng.random() < self.foreground:
            spots = source.spots[rng.integers(len(source.spots))]
            spot = spots[rng.integers(len(spots))]
            centre = spot.points[rng.integers(len(spot.points))] + rng.integers(-self.size // 3, self.size // 3 + 1, 2)
            number, plane = spot.image, spot.plane
            corner = centre - self.size // 2
        else:
            number, plane = source.planes[
                min(int(np.searchsorted(source.chance, rng.random())), len(source.planes) - 1)
            ]
            corner = np.array([rng.integers(max(n - self.size, 0) + 1) for n in self.images[number].labels.shape[1:]])
        limit = np.maximum(np.array(self.images[number].labels.shape[1:]) - self.size, 0)
        y, x = np.clip(corner, 0, limit)
        return number, plane, int(y), int(x)


def _find_spots(images: Sequence[LoadedImage], planes: Sequence[tuple[int, int]], seed: int) -> list[list[_Spot]]:
    """Return, for each foreground class that occurs, the planes that show it with some of its pixels."""
    rng = np.random.default_rng((seed, 2**32))
    by_class: dict[int, list[_Spot]] = {}
    for number, plane in planes:
        labels = images[number].labels[plane]
        for value in np.flatnonzero(np.bincount(labels.ravel(), minlength=2)[1:]) + 1:
            inside = np.flatnonzero(labels == value)
            chosen = rng.choice(inside, min(len(inside), _POINTS_PER_CLASS), replace=False)
            points = np.stack(np.unravel_index(chosen, labels.shape), axis=1)
            by_class.setdefault(int(value), []).append(_Spot(number, plane, points))
    return [by_class[value] for value in sorted(by_class)]


def _cut(array: Any, plane: int, y: int, x: int, size: int) -> NDArray[Any]:
    """Cut a square from the last two axes of a plane, reflecting what lies beyond the bottom and right border."""
    part: NDArray[Any] = array[plane, ..., y : y + size, x : x + size]
    missing = [size - n for n in part.shape[-2:]]
    if any(missing):
        before = [n // 2 for n in missing]
        around = [(0, 0)] * (part.ndim - 2) + [(b, m - b) for b, m in zip(before, missing, strict=True)]
        part = np.pad(part, around, mode="reflect")
    return part


def _turn(array: NDArray[Scalar], turns: int, mirror: bool) -> NDArray[Scalar]:
    array = np.rot90(array, turns, axes=(-2, -1))
    return np.flip(array, axis=-1) if mirror else array
