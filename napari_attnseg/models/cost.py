"""What a network costs: its parameters and the multiply-adds of one image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_attnseg.models.unet import build_model, count_parameters
from napari_attnseg.settings import ModelSettings


@dataclass(frozen=True)
class Cost:
    """`parameters` is the number of trained values, `multiply_adds` what one forward pass of one image takes."""

    parameters: int
    multiply_adds: int


def cost_of(settings: ModelSettings, size: int = 256) -> Cost:
    """Count parameters and multiply-adds; nothing is computed, so that it takes no memory and works without a GPU.

    As is usual only convolutions are counted, and not normalisation, activations, pooling and interpolation, which
    take time but few operations. The padding to a multiple of the network's divisor is counted.

    Parameters
    ----------
    size
        Side of the square image in pixels.
    """
    with torch.device("meta"), torch.inference_mode():
        model = build_model(settings).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, settings.in_channels, size, size))
    return Cost(count_parameters(model), counter.get_total_flops() // 2)
