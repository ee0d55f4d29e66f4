"""What the importers hand to the conversion: items that can be loaded, and what is left out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_attnseg.data.axes import channels_of, stack_of
from napari_attnseg.data.classes import Classes
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.pairs import stem_of
from napari_attnseg.data.spacing import Spacing

Array = np.ndarray[Any, Any]
_UNKNOWN = Spacing()
Form = Literal["slices", "stacks"]


@dataclass(frozen=True)
class Picture:
    """Pixels of an image as they will be written."""

    pixels: Array
    axes: str
    """A letter of T, Z, C, Y, X, S for each axis of `pixels`."""
    spacing: Spacing = _UNKNOWN
    channel_names: tuple[str, ...] = ()

    def info(self, path: Path) -> ImageInfo:
        """Describe the picture as if it were the TIFF `path`."""
        stack_axes, stack_shape = stack_of(self.pixels.shape, self.axes)
        return ImageInfo(
            path=path,
            shape=self.pixels.shape,
            axes=self.axes,
            dtype=self.pixels.dtype.name,
            stack_axes=stack_axes,
            stack_shape=stack_shape,
            channels=channels_of(self.pixels.shape, self.axes),
            height=self.pixels.shape[self.axes.index("Y")],
            width=self.pixels.shape[self.axes.index("X")],
            is_rgb="S" in self.axes,
            has_alpha=False,
            palette="",
            inverted=False,
            bits=8 * self.pixels.dtype.itemsize,
            spacing=self.spacing,
            channel_names=self.channel_names,
            compression="zlib",
            photometric="rgb" if "S" in self.axes else "minisblack",
            is_imagej=False,
            is_ome=False,
            is_tiled=False,
            byteorder="<" if sys.byteorder == "little" else ">",
        )


@dataclass(frozen=True)
class Output:
    """One pair that will be written."""

    file: str
    """Where to, relative to the destination, with forward slashes and the TIFF extension."""
    picture: Picture
    mask: Array | None
    """Values to write, unsigned (plane, y, x); None: not annotated yet."""


@dataclass(frozen=True)
class Loaded:
    """What an item became: one pair, or one for each slice."""

    outputs: tuple[Output, ...]
    notices: tuple[str, ...] = ()
    """What the user should know of it, a sentence each."""


@dataclass(frozen=True)
class Item:
    """Something that becomes one pair, or one for each slice."""

    name: str
    """The file that it becomes, as in `Output`; without '_z00.tiff' where it becomes several."""
    source: Path
    mask: Path | None
    load: Callable[[], Loaded]
    """Reads it; raises `DataError` with a sentence."""

    @property
    def is_one_file(self) -> bool:
        """Whether it becomes exactly one pair, of the name `name`."""
        return self.name.endswith((".tif", ".tiff"))

    @property
    def stem(self) -> str:
        """`name` without its extension."""
        return self.name[: len(self.name) - len(self.own_name)] + stem_of(Path(self.own_name))

    @property
    def own_name(self) -> str:
        """`name` without its folders."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class LeftOut:
    """A file or a folder that is not imported."""

    source: Path
    """Also a folder and a pattern, such as `raw/*.czi`, for all files of one kind."""
    reason: str
    """A sentence."""
    files: int = 1
    """How many it stands for; 0 for what is no image, such as a table, and is not missed."""


@dataclass(frozen=True)
class Plan:
    """What will be imported from a folder."""

    items: tuple[Item, ...]
    left_out: tuple[LeftOut, ...] = ()
    notices: tuple[str, ...] = ()
    """How the folder was understood, a sentence each."""
    classes: Classes | None = None
    """What goes to classes.json."""
    meaning: MaskConvention | None = None
    """What the values of the source's masks mean; None if nothing else can come of them when it is imported again."""
    advice: tuple[str, ...] = ()
    """Options that a training on the destination should have, a line each."""


def sliced(
    name: str, stack_name: str, picture: Picture, masks: Sequence[Array | None] | Array | None, form: Form
) -> tuple[Output, ...]:
    """Return a volume as one stack, or as one pair for each slice.

    Parameters
    ----------
    name
        What the files of slices begin with: `chaos_10` for `chaos_10_z07.tiff`.
    stack_name
        The file of the stack.
    picture
        The volume, its first axis Z; what has another first axis is one file in both forms.
    masks
        For each plane its mask (y, x), unsigned, or None; None: no plane has one. A stack of which some plane has none
        has none.
    form
        'slices' or 'stacks'.
    """
    known = [] if masks is None else [mask for mask in masks if mask is not None]
    if form == "stacks" or not picture.axes.startswith("Z"):
        complete = masks is not None and len(known) == len(masks)
        return (Output(stack_name, picture, np.stack(known) if complete else None),)
    count = len(picture.pixels)
    digits = max(2, len(str(count - 1)))
    spacing = Spacing(pixel_size=picture.spacing.pixel_size, unit=picture.spacing.unit)
    outputs = []
    for z in range(count):
        mask = None if masks is None else masks[z]
        part = Picture(picture.pixels[z], picture.axes[1:], spacing, picture.channel_names)
        outputs.append(Output(f"{name}_z{z:0{digits}d}.tiff", part, None if mask is None else mask[None]))
    return tuple(outputs)
