"""The parts by which a network weighs its own features: gates, squeeze-and-excitation, CBAM.

All tensors are (batch, channel, y, x), floating point; all weights are in [0, 1]. Each part has `begin_open`, which
lets it start by letting nearly everything through, so that what lies below it learns from the first step on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_attnseg.models.blocks import make_norm, set_bias

OPEN = 2.0
"""What goes into a sigmoid at the start: weights begin at 0.88 and learn what to close."""

_FEWEST = 4  # hidden channels, however narrow the network


class SqueezeExcitation(nn.Module):
    """Weigh each channel by what the whole image says about it (Hu et al. 2018, arXiv:1709.01507).

    Shape: (N, C, H, W) -> the same.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, _FEWEST)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = _mean_of_places(x)  # (N, C, 1, 1)
        weight = torch.sigmoid(self.excite(F.relu(self.squeeze(weight))))
        return x * weight

    def begin_open(self) -> None:
        """Let nearly everything through."""
        set_bias(self.excite, OPEN)


class Cbam(nn.Module):
    """Weigh the channels, then the places: convolutional block attention (Woo et al. 2018, arXiv:1807.06521).

    Channels are weighed by one small network that sees the mean over the image and again the maximum; the two results
    are added. Places are weighed by a 7x7 convolution over the mean and the maximum of the channels.

    Shape: (N, C, H, W) -> the same.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, _FEWEST)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)
        self.place = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        x = x * torch.sigmoid(self._judge(_mean_of_places(x)) + self._judge(x.amax((2, 3), keepdim=True)))
        seen = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), dim=1)  # (N, 2, H, W)
        return x * torch.sigmoid(self.place(seen))

    def begin_open(self) -> None:
        """Let nearly everything through."""
        set_bias(self.excite, OPEN / 2)  # it is added twice
        set_bias(self.place, OPEN)

    def _judge(self, pooled: Tensor) -> Tensor:
        judged: Tensor = self.excite(F.relu(self.squeeze(pooled)))  # (N, C, 1, 1)
        return judged


class AttentionGate(nn.Module):
    """Let through, of a skip connection, what the coarser level finds relevant (Oktay et al. 2018, arXiv:1804.03999).

    The additive gate works at the resolution of the gating signal, half that of the skip, as in the paper; its map
    is then interpolated to the skip. It has one map for all channels or, with `kind` 'channel', one for each.

    Shapes: skip (N, skip_channels, 2 H, 2 W), gate (N, gate_channels, H, W) -> gated skip, of the skip's shape, and
    the map (N, 1, 2 H, 2 W) in [0, 1], which is the mean over the channels where each has its own.
    """

    def __init__(self, skip_channels: int, gate_channels: int, norm: str, kind: str = "single") -> None:
        super().__init__()
        hidden = max(skip_channels // 2, 4)
        self.skip = nn.Conv2d(skip_channels, hidden, 2, stride=2, bias=False)
        self.gate = nn.Conv2d(gate_channels, hidden, 1)
        self.norm = make_norm(norm, hidden)
        self.psi = nn.Conv2d(hidden, skip_channels if kind == "channel" else 1, 1)

    def forward(self, skip: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
        relevance = self.psi(F.relu(self.norm(self.skip(skip) + self.gate(gate))))  # (N, 1 or skip_channels, H, W)
        attention = torch.sigmoid(F.interpolate(relevance, scale_factor=2.0, mode="bilinear", align_corners=False))
        gated = skip * _for_each_channel(attention, skip)
        return gated, attention if attention.shape[1] == 1 else attention.mean(1, keepdim=True)

    def begin_open(self) -> None:
        """Let nearly everything through."""
        set_bias(self.psi, OPEN)


def _for_each_channel(weight: Tensor, x: Tensor) -> Tensor:
    """Return weights of places, (N, 1 or C, H, W), as they are multiplied with `x` in the least time.

    Where few 16-bit channels lie last, PyTorch takes three times as long if each place's weight is there but once.
    """
    few = weight.shape[1] < x.shape[1] < 32 and x.is_contiguous(memory_format=torch.channels_last)
    if few and x.dtype == torch.bfloat16 and x.device.type == "cpu":
        return weight.expand_as(x).contiguous(memory_format=torch.channels_last)
    return weight


def _mean_of_places(x: Tensor) -> Tensor:
    """Return the mean of each channel, (N, C, 1, 1)."""
    if x.device.type == "cpu" and not torch.is_grad_enabled():
        return F.avg_pool2d(x, x.shape[-2:])  # where 16-bit channels lie last it takes a tenth of the time
    return x.mean((2, 3), keepdim=True)
