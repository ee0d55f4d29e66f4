"""Parts of the planes of an open TIFF: only the tiles or strips that a part touches are read and decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_attnseg.data.decode import DECODING_ERRORS, cut_short, reason_of, require_whole
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]
Page = tifffile.TiffPage | tifffile.TiffFrame
_JPEG = {6, 7, 33007, 34892}
_READ_WHOLE = 2**14  # bytes that lie in one piece and are sooner read than skipped


@dataclass(frozen=True)
class Damage:
    """A tile or strip that cannot be read or decoded."""

    plane: int
    top: int
    left: int
    bottom: int
    right: int
    reason: str
    """One sentence."""

    @property
    def rows(self) -> slice:
        """Of the plane."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Of the plane."""
        return slice(self.left, self.right)


class PagedRegions:
    """A series whose planes are pages of their own; safe to use from several threads.

    Attributes
    ----------
    groups
        In how many pages the channels of one plane are stored.
    segment_shape
        Rows and columns that are decoded together: those of a tile or strip.
    on_damage
        What is told of a tile or strip that cannot be decoded, which then reads as zeros; None raises an error.
    """

    def __init__(self, path: Path, series: tifffile.TiffPageSeries, shape: tuple[int, ...], axes: str) -> None:
        self._path = path
        self.on_damage: Callable[[Damage], None] | None = None
        self._pages: list[Page | None] = list(series.pages)
        self._keyframe = series.keyframe
        self._handle = self._keyframe.parent.filehandle
        self._handle.set_lock(True)  # levels of a pyramid share it
        self._decode = self._keyframe.decode  # made on first use, which is not safe in threads
        inner = axes[-len(self._keyframe.shape) :]
        self._turned = inner.index("X") < inner.index("Y")
        outer = axes[: -len(inner)]
        lengths = shape[: len(outer)]
        stack = [i for i, axis in enumerate(outer) if axis in "TZ"]
        channel = [i for i, axis in enumerate(outer) if axis == "C"]
        numbers = np.arange(prod(lengths)).reshape(lengths).transpose([*stack, *channel])
        self._numbers = numbers.reshape((prod(lengths[i] for i in stack), -1))
        require_whole(path, self._pages)
        self.groups = self._numbers.shape[1]
        self.segment_shape = self._stored_segment()[:: -1 if self._turned else 1]

    def read(self, plane: int, group: int, rows: slice, columns: slice) -> Array:
        """Read a part of a plane: (sample, y, x), as stored but in native byte order.

        Raises
        ------
        DataError
            The pixels are damaged, or the file is closed.
        """
        if self._turned:
            return self._read_page(plane, group, columns, rows).swapaxes(1, 2)
        return self._read_page(plane, group, rows, columns)

    def _stored_segment(self) -> tuple[int, int]:
        page = self._keyframe
        if page.is_tiled:
            return int(page.tilelength), int(page.tilewidth)
        return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)

    def _read_page(self, plane: int, group: int, rows: slice, columns: slice) -> Array:
        """Decode the segments that a part of a page touches: (separate samples x samples in a pixel, y, x)."""
        separate, _, length, width, contiguous = self._keyframe.shaped
        height, breadth = self._stored_segment()
        per_row, per_column = -(-width // breadth), -(-length // height)
        part = np.zeros((separate, rows.stop - rows.start, columns.stop - columns.start, contiguous), self._dtype)
        page = self._pages[int(self._numbers[plane, group])]
        for sample in range(separate if page is not None else 0):
            for down in range(rows.start // height, -(-rows.stop // height)):
                for across in range(columns.start // breadth, -(-columns.stop // breadth)):
                    index = (sample * per_column + down) * per_row + across
                    try:
                        segment = self._segment(page, index)
                    except DataError as error:
                        if self.on_damage is None:
                            raise
                        self.on_damage(self._damage(plane, down * height, across * breadth, str(error)))
                        continue
                    if segment is not None:
                        _paste(part[sample], segment, down * height - rows.start, across * breadth - columns.start)
        return np.moveaxis(part, 3, 1).reshape((separate * contiguous, *part.shape[1:3]))

    def _damage(self, plane: int, top: int, left: int, reason: str) -> Damage:
        height, breadth = self._stored_segment()
        _, _, length, width, _ = self._keyframe.shaped
        bottom, right = min(top + height, length), min(left + breadth, width)
        if self._turned:
            top, left, bottom, right = left, top, right, bottom
        return Damage(plane, top, left, bottom, right, reason)

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(self._keyframe.dtype).newbyteorder("=")

    def _segment(self, page: Page | None, index: int) -> Array | None:
        """Read and decode one tile or strip: (y, x, samples); None if the file leaves it out."""
        assert page is not None
        offset, size = page.dataoffsets[index], page.databytecounts[index]
        if size == 0:
            return None
        options: dict[str, Any] = {}
        if int(self._keyframe.compression) in _JPEG:
            options = {"jpegtables": page.jpegtables, "jpegheader": self._keyframe.jpegheader}
        try:
            with self._handle.lock:
                self._handle.seek(offset)
                data = self._handle.read(size)
            decoded = self._decode(data, index, _fullsize=False, **options)[0]
        except (OSError, *DECODING_ERRORS) as error:
            name, reason = self._path.name, reason_of(error)
            raise DataError(f"A part of {name} cannot be read or decoded: {reason} ({self._path}).") from error
        return None if decoded is None else np.asarray(decoded)[0]


class FlatRegions:
    """A series that lies uncompressed and in one piece in its file; safe to use from several threads.

    It is read, not mapped into memory: where a mapped file is cut short meanwhile, the system kills the program. The
    attributes are those of `PagedRegions`; each value along axis C counts as a group.
    """

    def __init__(
        self, path: Path, series: tifffile.TiffPageSeries, byteorder: str, shape: tuple[int, ...], axes: str
    ) -> None:
        assert series.dataoffset is not None
        size, end = path.stat().st_size, series.dataoffset + series.nbytes
        if end > size:
            raise cut_short(path, f"it has {size} bytes but its pixels should reach to byte {end}")
        self._path, self._begin, self._shape, self._axes = path, series.dataoffset, shape, axes
        self._dtype = np.dtype(series.dtype).newbyteorder("<" if byteorder == "<" else ">")
        self._handle = series.keyframe.parent.filehandle
        self._handle.set_lock(True)
        self.on_damage: Callable[[Damage], None] | None = None  # there is nothing to decode
        self._stack_shape = tuple(length for length, axis in zip(shape, axes, strict=True) if axis in "TZ")
        self.groups = shape[axes.index("C")] if "C" in axes else 1
        self.segment_shape = (1, 1)

    def read(self, plane: int, group: int, rows: slice, columns: slice) -> Array:
        """Read a part of a plane: (sample, y, x), as stored but in native byte order.

        Raises
        ------
        DataError
            The file was cut short since it was opened, or is closed.
        """
        stack = [axis for axis in self._axes if axis in "TZ"]
        place = dict(zip(stack, map(int, np.unravel_index(plane, self._stack_shape)), strict=True)) if stack else {}
        one = {axis: slice(number, number + 1) for axis, number in (place | {"C": group}).items()}
        wanted = one | {"S": slice(0, None), "Y": rows, "X": columns}
        part = self._read([wanted[axis].indices(n)[:2] for axis, n in zip(self._axes, self._shape, strict=True)])
        kept = [axis for axis in self._axes if axis in "SYX"]
        part = part.reshape([part.shape[self._axes.index(axis)] for axis in kept])
        part = part.transpose([kept.index(axis) for axis in "SYX" if axis in kept])
        return np.asarray(part if "S" in kept else part[None], dtype=part.dtype.newbyteorder("="))

    def _read(self, ranges: list[tuple[int, int]]) -> Array:
        """Read from the first number to before the second one along each axis."""
        last, run = 0, self._dtype.itemsize
        taken = list(ranges)  # more than asked for where that saves many small reads
        for last in reversed(range(len(ranges))):
            run *= self._shape[last]
            if ranges[last] != (0, self._shape[last]) and run > _READ_WHOLE:
                break
            taken[last] = (0, self._shape[last])
        starts, step = np.zeros(1, np.int64), prod(self._shape[last:])
        starts += taken[last][0] * prod(self._shape[last + 1 :])
        for axis in reversed(range(last)):
            starts = (np.arange(*taken[axis])[:, None] * step + starts).ravel()
            step *= self._shape[axis]
        part = np.empty([stop - start for start, stop in taken], self._dtype)
        self._fill(part, starts * self._dtype.itemsize + self._begin)
        inside = (slice(one[0] - more[0], one[1] - more[0]) for one, more in zip(ranges, taken, strict=True))
        return part[tuple(inside)]

    def _fill(self, part: Array, offsets: Array) -> None:
        """Fill an array with equal pieces that begin at these places of the file."""
        values: Any = part.reshape(-1).view(np.uint8).data
        size = part.nbytes // max(len(offsets), 1)
        count = 0
        try:
            with self._handle.lock:
                for number, offset in enumerate(offsets.tolist()):
                    self._handle.seek(offset)
                    count += self._handle.readinto(values[number * size : (number + 1) * size])
        except (OSError, *DECODING_ERRORS) as error:
            name, reason = self._path.name, reason_of(error)
            raise DataError(f"A part of {name} cannot be read: {reason} ({self._path}).") from error
        if count < part.nbytes:
            raise cut_short(self._path, "it became shorter while it was read")


def regions_of(
    path: Path, series: tifffile.TiffPageSeries, info: ImageInfo, shape: Sequence[int] | None = None
) -> PagedRegions | FlatRegions | None:
    """Return what reads parts of a series; None if the file does not store planes one by one.

    Parameters
    ----------
    path
        The file, which stays open as long as the result is in use.
    series
        A series, or a level of a pyramid.
    info
        The description of the image, at full resolution.
    shape
        Lengths of `info.axes` in this level; None for those of `info`.

    Raises
    ------
    DataError
        The file is cut short.
    """
    lengths = tuple(info.shape if shape is None else shape)
    if series.dataoffset is not None:
        return FlatRegions(path, series, info.byteorder, lengths, info.axes)
    page = series.keyframe
    count = len(page.shape)
    outer, inner = info.axes[:-count], info.axes[-count:]
    known = prod(lengths[: len(outer)]) == len(series.pages) and lengths[len(outer) :] == tuple(page.shape)
    plane_axes = {i for i, axis in enumerate(page.axes) if axis in "YX"} if len(page.axes) == count else set()
    in_place = {i for i, axis in enumerate(inner) if axis in "YX"} == plane_axes
    if not known or not in_place or set(inner) & set("TZ") or "S" in outer or page.imagedepth > 1:
        return None
    return PagedRegions(path, series, lengths, info.axes)


def _paste(part: Array, segment: Array, top: int, left: int) -> None:
    """Copy what lies within `part` (y, x, samples) of a segment whose first pixel is at (top, left) of it."""
    height = min(segment.shape[0], part.shape[0] - top)
    width = min(segment.shape[1], part.shape[1] - left)
    skip_down, skip_across = max(-top, 0), max(-left, 0)
    part[max(top, 0) : top + height, max(left, 0) : left + width] = segment[skip_down:height, skip_across:width]
