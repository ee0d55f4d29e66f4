"""A plane of an image of which some tiles or strips cannot be decoded: those are unknown, the others count."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_attnseg.data.file_state import unchanged
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.lazy import opened_pixels
from napari_attnseg.data.lazy_pixels import Pixels
from napari_attnseg.data.regions import Damage

Array = np.ndarray[Any, Any]


def read_damaged_plane(info: ImageInfo, plane: int, axes: str | None = None) -> tuple[Array, list[Damage]] | None:
    """Read what can be decoded of a plane.

    Returns
    -------
    tuple or None
        The plane (channel, y, x), float32, or float64 where the image has more than 16 bits, NaN where it cannot be
        decoded, and these parts; None for a file that cannot be read in parts.

    Raises
    ------
    DataError
        The file cannot be read at all.
    """
    damage: list[Damage] = []
    stack = info.stack_shape
    with unchanged(info.path), opened_pixels(info.path, axes) as (_, pixels):
        if not isinstance(pixels, Pixels):
            return None
        pixels.mark_damage(damage.append)
        read = pixels[tuple(int(place) for place in np.unravel_index(plane, stack))] if stack else pixels[...]
    read = np.moveaxis(read, -1, 0) if info.is_rgb else read if read.ndim == 3 else read[None]
    found = read.astype(np.float32 if read.dtype.itemsize <= 2 else np.float64)
    for gap in damage:
        found[:, gap.rows, gap.columns] = np.nan
    return found, damage
