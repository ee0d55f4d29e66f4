"""Every setting once: name, type, default, limits, label and help.

Command-line options, the viewer's forms and `run.json` are made from these classes; nothing else declares a setting.
The first sentence of a field's help is meant for a tooltip. A `unit` and whether a setting is `basic` (shown without
unfolding) stand in the field's extra data; `derived` marks values that the data decides and no user enters.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from napari_attnseg.errors import SettingsError

ModelName = Literal["attention_se_unet", "unet"]
LossName = Literal["dice", "jaccard", "bce", "focal", "dice_focal", "dice_bce"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]

FULL_WIDTHS = (32, 64, 128, 256, 512)
HALF_WIDTHS = (16, 32, 64, 128, 256)

T = TypeVar("T", bound=BaseModel)


def _extra(unit: str = "", *, basic: bool = False, derived: bool = False, option: str = "") -> dict[str, Any]:
    return {"unit": unit, "basic": basic, "derived": derived, "option": option}


def _checked_axes(value: str) -> str:
    value = value.upper()
    if set(value) - set("TZCYXS") or len(set(value)) != len(value) or not {"Y", "X"} <= set(value):
        raise ValueError(f"'{value}' must name each of its axes once, of T, Z, C, Y, X, S, with Y and X among them")
    return value


Axes = Annotated[str, AfterValidator(_checked_axes)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DataSettings(_Settings):
    """How files become images, masks and a split."""

    mask_suffix: str = Field(
        "_MASK",
        min_length=1,
        title="Mask suffix",
        description="What is added to an image's name to name its mask; matched in any case.",
    )
    axes: Axes | None = Field(
        None,
        title="Axes",
        description="The axes of the images, in the order of the array: T, Z, C, Y, X, or S for the samples of RGB. "
        "Unset: taken from the file's metadata, else from its shape.",
    )
    mask_values: Literal["auto", "binary", "classes", "instances"] = Field(
        "auto",
        title="Mask values",
        description="What the values in a mask mean. Auto decides by the values of the whole folder.",
    )
    channels: Literal["as-is", "grey"] = Field(
        "as-is",
        title="Channels",
        description="Use the channels as they are, or turn RGB into one grey channel.",
    )
    normalisation: Literal["percentile", "minmax", "dtype"] = Field(
        "percentile",
        title="Intensity scaling",
        description="How intensities are brought to 0..1: by percentiles or by minimum and maximum of each image and "
        "channel, or by the range of the file's number type.",
    )
    low_percentile: float = Field(
        0.5,
        ge=0,
        lt=50,
        title="Low percentile",
        description="This percentile becomes 0.",
        json_schema_extra=_extra("%"),
    )
    high_percentile: float = Field(
        99.8,
        gt=50,
        le=100,
        title="High percentile",
        description="This percentile becomes 1.",
        json_schema_extra=_extra("%"),
    )
    val_fraction: float = Field(
        0.2,
        ge=0,
        lt=1,
        title="Held out",
        description="Share of the images (or groups) that are held out to measure the model; 0 holds none out.",
        json_schema_extra=_extra(basic=True),
    )
    val: Path | None = Field(
        None,
        title="Held-out folder",
        description="A folder of pairs to measure the model on, in place of a share of the training folder.",
    )
    group_pattern: str | None = Field(
        None,
        title="Group by",
        description="A regular expression on the image's file name; images whose matches (or first groups, in "
        "brackets) are equal, such as those of one patient or plate, are held out together.",
    )

    @field_validator("group_pattern")
    @classmethod
    def _is_regular_expression(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"'{value}' is not a regular expression: {error}") from error
        return value


class ModelSettings(_Settings):
    """The network: one U-Net of named parts."""

    name: ModelName = Field(
        "attention_se_unet",
        title="Model",
        description="The preset: attention_se_unet has an attention gate on every skip connection and "
        "squeeze-and-excitation in the decoder; unet is the plain one.",
        json_schema_extra=_extra(basic=True, option="model"),
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
        json_schema_extra=_extra(option="norm"),
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
        1, ge=1, le=64, title="Input channels", description="Set by the data.", json_schema_extra=_extra(derived=True)
    )
    classes: int = Field(
        1,
        ge=1,
        le=255,
        title="Output planes",
        description="1 for binary, else the number of classes with background; set by the data.",
        json_schema_extra=_extra(derived=True),
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


class TrainingSettings(_Settings):
    """How the network learns."""

    loss: LossName = Field(
        "dice_bce",
        title="Loss",
        description="What is made small: Dice, Jaccard, (binary) cross-entropy, focal, or a sum of two.",
        json_schema_extra=_extra(basic=True),
    )
    epochs: int = Field(
        100,
        ge=1,
        le=100_000,
        title="Epochs",
        description="Rounds of training; after each the held-out images are scored.",
        json_schema_extra=_extra(basic=True),
    )
    max_minutes: float | None = Field(
        None,
        gt=0,
        title="Time limit",
        description="Stop after this time, scoring and saving included; the learning rate falls over this time.",
        json_schema_extra=_extra("minutes", basic=True),
    )
    steps_per_epoch: int | None = Field(
        None,
        ge=1,
        title="Batches an epoch",
        description="Unset: as many as it takes to see about every pixel once, from 20 to 500.",
    )
    patch_size: int = Field(
        64,
        ge=16,
        le=2048,
        title="Patch size",
        description="Side of the squares that are learnt from, after a random zoom out; larger ones suit large objects "
        "and long trainings.",
        json_schema_extra=_extra("pixels"),
    )
    batch_size: int = Field(16, ge=1, le=1024, title="Batch size", description="Patches in one training step.")
    learning_rate: float = Field(5e-3, gt=0, le=1, title="Learning rate", description="The highest one, after warm-up.")
    weight_decay: float = Field(1e-2, ge=0, le=1, title="Weight decay", description="AdamW's weight decay.")
    warmup: float = Field(
        0.05, ge=0, lt=1, title="Warm-up", description="Share of the training over which the learning rate rises."
    )
    ema: float = Field(
        0.98,
        ge=0,
        lt=1,
        title="Weight averaging",
        description="Decay of the moving average of the weights that is scored and saved; 0 turns it off.",
    )
    patience: int = Field(
        0,
        ge=0,
        title="Early stopping",
        description="Stop after this many epochs without a better score; 0 never stops early.",
        json_schema_extra=_extra("epochs"),
    )
    augmentation: Literal["none", "default", "strong"] = Field(
        "default",
        title="Augmentation",
        description="Random changes of image and mask: rotation, scale, brightness, contrast and noise.",
    )
    flips: Literal["auto", "on", "off"] = Field(
        "auto",
        title="Flips",
        description="Mirror and turn patches by quarters. Auto: on for binary masks, off with several classes, which "
        "may differ by side, as a left and a right kidney do.",
    )
    foreground: float = Field(
        0.5, ge=0, le=1, title="Foreground patches", description="Share of patches centred on an annotated object."
    )
    focus_share: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Edited images",
        description="Share of the patches from the images to concentrate on, those edited since the last training; the "
        "rest comes from all others, so that what was learnt from them is kept.",
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, title="Seed", description="Seed of everything random.")
    device: DeviceName = Field(
        "auto", title="Device", description="Where to compute; auto takes a GPU if there is one."
    )
    precision: PrecisionName = Field(
        "auto",
        title="Precision",
        description="Number type of the heavy arithmetic; auto takes 16 bit where the device gains from it.",
    )


class PredictionSettings(_Settings):
    """How a trained network is applied."""

    channels: Literal["as-is", "grey"] = Field(
        "as-is",
        title="Channels",
        description="Use the channels as the model was trained, or turn RGB images into one grey channel first.",
    )
    axes: Axes | None = Field(
        None,
        title="Axes",
        description="The axes of the images, in the order of the array: T, Z, C, Y, X, or S for the samples of RGB. "
        "Unset: taken from the file's metadata, else from its shape.",
    )
    threshold: float = Field(
        0.5,
        gt=0,
        lt=1,
        title="Threshold",
        description="Probability above which a pixel is foreground (binary models).",
        json_schema_extra=_extra(basic=True),
    )
    min_size: int = Field(
        0,
        ge=0,
        title="Smallest object",
        description="Objects of fewer pixels are dropped.",
        json_schema_extra=_extra("pixels", basic=True),
    )
    fill_holes: bool = Field(False, title="Fill holes", description="Fill holes inside objects.")
    tile_size: int = Field(
        512,
        ge=64,
        le=8192,
        title="Tile size",
        description="Larger images are predicted in tiles of this side.",
        json_schema_extra=_extra("pixels"),
    )
    overlap: int = Field(
        64,
        ge=0,
        title="Tile overlap",
        description="Width over which neighbouring tiles are blended.",
        json_schema_extra=_extra("pixels"),
    )
    batch_size: int = Field(4, ge=1, le=1024, title="Batch size", description="Tiles in one forward pass.")
    probability: bool = Field(
        False, title="Probability", description="Also write the probability of each class as NAME_PROB.tiff."
    )
    attention: bool = Field(
        False, title="Attention", description="Also write where each attention gate looks as NAME_ATTN.tiff."
    )
    device: DeviceName = Field(
        "auto", title="Device", description="Where to compute; auto takes a GPU if there is one."
    )
    precision: PrecisionName = Field(
        "auto",
        title="Precision",
        description="Number type of the heavy arithmetic; auto takes 16 bit where the device gains from it.",
    )

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap > self.tile_size // 2:
            raise ValueError(f"the tile overlap ({self.overlap}) must be at most half the tile size ({self.tile_size})")
        return self


class RunSettings(_Settings):
    """All that a training needs; this is what `run.json` holds under `settings`."""

    data: DataSettings = Field(default_factory=DataSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)

    @classmethod
    def groups(cls) -> dict[str, type[BaseModel]]:
        """Return the groups by name, in the order in which they are shown."""
        return {"data": DataSettings, "model": ModelSettings, "training": TrainingSettings}


FINE_TUNING: dict[str, Any] = {
    "max_minutes": 1.25,
    "warmup": 0.1,
    "ema": 0.95,
    "steps_per_epoch": 20,
}
"""What suits a model that has learnt already and a few corrected images: short, with a score every 20 batches.

