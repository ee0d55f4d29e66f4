"""Random changes of patches and their labels, together, on the device that trains."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from kornia.augmentation import (
    AugmentationSequential,
    RandomBrightness,
    RandomContrast,
    RandomGamma,
    RandomGaussianNoise,
)
from kornia.geometry.transform import warp_affine
from torch import Tensor


@dataclass(frozen=True)
class Strength:
    """How far the changes of one level go."""

    turn: float
    """Largest rotation, in degrees."""
    zoom: tuple[float, float]
    """Smallest and largest magnification; mostly below 1, which shows more of the image for the same work."""
    gamma: tuple[float, float]
    contrast: float
    brightness: float
    noise: float
    """Standard deviation, in units of the scaled image."""


STRENGTHS = {
    "default": Strength(turn=15, zoom=(0.4, 1.0), gamma=(0.7, 1.4), contrast=0.2, brightness=0.1, noise=0.03),
    "strong": Strength(turn=45, zoom=(0.3, 1.4), gamma=(0.5, 2.0), contrast=0.4, brightness=0.2, noise=0.06),
}


class Augmenter:
    """Warps and recolours batches; `level` is one of the settings' names.

    `min_zoom` and `max_zoom` take the place of the level's smallest and largest magnification. The patches given must
    have the side `source_size`; what comes back has the side `size`. The margin between the two is what rotation and
    zoom draw upon, so that real pixels and not reflections come in at the corners.
    """

    def __init__(self, level: str, size: int, *, min_zoom: float | None = None, max_zoom: float | None = None) -> None:
        self.size = size
        self.strength = None if level not in STRENGTHS else _zooming(STRENGTHS[level], min_zoom, max_zoom)
        self._intensity = None if self.strength is None else _intensity(self.strength)

    @property
    def source_size(self) -> int:
        """Side of the patches to cut, in pixels."""
        return self.size if self.strength is None else math.ceil(self.size / self.strength.zoom[0])

    def __call__(self, images: Tensor, labels: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Change images float (N, C, S, S) in [0, 1], labels (N, S, S) and valid bool (N, S, S) or None alike.

        Only images are changed in intensity. Uses PyTorch's global random numbers.
        """
        if self.strength is None or self._intensity is None:
            return images, labels, valid
        matrix = self._matrices(len(images), self.strength).to(images.device)
        images = self._warp(images, matrix, "bilinear")
        labels = self._warp(labels[:, None].float(), matrix, "nearest")[:, 0].round().long()
        if valid is not None:
            valid = self._warp(valid[:, None].float(), matrix, "nearest")[:, 0] > 0.5
        return self._intensity(images), labels, valid

    def _matrices(self, count: int, strength: Strength) -> Tensor:
        """Return (N, 2, 3): from source to result, rotation and zoom about the centre, in pixels."""
        angle = (torch.rand(count) * 2 - 1) * math.radians(strength.turn)
        low, high = map(math.log, strength.zoom)
        zoom = torch.exp(torch.rand(count) * (high - low) + low)
        cosine, sine = zoom * torch.cos(angle), zoom * torch.sin(angle)
        linear = torch.stack((torch.stack((cosine, sine), 1), torch.stack((-sine, cosine), 1)), 1)
        source, target = (self.source_size - 1) / 2, (self.size - 1) / 2
        shift = target - linear @ torch.full((2, 1), source)
        return torch.cat((linear, shift), dim=2)

    def _warp(self, batch: Tensor, matrix: Tensor, mode: str) -> Tensor:
        size = (self.size, self.size)
        return warp_affine(batch, matrix, size, mode=mode, padding_mode="reflection", align_corners=True)


def _zooming(strength: Strength, low: float | None, high: float | None) -> Strength:
    low = strength.zoom[0] if low is None else low
    high = max(low, strength.zoom[1]) if high is None else high
    return replace(strength, zoom=(min(low, high), high))


def _intensity(strength: Strength) -> AugmentationSequential:
    low, high = 1 - strength.contrast, 1 + strength.contrast
    return AugmentationSequential(
        RandomGamma(strength.gamma, p=0.5),
        RandomContrast((low, high), p=0.5),
        RandomBrightness((1 - strength.brightness, 1 + strength.brightness), p=0.5),
        RandomGaussianNoise(std=strength.noise, p=0.3),
        data_keys=["input"],
    )
