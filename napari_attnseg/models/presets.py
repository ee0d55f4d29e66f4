"""The presets of the model family: what each one is, after whom, and of which parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_attnseg.settings import ModelName


@dataclass(frozen=True)
class Parts:
    """What a preset is, and in which parts it differs from the plain U-Net."""

    about: str
    after: str
    encoder: Literal["plain", "resnet50"] = "plain"
    gates: bool = False
    """An attention gate on every skip connection."""
    joined: Literal["none", "se", "cbam"] = "none"
    """What weighs the features after each concatenation, before the convolutions."""
    encoder_se: bool = False
    """Squeeze-and-excitation on what each encoder level passes down."""
    decoder_se: bool = False
    """Squeeze-and-excitation after the convolutions of each decoder level."""
    output_se: bool = False
    """Squeeze-and-excitation before the output layer."""


PRESETS: dict[ModelName, Parts] = {
    "attention_se_unet": Parts(
        "an attention gate on every skip connection, squeeze-and-excitation in the decoder",
        "Oktay 2018, Hu 2018, Niblic's Attention SE U-Net",
        gates=True,
        decoder_se=True,
    ),
    "unet": Parts("the plain U-Net, the yardstick of every comparison", "Ronneberger 2015"),
    "attention_unet": Parts("an attention gate on every skip connection", "Oktay 2018", gates=True),
    "se_unet": Parts("squeeze-and-excitation after each concatenation", "Hu 2018, Attention Based U-Nets", joined="se"),
    "full_se_unet": Parts(
        "squeeze-and-excitation in the encoder, after each concatenation and before the output",
        "Hu 2018, Attention Based U-Nets",
        joined="se",
        encoder_se=True,
        output_se=True,
    ),
    "res_se_unet": Parts(
        "a ResNet-50 encoder, squeeze-and-excitation after each concatenation",
        "He 2016, Hu 2018, Attention Based U-Nets",
        encoder="resnet50",
        joined="se",
    ),
    "cbam_unet": Parts(
        "weights for channels, then for places, after each concatenation",
        "Woo 2018, Attention Based U-Nets",
        joined="cbam",
    ),
}
