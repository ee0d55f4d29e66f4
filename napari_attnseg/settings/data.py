"""How files become images, masks and a split."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from napari_attnseg.settings.declared import Axes, Settings, extra_data


class DataSettings(Settings):
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
    channels: Literal["as-is", "grey", "rgb"] = Field(
        "as-is",
        title="Channels",
        description="Use the channels as they are, turn RGB into one grey channel, or turn grey into RGB with three "
        "equal channels.",
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
        json_schema_extra=extra_data("%"),
    )
    high_percentile: float = Field(
        99.8,
        gt=50,
        le=100,
        title="High percentile",
        description="This percentile becomes 1.",
        json_schema_extra=extra_data("%"),
    )
    val_fraction: float = Field(
        0.2,
        ge=0,
        lt=1,
        title="Held out",
        description="Share of the images (or groups) that are held out to measure the model; 0 holds none out.",
        json_schema_extra=extra_data(basic=True),
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
