"""Masks that are too large to be read as a whole: their rows are read when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.class_ids import ClassIds
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.mask_values import order_of_planes, require_shape, whole_numbers
from napari_attnseg.data.parts import FileParts

Array = np.ndarray[Any, Any]


class MaskRows:
    """The values of a mask as they are stored.

    Parameters
    ----------
    path
        A mask for which `can_be_read_in_rows`.
    image
        The image that it belongs to; planes are ordered as in it. None: not checked.

    Raises
    ------
    DataError
        It cannot be opened, or has another size than its image.
    """

    def __init__(self, path: Path, image: ImageInfo | None = None) -> None:
        self._parts = FileParts(path)
        info = self._parts.info
        order = None if image is None else order_of_planes(info, image.stack_axes)
        self._order = np.arange(info.n_planes) if order is None else order
        self.shape = (info.n_planes, info.height, info.width)
        self.size = (info.height, info.width)
        if image is not None:
            require_shape(self._parts.path, self.shape, image)

    def part(self, plane: int, rows: slice) -> Array:
        """Return some rows of a plane (y, x), unsigned.

        Raises
        ------
        DataError
            They cannot be read, or hold fractions, NaN or negative values.
        """
        return whole_numbers(self._parts.read(int(self._order[plane]), rows)[0], self._parts.path)

    def close(self) -> None:
        """Close the file; it is opened again when it is read."""
        self._parts.close()

    def __getitem__(self, plane: int, /) -> Array:
        """Return a plane; see `part`."""
        return self.part(plane, slice(0, self.size[0]))


class ClassRows(MaskRows):
    """The class ids of a mask; see `MaskRows` and `ClassIds` for the parameters."""

    def __init__(self, path: Path, convention: MaskConvention, image: ImageInfo | None = None) -> None:
        super().__init__(path, image)
        self._ids = ClassIds(path, convention)

    def part(self, plane: int, rows: slice) -> Array:
        """Return some rows of a plane: uint8 (y, x).

        Raises
        ------
        DataError
            They cannot be read, or hold a value without a meaning.
        """
        return self._ids.of(super().part(plane, rows))


def can_be_read_in_rows(info: ImageInfo) -> bool:
    """Whether a mask stores its values as they count: one channel, neither a palette nor white for 0."""
    return info.channels == 1 and not (info.is_rgb or info.has_alpha or info.palette or info.inverted)
