"""Rows of the planes of a file, read when they are asked for: of TIFF images and of OME-Zarr images that we wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.file_state import require_unchanged, state_of
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.lazy import opened_pixels
from napari_attnseg.data.lazy_pixels import Pixels
from napari_attnseg.data.ome_zarr_image import is_ome_zarr, require_all_chunks, zarr_rows
from napari_attnseg.data.regions import Damage
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError

_TILE = 512  # rows of a tile as we, and most, write them

Array = np.ndarray[Any, Any]


def rows_at_once(width: int, pixels: int) -> int:
    """Return how many rows of so many pixels come to `pixels` at most; whole tiles of them, as far as there are any."""
    rows = max(pixels // max(width, 1), 1)
    return rows - rows % _TILE if rows > _TILE else rows


def parts_of(info: ImageInfo, pixels: int) -> Iterator[tuple[int, slice]]:
    """Yield the number of each plane with some of its rows, from top to bottom; see `rows_at_once`."""
    step = rows_at_once(info.width, pixels)
    for plane in range(info.n_planes):
        for top in range(0, info.height, step):
            yield plane, slice(top, min(top + step, info.height))


class FileParts:
    """The planes of a file, which stays open after the first part that is read, and must not change.

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
        self._is_zarr = is_ome_zarr(self.path)
        # what replaces an OME-Zarr image is another folder with another such file
        self._file = self.path / "zarr.json" if self._is_zarr else self.path
        self._state = state_of(self._file)
        self.info: ImageInfo = read_info(self.path, axes)
        if self._is_zarr:
            require_all_chunks(self.path)
        self._axes = axes
        self._files = ExitStack()
        self._pixels: Pixels | Array | None = None

    def close(self) -> None:
        """Close the file; it is opened again when it is read."""
        self._pixels = None
        self._files.close()

    def __del__(self) -> None:
        if hasattr(self, "_files"):
            self._files.close()

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
        with self._unchanged():
            if self._is_zarr:
                return zarr_rows(self.path, plane, rows)
            if self._pixels is None:
                _, self._pixels = self._files.enter_context(opened_pixels(self.path, self._axes))
            if isinstance(self._pixels, Pixels):
                self._pixels.mark_damage(on_damage)
            return self._part(plane, rows)

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        require_unchanged(self._file, self._state)
        try:
            yield
        except DataError:
            require_unchanged(self._file, self._state)  # else it only looks damaged
            raise
        require_unchanged(self._file, self._state)

    def _part(self, plane: int, rows: slice) -> Array:
        info = self.info
        pixels: Any = self._pixels
        place = tuple(int(index) for index in np.unravel_index(plane, info.stack_shape)) if info.stack_shape else ()
        if info.is_rgb:
            return np.moveaxis(np.asarray(pixels[(*place, rows)]), -1, 0)
        part = np.asarray(pixels[(*place, ..., rows, slice(None))])
        return part if part.ndim == 3 else part[None]
