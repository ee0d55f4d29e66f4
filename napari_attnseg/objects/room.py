"""Whether the memory is enough, asked before it is taken: the system ends a program that uses it up, without a word."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.memory import free_memory
from napari_attnseg.errors import DataError
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.objects.strips import Window, is_large_plane, pixels_in_strip
from napari_attnseg.settings import ObjectSettings

BYTES_TO_SEPARATE, BYTES_TO_LINK = 75, 40  # of memory for each pixel that is looked at at once
BYTES_TO_COUNT = 64  # the same, where objects have numbers already


def require_memory(needed: float, what: str, ways: Sequence[str] = ()) -> None:
    """Refuse what would use up the memory.

    Parameters
    ----------
    needed
        How many bytes it takes about.
    what
        Begins the sentence: 'Finding the objects of cell.tif'.
    ways
        How else it may be done, to be read after 'close other programs, '.

    Raises
    ------
    DataError
        Less is free.
    SettingsError
        See `memory.free_memory`.
    """
    free = free_memory()
    if needed > free:
        raise DataError(
            f"{what} takes about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; close other "
            f"programs, {', '.join([*ways, 'or cut the image into parts'])}."
        )


def require_room(
    size: tuple[int, ...], geometry: Geometry, settings: ObjectSettings, name: str, *, besides: int = 0
) -> None:
    """Refuse to find the objects of a stack that does not fit into memory.

    Parameters
    ----------
    size
        Rows and columns of a plane.
    geometry, settings
        Of the stack, and what is looked for: they say how many planes are looked at at once.
    name
        The file's, for the message.
    besides
        How many bytes will be read before.

    Raises
    ------
    DataError
        Less memory is free.
    """
    planes = len(geometry.together(settings.reach)[0]) if settings.split else 1
    pixels = math.prod(size) * planes
    if settings.split and goes_in_strips(size, planes):
        lengths = geometry.lengths(settings, name)
        spacing = lengths if planes > 1 else lengths[1:]
        pixels = Window.of(size, planes, spacing, settings).pixels(size, planes)
    elif not settings.split and not any(geometry.through(settings.reach)):
        pixels = pixels_in_strip(size)
    needed = pixels * (BYTES_TO_SEPARATE if settings.split else BYTES_TO_LINK)
    ways = [
        *(["take each plane by itself (--reach planes)"] if planes > 1 else []),
        *(["say that what touches is one object (--no-split)"] if settings.split else []),
    ]
    require_memory(needed + besides, f"Finding the objects of {name}", ways)


def goes_in_strips(size: tuple[int, ...], planes: int) -> bool:
    """Whether a plane of this size (y, x), or a volume of so many, is separated some rows at a time.

    That takes longer for a volume, of which each window shows all planes, and so it is done where memory is short.
    """
    pixels = math.prod(size) * planes
    return is_large_plane(size) if planes == 1 else pixels * BYTES_TO_SEPARATE > free_memory() / 2


def bytes_to_read(info: ImageInfo) -> int:
    """Return how much memory it takes to read a mask: its pixels, and what they are turned into."""
    return 2 * info.n_planes * info.channels * info.height * info.width * np.dtype(info.dtype).itemsize
