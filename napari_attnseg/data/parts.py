"""Rows of the planes of a file, read when they are asked for: of TIFF images and of OME-Zarr images that we wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.file_state import require_unchanged, state_of
from napari_attnseg.data.lazy import opened_pixels
from napari_attnseg.data.lazy_pixels import Pixels
from napari_attnseg.data.ome_zarr_image import is_ome_zarr, zarr_rows
from napari_attnseg.data.regions import Damage
from napari_attnseg.data.tiff import read_info

Array = np.ndarray[Any, Any]


class FileParts:
    """The planes of a file, which is opened for each part that is read and must not change between.

    Parameters
    ----------
    path
        A TIFF file, or an OME-Zarr image that we wrote.
    axes
        The axes of a TIFF file as the user knows them; None: as the file says.

    Raises
    ------
    DataError
        See `tiff.read_info`.
    """

    def __init__(self, path: Path, axes: str | None = None) -> None:
        self.path = Path(path)
        self.info = read_info(self.path, axes)
        self._axes = axes
        self._is_zarr = is_ome_zarr(self.path)
        self._state = None if self._is_zarr else state_of(self.path)
        self._whole: Array | None = None

    def read(self, plane: int, rows: slice, on_damage: Callable[[Damage], None] | None = None) -> Array:
        """Read some rows of a plane, interpreted as `tiff.read_image` does: (channel, y, x).

        Parameters
        ----------
        on_damage
            What is told of each tile or strip that cannot be decoded, which then reads as zeros; None: an error.

        Raises
        ------
        DataError
            The rows cannot be read or decoded.
        ChangedError
            The file is not the one that it was.
        """
        if self._is_zarr:
            return zarr_rows(self.path, plane, rows)
        require_unchanged(self.path, self._state)
        place = tuple(int(i) for i in np.unravel_index(plane, self.info.stack_shape)) if self.info.stack_shape else ()
        if self._whole is not None:
            part = self._part_of(self._whole, place, rows)
        else:
            with opened_pixels(self.path, self._axes) as (_, pixels):
                if not isinstance(pixels, Pixels):
                    self._whole = pixels
                elif on_damage is not None:
                    pixels.mark_damage(on_damage)
                part = self._part_of(pixels, place, rows)
        require_unchanged(self.path, self._state)
        return part

    def _part_of(self, pixels: Any, place: tuple[int, ...], rows: slice) -> Array:
        if self.info.is_rgb:
            return np.moveaxis(np.asarray(pixels[(*place, rows)]), -1, 0)
        part = np.asarray(pixels[(*place, ..., rows, slice(None))])
        return part if part.ndim == 3 else part[None]
