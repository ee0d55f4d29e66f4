"""The named parts that the U-Nets are built from.

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


OPEN = 2.0
"""Bias under a gate's sigmoid at the start: gates begin nearly open (0.88) and learn what to close."""


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


class SqueezeExcitation(nn.Module):
    """Weigh each channel by what the whole image says about it (Hu et al. 2018, arXiv:1709.01507).

    Shape: (N, C, H, W) -> the same; the weights are in [0, 1].
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = x.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
        weight = torch.sigmoid(self.excite(F.relu(self.squeeze(weight))))
        return x * weight


class AttentionGate(nn.Module):
    """Let through, of a skip connection, what the coarser level finds relevant (Oktay et al. 2018, arXiv:1804.03999).

    The additive gate works at the resolution of the gating signal, half that of the skip, as in the paper; its map
    is then interpolated to the skip.

    Shapes: skip (N, skip_channels, 2 H, 2 W), gate (N, gate_channels, H, W) -> gated skip, of the skip's shape, and
    the map (N, 1, 2 H, 2 W) in [0, 1].
    """

    def __init__(self, skip_channels: int, gate_channels: int, norm: str) -> None:
        super().__init__()
        hidden = max(skip_channels // 2, 4)
        self.skip = nn.Conv2d(skip_channels, hidden, 2, stride=2, bias=False)
        self.gate = nn.Conv2d(gate_channels, hidden, 1)
        self.norm = make_norm(norm, hidden)
        self.psi = nn.Conv2d(hidden, 1, 1)

    def forward(self, skip: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        relevance = self.psi(F.relu(self.norm(self.skip(skip) + self.gate(gate))))  # (N, 1, H, W)
        attention = torch.sigmoid(F.interpolate(relevance, scale_factor=2.0, mode="bilinear", align_corners=False))
        return skip * attention, attention
