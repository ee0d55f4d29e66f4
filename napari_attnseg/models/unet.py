"""The U-Net family: one frame for all presets."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from napari_attnseg.models.attention import AttentionGate, Cbam, SqueezeExcitation
from napari_attnseg.models.decoder import DecoderLevel
from napari_attnseg.models.encoder import make_encoder
from napari_attnseg.models.presets import PRESETS
from napari_attnseg.settings import ModelSettings


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015, arXiv:1505.04597) with the parts of its preset.

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
        self.encoder = make_encoder(settings, parts)
        self.dropout = nn.Dropout2d(settings.dropout) if settings.dropout > 0 else nn.Identity()
        *skips, deepest = self.encoder.channels
        widths = settings.levels[: len(skips)]  # what each level of the decoder gives, finest first
        below = (*widths[1:], deepest)
        self.decoder = nn.ModuleList(
            DecoderLevel(*channels, settings, parts)
            for channels in zip(below[::-1], skips[::-1], widths[::-1], strict=True)
        )
        self.before_head = SqueezeExcitation(widths[0], settings.se_reduction) if parts.output_se else nn.Identity()
        self.head = nn.Conv2d(widths[0], settings.classes, 1)
        self._initialise()

    @property
    def divisor(self) -> int:
        """What both sides of the image are padded to a multiple of."""
        return int(2 ** len(self.decoder))

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
        *skips, x = self.encoder(self._padded(x))
        x = self.dropout(x)
        maps: list[Tensor] = []
        for level, block in zip(range(len(self.decoder) - 1, -1, -1), self.decoder, strict=True):
            x, attention = block(x, skips.pop())
            if attention is not None:
                scale = 2**level
                maps.append(attention[..., : -(-height // scale), : -(-width // scale)])
        return self.head(self.before_head(x))[..., :height, :width], maps

    def _padded(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        bottom, right = -height % self.divisor, -width % self.divisor
        if height + bottom == width + right == self.divisor and self._needs_more_than_one(x.shape[0]):
            bottom += self.divisor
        if not (bottom or right):
            return x
        mode = "reflect" if bottom < height and right < width else "replicate"
        return F.pad(x, (0, right, 0, bottom), mode=mode)

    def _needs_more_than_one(self, images: int) -> bool:
        """Whether normalisation fails on features of one pixel: it divides by the spread of what it sees."""
        return self.settings.normalisation != "batch" or (self.training and images == 1)

    def _initialise(self) -> None:
        modules = list(self.modules())
        for module in modules:
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in modules:
            if isinstance(module, AttentionGate | SqueezeExcitation | Cbam):
                module.begin_open()


def build_model(settings: ModelSettings) -> UNet:
    """Build the network that `settings` describe, with fresh weights."""
    return UNet(settings)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
