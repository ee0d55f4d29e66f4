"""MONAI's sliding window for images that do not go through a network in one piece."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.peers.windows import BATCH, OVERLAP, TILE


@torch.inference_mode()
def slide(image: Tensor, network: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a network to windows of an image (1, channel, y, x), blend what it says, and return it as (y, x)."""
    from monai.inferers import sliding_window_inference

    found = sliding_window_inference(image, TILE, BATCH, network, overlap=OVERLAP / TILE, mode="gaussian")
    assert isinstance(found, Tensor)
    return found[0, 0]
