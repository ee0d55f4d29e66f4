"""The U-Net family: one frame, with attention gates and squeeze-and-excitation where a preset asks for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_attnseg.models.blocks import OPEN, AttentionGate, ConvBlock, SqueezeExcitation, UpSample
from napari_attnseg.settings import ModelName, ModelSettings


@dataclass(frozen=True)
class Parts:
    """Which parts a preset adds to the plain U-Net."""

    gates: bool = False
    decoder_se: bool = False


PRESETS: dict[ModelName, Parts] = {
    "attention_se_unet": Parts(gates=True, decoder_se=True),
    "unet": Parts(),
}


class DecoderLevel(nn.Module):
    """One step up: up-sample, gate the skip, concatenate, convolve, squeeze and excite.

    Shapes: x (N, in_channels, H, W), skip (N, out_channels, 2 H, 2 W) -> (N, out_channels, 2 H, 2 W) and the gate's
    map (N, 1, 2 H, 2 W) in [0, 1], or None for a preset without gates.
    """

    def __init__(self, in_channels: int, out_channels: int, settings: ModelSettings, parts: Parts) -> None:
        super().__init__()
        norm = settings.normalisation
        self.up = UpSample(in_channels, out_channels, settings.upsampling)
        self.gate = AttentionGate(out_channels, in_channels, norm) if parts.gates else None
        self.conv = ConvBlock(2 * out_channels, out_channels, norm)
        self.se = SqueezeExcitation(out_channels, settings.se_reduction) if parts.decoder_se else None

    def forward(self, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor | None]:
        attention = None
        if self.gate is not None:
            skip, attention = self.gate(skip, x)
        x = self.conv(torch.cat((self.up(x), skip), dim=1))
        if self.se is not None:
            x = self.se(x)
        return x, attention


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015, arXiv:1505.04597) with the optional parts of its preset.

    Any image size is accepted: inside, the image is padded at the bottom and right to a multiple of `divisor` and
    the result is cropped back.

    Shape: (N, in_channels, H, W) -> logits (N, classes, H, W), H and W at least 1.

    Raises
    ------
    RuntimeError
        The input does not have `in_channels` channels.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        parts = PRESETS[settings.name]
        widths = settings.levels
        inputs = (settings.in_channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            ConvBlock(before, after, settings.normalisation) for before, after in zip(inputs, widths, strict=True)
        )
        self.dropout = nn.Dropout2d(settings.dropout) if settings.dropout > 0 else nn.Identity()
        self.decoder = nn.ModuleList(
            DecoderLevel(below, here, settings, parts)
            for below, here in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], settings.classes, 1)
        self._initialise()

    @property
    def divisor(self) -> int:
        """What both sides of the image are padded to a multiple of."""
        return int(2 ** (len(self.settings.levels) - 1))

    @property
    def has_attention(self) -> bool:
        """Whether the preset has attention gates."""
        return PRESETS[self.settings.name].gates

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_with_attention(x)[0]

    def forward_with_attention(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits (N, classes, H, W) and the gates' maps, deepest first, each (N, 1, H', W') in [0, 1].

        H' and W' are those of the gate's level: H and W for the last one, half of it for the one before, and so on,
        rounded up. A preset without gates gives an empty list.
        """
        height, width = x.shape[-2:]
        x = self._padded(x)
        skips = []
        for level, block in enumerate(self.encoder):
            if level > 0:
                skips.append(x)
                x = F.max_pool2d(x, 2)
            x = block(x)
        x = self.dropout(x)
        maps: list[Tensor] = []
        for level, block in zip(range(len(self.decoder) - 1, -1, -1), self.decoder, strict=True):
            x, attention = block(x, skips.pop())
            if attention is not None:
                scale = 2**level
                maps.append(attention[..., : -(-height // scale), : -(-width // scale)])
        return self.head(x)[..., :height, :width], maps

    def _padded(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        bottom, right = -height % self.divisor, -width % self.divisor
        if not (bottom or right):
            return x
        mode = "reflect" if bottom < height and right < width else "replicate"
        return F.pad(x, (0, right, 0, bottom), mode=mode)

    def _initialise(self) -> None:
        modules = list(self.modules())
        for module in modules:
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in modules:
            if isinstance(module, AttentionGate) and module.psi.bias is not None:
                nn.init.constant_(module.psi.bias, OPEN)
            if isinstance(module, SqueezeExcitation) and module.excite.bias is not None:
                nn.init.constant_(module.excite.bias, OPEN)


def build_model(settings: ModelSettings) -> UNet:
    """Build the network that `settings` describe, with fresh weights."""
    return UNet(settings)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
