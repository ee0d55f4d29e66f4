"""A sliding window in NumPy for what does not run on PyTorch: TensorFlow and PyTorch in one process end in a crash."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from benchmarks.peers.arrays import Floats

TILE, OVERLAP, BATCH = 512, 64, 4
"""As our predictions have them; MONAI's own overlap of a quarter would cost it a third more."""
_SIGMA = 1 / 8
"""Of the Gaussian by which windows are weighed, in sides of a window, as MONAI has it."""


def slide_last(image: Floats, network: Callable[[Floats], Floats], tile: int = TILE) -> Floats:
    """Apply a network from (n, y, x, channel) to (n, y, x) to windows of an image (y, x, channel), and blend.

    An image that is smaller than a window is filled up by reflection.
    """
    height, width = image.shape[:2]
    missing = [(0, max(tile - side, 0)) for side in (height, width)]
    image = np.pad(image, (*missing, (0, 0)), mode="reflect")
    along = np.exp(-0.5 * ((np.arange(tile) - (tile - 1) / 2) / (_SIGMA * tile)) ** 2)
    weight = np.maximum(np.outer(along, along), 1e-3).astype(np.float32)
    total, weights = np.zeros(image.shape[:2], np.float32), np.zeros(image.shape[:2], np.float32)
    corners = list(product(*(_starts(side, tile) for side in image.shape[:2])))
    for first in range(0, len(corners), BATCH):
        places = [(slice(y, y + tile), slice(x, x + tile)) for y, x in corners[first : first + BATCH]]
        found = network(np.stack([image[place] for place in places]))
        for place, probability in zip(places, found, strict=True):
            total[place] += probability * weight
            weights[place] += weight
    total /= weights
    return total[:height, :width]


def _starts(length: int, tile: int) -> list[int]:
    """Return where windows begin, the last one at the end."""
    return [*range(0, length - tile, tile - OVERLAP * tile // TILE), length - tile]
