"""The decoder's step from one resolution to the next finer one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_attnseg.models.attention import AttentionGate, Cbam, SqueezeExcitation
from napari_attnseg.models.blocks import ConvBlock, UpSample
from napari_attnseg.models.presets import Parts
from napari_attnseg.settings import ModelSettings


class DecoderLevel(nn.Module):
    """One step up: up-sample, gate the skip, concatenate, weigh, convolve, weigh again; each weighing by preset.

    Shapes: x (N, in_channels, H, W), skip (N, skip_channels, 2 H, 2 W) -> (N, out_channels, 2 H, 2 W) and the gate's
    map (N, 1, 2 H, 2 W) in [0, 1], or None for a preset without gates.
    """

    def __init__(
        self, in_channels: int, skip_channels: int, out_channels: int, settings: ModelSettings, parts: Parts
    ) -> None:
        super().__init__()
        norm, reduction = settings.normalisation, settings.se_reduction
        joined = out_channels + skip_channels
        self.up = UpSample(in_channels, out_channels, settings.upsampling)
        self.gate = AttentionGate(skip_channels, in_channels, norm, settings.gate) if parts.gates else None
        self.joined = _weighing(parts.joined, joined, reduction)
        self.conv = ConvBlock(joined, out_channels, norm)
        self.se = SqueezeExcitation(out_channels, reduction) if parts.decoder_se else None

    def forward(self, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor | None]:
        attention = None
        if self.gate is not None:
            skip, attention = self.gate(skip, x)
        x = self.conv(self.joined(torch.cat((self.up(x), skip), dim=1)))
        if self.se is not None:
            x = self.se(x)
        return x, attention


def _weighing(kind: str, channels: int, reduction: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    return Cbam(channels, reduction) if kind == "cbam" else SqueezeExcitation(channels, reduction)
