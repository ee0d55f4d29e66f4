"""How masks become objects."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_attnseg.settings.declared import Settings, extra_data

Reach = Literal["planes", "z", "zt"]


class ObjectSettings(Settings):
    """How masks become objects."""

    split: bool = Field(
        True,
        title="Separate touching objects",
        description="Cut objects that touch apart at their necks. Off: what touches is one object.",
        json_schema_extra=extra_data(basic=True),
    )
    reach: Reach = Field(
        "z",
        title="In a stack",
        description="Which planes one object can go through: planes takes each plane by itself, z lets an object go on "
        "through the planes of a volume, zt through time too (not with separating touching objects).",
        json_schema_extra=extra_data(basic=True),
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        title="Threshold",
        description="Probability above which a pixel belongs to an object, where there is a probability of one kind of "
        "object. Unset: as the mask was predicted.",
    )
    neck: float = Field(
        0.08,
        ge=0.01,
        le=0.9,
        title="Neck",
        description="How much narrower than the objects on both sides a neck must be to be cut, as a share of their "
        "thickness. Larger: fewer cuts.",
        json_schema_extra=extra_data(basic=True),
    )
    smoothing: float | None = Field(
        None,
        ge=0,
        le=1000,
        title="Smoothing",
        description="Bumps of outlines that are smaller than this make no cuts. Unset: one pixel.",
    )
    min_distance: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        title="Smallest distance",
        description="Centres of objects that are nearer to each other than this are one object; 0 sets no limit.",
        json_schema_extra=extra_data(basic=True),
    )
    min_size: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        title="Smallest object",
        description="Objects of less area (in a volume: less volume) are dropped.",
        json_schema_extra=extra_data(basic=True),
    )
    unit: Literal["pixels", "physical"] = Field(
        "pixels",
        title="Unit",
        description="What smoothing, smallest distance and smallest object are counted in: pixels, or the unit of "
        "the image's own pixel size, such as µm (µm² and µm³ for sizes).",
    )
    connectivity: Literal["corners", "sides"] = Field(
        "corners",
        title="What touches",
        description="Whether pixels that meet at a corner only touch each other, or those that share a side.",
    )
