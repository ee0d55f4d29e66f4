"""The format of a journal: what was painted on one mask and is not saved yet, so that a crash loses nothing.

A line says whose journal it is, see `journal_header`. Records follow, one for each tile as it was at some moment; where
a later one covers the same pixels it counts. Each has a checksum, so that what a crash, a full disk or a bad sector
damaged is noticed and left out, and the rest is used.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.annotation.masks.journal_header import Header, header_line, read_header
from napari_attnseg.data.atomic import replacing
from napari_attnseg.data.axes import shape_text
from napari_attnseg.errors import DataError

SUFFIX = ".journal"
_RECORD = struct.Struct("<4sII")  # mark, length of the payload, its CRC-32
_TILE = struct.Struct("<dBB")  # seconds since 1970, bytes a pixel, number of axes; then start and shape as uint32
_MARK = b"\x8fTL\n"
_MOST_AXES = 8
_MOST_BYTES = 2**30  # of a decompressed tile

Array = np.ndarray[Any, Any]
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Tile:
    """A tile of a mask at some moment, as stored."""

    start: tuple[int, ...]
    shape: tuple[int, ...]
    itemsize: int
    when: float
    """Seconds since 1970."""
    data: bytes

    @property
    def box(self) -> Box:
        """The part of the whole mask that it is."""
        return tuple(slice(at, at + length) for at, length in zip(self.start, self.shape, strict=True))

    @property
    def pixels(self) -> Array:
        """The labels, of the tile's shape, uint8 to uint64.

        Raises
        ------
        DataError
            The data are not what they say.
        """
        expected = prod(self.shape) * self.itemsize
        try:
            data = zlib.decompressobj().decompress(self.data, expected + 1)
        except zlib.error as error:
            raise DataError(f"A tile of the journal is damaged ({error}).") from error
        if len(data) != expected:
            raise DataError(f"A tile of the journal is damaged (it has {len(data)} bytes, not {expected}).")
        return np.frombuffer(data, f"<u{self.itemsize}").reshape(self.shape)


@dataclass(frozen=True)
class JournalContent:
    """A journal that was read."""

    path: Path
    header: Header
    tiles: tuple[Tile, ...]
    """The last of each place, in the order in which to apply them."""
    damaged: bool
    """Whether something in the file made no sense and was left out."""

    @property
    def last_time(self) -> float | None:
        """When the last edit was made, in seconds since 1970; None without any."""
        return max((tile.when for tile in self.tiles), default=None)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest number type that holds the mask and all tiles: numbers of objects may have outgrown theirs."""
        return np.result_type(self.header.dtype, *{f"u{tile.itemsize}" for tile in self.tiles})


def encode_tile(start: Sequence[int], pixels: Array, when: float) -> bytes:
    """Return the record of a tile; `pixels` are unsigned whole numbers."""
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    payload = b"".join(
        (
            _TILE.pack(when, pixels.dtype.itemsize, pixels.ndim),
            struct.pack(f"<{2 * pixels.ndim}I", *start, *pixels.shape),
            zlib.compress(little.tobytes(), 1),
        )
    )
    return _RECORD.pack(_MARK, len(payload), zlib.crc32(payload)) + payload


def create(path: Path, header: Header, records: Iterable[bytes]) -> int:
    """Write a journal whole, replacing `path` at once; return its size.

    Raises
    ------
    OSError, SaveError
        It cannot be written; what was in `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join((header_line(header), *records)))
        size = temporary.stat().st_size
    return size


def append(path: Path, size: int, records: Iterable[bytes]) -> int:
    """Add records to a journal and flush them to the disk; return the new size.

    Parameters
    ----------
    path
        The journal.
    size
        Its size after the last success; what a failure left beyond is removed.
    records
        Of `encode_tile`.

    Raises
    ------
    OSError
        They cannot all be written; those before `size` are untouched.
    """
    data = b"".join(records)
    with open(path, "r+b", buffering=0) as file:
        file.truncate(size)
        file.seek(size)
        view = memoryview(data)
        try:
            while view:  # on a disk that is just filling up a write may be cut short without an error
                view = view[file.write(view) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise
    return size + len(data)


def read(path: Path) -> JournalContent:
    """Read a journal, as far as it makes sense.

    Raises
    ------
    DataError
        It cannot be read, is no journal, is of a newer version, or its beginning is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"The journal {path} cannot be read: {error.strerror or error}.") from error
    line, _, _ = data.partition(b"\n")
    header = read_header(path, line)
    tiles: dict[tuple[tuple[int, ...], tuple[int, ...]], Tile] = {}
    offset, damaged = len(line) + 1, False
    while offset < len(data):
        tile, end = _read_tile(data, offset)
        if tile is None:
            damaged = True
            end = data.find(_MARK, offset + 1)  # go on where the next record seems to begin
            if end < 0:
                break
        else:
            tiles.pop((tile.start, tile.shape), None)  # a place's last tile comes after what overlaps it in part
            tiles[tile.start, tile.shape] = tile
        offset = end
    return JournalContent(path, header, tuple(tiles.values()), damaged)


def apply(content: JournalContent, labels: Array) -> tuple[Box, ...]:
    """Write the tiles of a journal into a mask.

    Parameters
    ----------
    content
        The journal.
    labels
        The whole mask (stack axes..., y, x), of a number type that holds `content.dtype`; changed in place.

    Returns
    -------
    tuple of boxes
        Where was written.

    Raises
    ------
    DataError
        The mask has another shape or too small a number type, or a tile lies outside of it; nothing was written.
    """
    name, shape = content.header.name, content.header.shape
    if labels.shape != shape:
        raise DataError(
            f"The unsaved changes of {name} belong to a mask of {shape_text(shape)} pixels, but it has "
            f"{shape_text(labels.shape)} now. Open the image as it was, with the same axes, to restore them."
        )
    if not np.can_cast(content.dtype, labels.dtype, "safe"):
        raise DataError(f"The unsaved changes of {name} are {content.dtype} numbers; they do not fit {labels.dtype}.")
    boxes = tuple(tile.box for tile in content.tiles)
    if any(len(box) != len(shape) or any(part.stop > n for part, n in zip(box, shape, strict=True)) for box in boxes):
        raise DataError(f"The journal of {name} is damaged: it has changes outside of the image ({content.path}).")
    pixels = [tile.pixels for tile in content.tiles]
    for box, tile in zip(boxes, pixels, strict=True):
        labels[box] = tile
    return boxes


def _read_tile(data: bytes, offset: int) -> tuple[Tile | None, int]:
    """Return the tile at `offset` and where the next one begins; None if there is no whole one."""
    try:
        mark, length, checksum = _RECORD.unpack_from(data, offset)
        begin = offset + _RECORD.size
        payload = memoryview(data)[begin : begin + length]
        if mark != _MARK or len(payload) != length or zlib.crc32(payload) != checksum:
            return None, offset
        when, itemsize, ndim = _TILE.unpack_from(payload)
        if itemsize not in (1, 2, 4, 8) or not 2 <= ndim <= _MOST_AXES:
            return None, offset
        numbers = struct.unpack_from(f"<{2 * ndim}I", payload, _TILE.size)
    except struct.error:
        return None, offset
    if prod(numbers[ndim:]) * itemsize > _MOST_BYTES:
        return None, offset
    pixels = bytes(payload[_TILE.size + 8 * ndim :])
    return Tile(numbers[:ndim], numbers[ndim:], itemsize, when, pixels), begin + length
