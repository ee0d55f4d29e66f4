"""What a user says of a folder that is imported."""

from __future__ import annotations

from dataclasses import dataclass

from napari_attnseg.data.convention import Mode
from napari_attnseg.data.importers.item import Form


@dataclass(frozen=True)
class Options:
    """How the images and masks of a folder are found and read."""

    images: str | None = None
    """Pattern of the images; see `naming`."""
    masks: str | None = None
    """Pattern of the masks, with `{name}`; None: the usual names are tried."""
    mask_values: Mode = "auto"
    """What mask values mean."""
    threshold: float | None = None
    """Grey above which a pixel of a mask is foreground."""
    form: Form = "stacks"
    """What becomes of NIfTI volumes and of TIFF stacks whose planes are Z."""
    volume: int | None = None
    """Which volume of a 4-D NIfTI, counted from 0."""
