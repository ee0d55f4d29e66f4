"""The network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from napari_attnseg.settings.declared import Settings, extra_data

ModelName = Literal["attention_se_unet", "unet"]

FULL_WIDTHS = (32, 64, 128, 256, 512)
HALF_WIDTHS = (16, 32, 64, 128, 256)


class ModelSettings(Settings):
    """The network: one U-Net of named parts."""

    name: ModelName = Field(
        "attention_se_unet",
        title="Model",
        description="The preset: attention_se_unet has an attention gate on every skip connection and "
        "squeeze-and-excitation in the decoder; unet is the plain one.",
        json_schema_extra=extra_data(basic=True, option="model"),
    )
    widths: tuple[int, ...] | None = Field(
        None,
        min_length=2,
        max_length=7,
        title="Widths",
        description="Channels of each level, from full resolution down; each level halves the resolution. "
        "Unset: 32 64 128 256 512 where 16-bit arithmetic is fast, half as many on other CPUs.",
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
    se_reduction: int = Field(
        16, ge=1, le=128, title="SE reduction", description="Reduction ratio r of squeeze-and-excitation."
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, title="Dropout", description="Share of channels dropped at the deepest level while training."
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

    @property
    def levels(self) -> tuple[int, ...]:
        """The widths; the full ones while nothing has decided."""
        return self.widths or FULL_WIDTHS
