"""The planes of a file for objects: some planes at a time where they are small, some rows where they are large."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.parts import FileParts
from napari_attnseg.data.regions import Damage
from napari_attnseg.data.tiff import read_planes
from napari_attnseg.errors import ChangedError, DataError

CHUNK = 64 * 2**20  # bytes that are read at once of a large stack

Array = np.ndarray[Any, Any]


class FilePlanes:
    """The planes (channel, y, x) of a file; cheap where they, or their rows, are asked for in order.

    `order` says which plane of the file each one is; None: as they are stored.
    """

    def __init__(self, info: ImageInfo, axes: str | None = None, order: Array | None = None) -> None:
        self.size = (info.height, info.width)
        self._info, self._axes = info, axes
        self._order = np.arange(info.n_planes) if order is None else order
        self._parts = FileParts(info.path, axes)
        plane = info.height * info.width * info.channels * np.dtype(info.dtype).itemsize
        self._count = max(CHUNK // max(plane, 1), 1)
        self._read: tuple[int, Array] | None = None
        self._part: tuple[tuple[int, int, int], Array] | None = None

    def __getitem__(self, plane: int, /) -> Array:
        """Return a plane.

        Raises
        ------
        DataError
            The pixels are damaged.
        """
        first = plane - plane % self._count
        if self._read is None or self._read[0] != first:
            self._read = None
            planes = self._order[first : first + self._count].tolist()
            self._read = (first, read_planes(self._info.path, planes, self._axes).pixels)
        return np.asarray(self._read[1][plane - first])

    def part(self, plane: int, rows: slice) -> Array:
        """Return some rows of a plane.

        Raises
        ------
        DataError
            The pixels are damaged.
        """
        if self._is_all(rows):
            return self[plane]
        if self._part is None or self._part[0] != (plane, rows.start, rows.stop):
            self._part = None
            read = self._parts.read(int(self._order[plane]), rows)
            self._part = ((plane, rows.start, rows.stop), read)  # a threshold needs it, and the cuts do too
        return self._part[1]

    def close(self) -> None:
        """Close the file; it is opened again when it is read."""
        self._parts.close()

    def _is_all(self, rows: slice) -> bool:
        return rows.indices(self.size[0])[:2] == (0, self.size[0])


class IntensityPlanes(FilePlanes):
    """The planes of an image for its intensities: what cannot be decoded of them is NaN, and counted."""

    def __init__(self, info: ImageInfo, axes: str | None = None) -> None:
        super().__init__(info, axes)
        self._damage: set[Damage] = set()
        self._damaged_chunks: set[int] = set()  # read as a whole no second time

    @property
    def notice(self) -> str:
        """What could not be decoded of the planes that were asked for, a sentence; '' if nothing."""
        if not self._damage:
            return ""
        count = len(self._damage)
        what = "1 tile or strip" if count == 1 else f"{count} tiles or strips"
        return f"{what} of {self._info.path.name} cannot be decoded; intensities are those of the rest."

    def __getitem__(self, plane: int, /) -> Array:
        """Return a plane.

        Raises
        ------
        DataError
            The file cannot be read at all.
        """
        chunk = plane // self._count
        try:
            if chunk not in self._damaged_chunks:
                return super().__getitem__(plane)
        except ChangedError:
            raise
        except DataError:
            self._damaged_chunks.add(chunk)
        return self._marked(plane, slice(0, self.size[0]))

    def part(self, plane: int, rows: slice) -> Array:
        """Return some rows of a plane.

        Raises
        ------
        DataError
            The file cannot be read at all.
        """
        return self[plane] if self._is_all(rows) else self._marked(plane, rows)

    def _marked(self, plane: int, rows: slice) -> Array:
        """Read rows; as real numbers, 32 bits of 16 and 64 of more, where some of them cannot be decoded."""
        damage: list[Damage] = []
        read = self._parts.read(plane, rows, damage.append)
        if not damage:
            return read
        self._damage.update(damage)
        known = read.astype(np.float32 if read.dtype.itemsize <= 2 else np.float64)
        for gap in damage:
            known[:, max(gap.top - rows.start, 0) : max(gap.bottom - rows.start, 0), gap.columns] = np.nan
        return known
