"""The network."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from napari_attnseg.settings.declared import Settings, extra_data

ModelName = Literal[
    "attention_se_unet", "unet", "attention_unet", "se_unet", "full_se_unet", "res_se_unet", "cbam_unet"
]

FULL_WIDTHS = (32, 64, 128, 256, 512)
HALF_WIDTHS = (16, 32, 64, 128, 256)
RESNET_LEVELS = 5  # at which ResNet halves the resolution


class ModelSettings(Settings):
    """The network: one U-Net of named parts."""

    name: ModelName = Field(
        "attention_se_unet",
        title="Model",
        description="The preset; the default suits most images. attention_ has an attention gate on every skip "
        "connection, se_ and full_se_ squeeze-and-excitation, cbam_ weights for channels and places, res_se_ a "
        "ResNet-50 encoder; unet is the plain one.",
        json_schema_extra=extra_data(basic=True, option="model"),
    )
    widths: tuple[int, ...] | None = Field(
        None,
        min_length=2,
        max_length=7,
        title="Widths",
        description="Channels of each level, from full resolution down; each level halves the resolution. "
        "Of res_se_unet they are those of its decoder, and five. Unset: 32 64 128 256 512 on a GPU, half as "
        "many on a CPU.",
    )
    normalisation: Literal["batch", "group", "instance"] = Field(
        "batch",
        title="Normalisation",
        description="Normalisation after each convolution. Batch is fastest; group suits batches of 1 to 4.",
        json_schema_extra=extra_data(option="norm"),
    )
    upsampling: Literal["transposed", "bilinear"] = Field(
        "transposed", title="Up-sampling", description="How the decoder doubles the resolution."
    )
    gate: Literal["single", "channel"] = Field(
        "single",
        title="Attention gates",
        description="Whether a gate has a single map for all channels or one for each channel (models with gates "
        "only). Shown is their mean then.",
    )
    se_reduction: int = Field(
        16,
        ge=1,
        le=128,
        title="SE reduction",
        description="Reduction ratio r of squeeze-and-excitation, and of the channel weights of cbam_unet.",
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, title="Dropout", description="Share of channels dropped at the deepest level while training."
    )
    encoder_weights: str | None = Field(
        None,
        title="Encoder weights",
        description="What the encoder of res_se_unet begins with: 'imagenet' downloads the published weights "
        "(98 MB, once), and the path of a .pth or .safetensors file of ResNet-50 is read. Without, it learns from "
        "nothing.",
    )
    in_channels: int = Field(
        1,
        ge=1,
        le=64,
        title="Input channels",
        description="Set by the data.",
        json_schema_extra=extra_data(derived=True),
    )
    classes: int = Field(
        1,
        ge=1,
        le=255,
        title="Output planes",
        description="1 for binary, else the number of classes with background; set by the data.",
        json_schema_extra=extra_data(derived=True),
    )

    @field_validator("widths")
    @classmethod
    def _are_widths(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and any(not 4 <= width <= 2048 for width in value):
            raise ValueError("each width must be from 4 to 2048 channels")
        return value

    @model_validator(mode="after")
    def _resnet_fits(self) -> Self:
        if self.name == "res_se_unet" and self.widths is not None and len(self.widths) != RESNET_LEVELS:
            raise ValueError(
                f"res_se_unet needs {RESNET_LEVELS} widths, one for each level of its decoder, and not "
                f"{len(self.widths)}; give as many, or none"
            )
        if self.name == "res_se_unet" and self.normalisation != "batch":
            raise ValueError(
                f"res_se_unet has batch normalisation, as its published encoder has, and not '{self.normalisation}'; "
                "leave the normalisation at 'batch', or take another model"
            )
        return self

    @property
    def levels(self) -> tuple[int, ...]:
        """The widths; the full ones while nothing has decided."""
        return self.widths or FULL_WIDTHS
