"""How a trained network is applied."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from napari_attnseg.settings.computing import DeviceName, PrecisionName
from napari_attnseg.settings.declared import Axes, Settings, extra_data

DEFAULT_TILE_SIZE, DEFAULT_OVERLAP, DEFAULT_BATCH_SIZE = 512, 64, 4
"""What is taken where nothing is asked for and nothing else is known to be faster."""


class PredictionSettings(Settings):
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
        json_schema_extra=extra_data(basic=True),
    )
    min_size: int = Field(
        0,
        ge=0,
        title="Smallest object",
        description="Objects of fewer pixels are dropped.",
        json_schema_extra=extra_data("pixels", basic=True),
    )
    fill_holes: bool = Field(False, title="Fill holes", description="Fill holes inside objects.")
    tile_size: int | None = Field(
        None,
        ge=64,
        le=8192,
        title="Tile size",
        description="Larger images are predicted in tiles of this side. Unset: 512; for an image that is predicted "
        "tile by tile, what is fastest on this device.",
        json_schema_extra=extra_data("pixels"),
    )
    overlap: int = Field(
        DEFAULT_OVERLAP,
        ge=0,
        title="Tile overlap",
        description="Width over which neighbouring tiles are blended.",
        json_schema_extra=extra_data("pixels"),
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=1024,
        title="Batch size",
        description="Tiles in one forward pass. Unset: 4; for an image that is predicted tile by tile, what is "
        "fastest on this device.",
    )
    tta: bool = Field(
        False,
        title="Mirror and turn",
        description="Take the mean over the eight mirrored and turned versions of each tile (test-time augmentation): "
        "eight times slower, and often a little better. For models that learnt from mirrored and turned patches.",
    )
    tile_by_tile: Literal["auto", "always", "never"] = Field(
        "auto",
        title="Tile by tile",
        description="Read and write an image tile by tile, in little memory, so that a broken-off prediction goes on "
        "where it was. Auto: where the whole image would take more than half of the memory that is free. "
        "OME-Zarr is always written tile by tile.",
    )
    format: Literal["tiff", "ome-zarr"] = Field(
        "tiff",
        title="Format",
        description="Write TIFF (BigTIFF with a pyramid, where the image is predicted tile by tile), or OME-Zarr.",
    )
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
        tile_size = self.tile_size or DEFAULT_TILE_SIZE
        if self.overlap > tile_size // 2:
            raise ValueError(f"the tile overlap ({self.overlap}) must be at most half the tile size ({tile_size})")
        return self
