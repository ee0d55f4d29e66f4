"""Encoders: from the image to features at ever coarser resolution."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from napari_attnseg.models.attention import SqueezeExcitation
from napari_attnseg.models.blocks import ConvBlock
from napari_attnseg.models.presets import Parts
from napari_attnseg.models.resnet import ResNet50
from napari_attnseg.settings import ModelSettings


class PlainEncoder(nn.ModuleList):
    """The encoder of the U-Net: a block of convolutions a level, with maximum pooling between.

    With `encoder_se` each level but the first begins by weighing what the level above passes down to it; the skip
    connections carry the features as they are.

    Shape: (N, in_channels, H, W) -> the features of each level, finest first, (N, channels[i], H / 2^i, W / 2^i).
    """

    def __init__(self, settings: ModelSettings, parts: Parts) -> None:
        super().__init__()
        self.channels = settings.levels
        inputs = (settings.in_channels, *self.channels[:-1])
        for level, (before, after) in enumerate(zip(inputs, self.channels, strict=True)):
            block: nn.Module = ConvBlock(before, after, settings.normalisation)
            if parts.encoder_se and level > 0:
                block = nn.Sequential(SqueezeExcitation(before, settings.se_reduction), block)
            self.append(block)

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        for block in self:
            x = block(F.max_pool2d(x, 2) if features else x)
            features.append(x)
        return features


def make_encoder(settings: ModelSettings, parts: Parts) -> PlainEncoder | ResNet50:
    """Return the preset's encoder; its attribute `channels` says how many it gives at each level, finest first."""
    return ResNet50(settings.in_channels) if parts.encoder == "resnet50" else PlainEncoder(settings, parts)
