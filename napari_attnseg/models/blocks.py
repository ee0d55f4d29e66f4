"""The plain parts that the U-Nets are built from: normalisation, convolutions, up-sampling.

All tensors are (batch, channel, y, x), floating point.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def make_norm(kind: str, channels: int) -> nn.Module:
    """Return the normalisation layer `kind` ('batch', 'group' or 'instance') for `channels` channels."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        groups = next(groups for groups in (8, 4, 2, 1) if channels % groups == 0)
        return nn.GroupNorm(groups, channels)
    return nn.InstanceNorm2d(channels, affine=True)


class ConvBlock(nn.Sequential):
    """Two 3x3 convolutions, each followed by normalisation and ReLU.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            make_norm(norm, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            make_norm(norm, out_channels),
            nn.ReLU(inplace=True),
        )


class UpSample(nn.Module):
    """Double the resolution, by a transposed convolution or bilinearly with a 1x1 convolution before it.

    The 1x1 convolution comes before the interpolation: the two commute, and so it runs on a quarter of the pixels.

    Shape: (N, in_channels, H, W) -> (N, out_channels, 2 H, 2 W).
    """

    def __init__(self, in_channels: int, out_channels: int, kind: str) -> None:
        super().__init__()
        self.bilinear = kind == "bilinear"
        self.conv: nn.Module
        if self.bilinear:
            self.conv = nn.Conv2d(in_channels, out_channels, 1)
        else:
            self.conv = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False) if self.bilinear else x


def set_bias(layer: nn.Conv2d, value: float) -> None:
    """Set the biases of a convolution that has them."""
    assert layer.bias is not None
    with torch.no_grad():
        layer.bias.fill_(value)