The learning rate stays that of a new model: in as many steps, less than half of it gained less on a new kind of image.
"""


def fine_tuning(settings: RunSettings) -> RunSettings:
    """Return the settings for learning from a few corrected images, from a model that knows others.

    Values that were given when `settings` was built stay as they are, defaults included that were given by name.
    """
    training = settings.training
    changes = {name: value for name, value in FINE_TUNING.items() if name not in training.model_fields_set}
    return settings.model_copy(update={"training": training.model_copy(update=changes)})


def option_name(field: str, info: FieldInfo) -> str:
    """Return the name that a setting goes by on its own, outside its group; it is unique."""
    extra = info.json_schema_extra
    return str(extra.get("option") or field) if isinstance(extra, dict) else field


def make(kind: type[T], values: dict[str, Any]) -> T:
    """Build settings, turning pydantic's errors into one sentence.

    Raises
    ------
    SettingsError
        A value is out of range, of the wrong type, or has an unknown name.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(kind, item) for item in error.errors()) + ".") from error


def _sentence(kind: type[BaseModel], item: Any) -> str:
    place = [str(part) for part in item["loc"]]
    name = " > ".join(place) or kind.__name__
    message = item["msg"].removeprefix("Value error, ")
    given = item.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float) else ""
    return f"Setting '{name}': {message[0].lower() + message[1:]}{shown}"
