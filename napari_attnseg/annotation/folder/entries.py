"""What is known of a folder's images without opening them, and how the user wants the folder to be read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from napari_attnseg.data.convention import Mode


class ImageState(StrEnum):
    """How far the annotation of an image has got; the value is what the user reads."""

    NO_MASK = "no mask"
    HAS_MASK = "has mask"
    UNSAVED = "edited, not saved yet"
    EDITED = "edited since the last training"


@dataclass(frozen=True)
class ImageEntry:
    """One image of a folder."""

    image: Path
    mask: Path | None
    """Its mask on disk; None if there is none yet."""
    name: str
    """The image's path relative to the folder, with '/' between the parts."""
    state: ImageState
    modified: float | None
    """When the mask was last written, in seconds since 1970; None without a mask."""
    note: str = ""
    """A few words behind the name, such as 'unsure 62 %'."""
    unsure: float | None = None
    """How unsure the model in use is of what it finds in the image, 0 to 1; None if that is not known."""


@dataclass(frozen=True)
class FolderChoices:
    """What the user chose for a folder; the defaults leave everything to the files."""

    axes: str | None = None
    """Axes of the images, one letter each in the order of the array; None for what each file says."""
    mask_suffix: str = "_MASK"
    """What stands between an image's name and its extension to make the mask's name."""
    mask_values: Mode = "auto"
    """What the masks' values mean: 'auto', 'binary', 'classes' or 'instances'."""
