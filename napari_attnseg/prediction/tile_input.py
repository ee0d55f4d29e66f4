"""An image as the network sees it, read part by part: the pixels of a tile, scaled as the whole image is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.lazy_pixels import Pixels
from napari_attnseg.data.loading import network_channels, with_network_channels
from napari_attnseg.data.normalise import scale
from napari_attnseg.data.part_ranges import PartRanges
from napari_attnseg.data.regions import Damage
from napari_attnseg.prediction.grid import Axis, FloatArray
from napari_attnseg.prediction.plane_input import Ranges
from napari_attnseg.prediction.tiling import Stopped
from napari_attnseg.settings import DataSettings

_WIDE = 4096  # pixels; a tile or strip that is wider is decoded once for a whole row of the network's tiles
_MOST_LOOKED_AT = 2**30  # bytes of memory for the parts whose intensities are looked at at the same time

Array = np.ndarray[Any, Any]


class TileInput:
    """Parts of an open image.

    Attributes
    ----------
    damages
        The tiles and strips of the file that could not be decoded, of those that were read; they read as zeros.
    """

    def __init__(self, info: ImageInfo, pixels: Pixels | Array, data: DataSettings) -> None:
        self.info = info
        self.channels = network_channels(info, data)
        self.damages: dict[tuple[int, int, int], Damage] = {}
        self._pixels: Any = pixels
        self._data = data
        self._strip: tuple[tuple[int, int, int], Array] | None = None
        self._is_wide = False
        if isinstance(pixels, Pixels):
            pixels.mark_damage(self._note)
            self._is_wide = self._chunk[1] > _WIDE

    def find_ranges(
        self,
        on_share: Callable[[float], None] = lambda share: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Ranges:
        """Return the values of each channel that become 0 and 1, from the pixels of all planes.

        Raises
        ------
        Stopped
            `should_stop` returned True.
        """
        info = self.info
        gathered = PartRanges((info.n_planes, info.height, info.width), self.channels, self._dtype, self._data)
        if gathered.is_known:
            return gathered.ranges()

        def look(plane: int, top: int, left: int) -> None:
            rows = slice(top, min(top + self._chunk[0], info.height))
            columns = slice(left, min(left + self._chunk[1], info.width))
            part = self._read(plane, rows, columns)
            gathered.add(part, plane, top, left, self.valid(plane, rows, columns))

        places = [
            (plane, top, left)
            for plane in range(info.n_planes)
            for top in range(0, info.height, self._chunk[0])
            for left in range(0, info.width, self._chunk[1])
        ]
        rows, columns = self._chunk
        each = rows * columns * (2 * self.channels * self._dtype.itemsize + gathered.bytes_a_pixel)
        for done in _in_threads(look, places, max(min(os.cpu_count() or 1, _MOST_LOOKED_AT // max(each, 1)), 1)):
            if should_stop():
                raise Stopped
            on_share(done / len(places))
        return gathered.ranges()

    def read_row(
        self, plane: int, top: int, down: Axis, across: Axis, columns: list[int], ranges: Ranges
    ) -> FloatArray:
        """Return some neighbouring tiles of one row: float32 (tile, channel, y, x) in [0, 1].

        Parameters
        ----------
        top
            Where the row begins.
        columns
            Numbers of the tiles, in order.
        """
        left, right = across.starts[columns[0]], across.starts[columns[-1]] + across.tile
        rows = slice(top, min(top + down.tile, self.info.height))
        read = self._scaled(self._part(plane, rows, slice(left, min(right, self.info.width))), ranges)
        missing = (top + down.tile - rows.stop, right - left - read.shape[2])
        if any(missing):
            read = np.pad(read, ((0, 0), (0, missing[0]), (0, missing[1])), mode="reflect")
        starts = [across.starts[column] - left for column in columns]
        return np.stack([read[:, :, start : start + across.tile] for start in starts])

    def valid(self, plane: int, rows: slice, columns: slice) -> Array | None:
        """Return which pixels of a part that was read could be decoded, bool (y, x); None if all could."""
        met = [
            damage
            for damage in list(self.damages.values())
            if damage.plane == plane
            and damage.top < rows.stop
            and damage.bottom > rows.start
            and damage.left < columns.stop
            and damage.right > columns.start
        ]
        if not met:
            return None
        valid = np.ones((rows.stop - rows.start, columns.stop - columns.start), bool)
        for damage in met:
            top, left = max(damage.top - rows.start, 0), max(damage.left - columns.start, 0)
            valid[top : damage.bottom - rows.start, left : damage.right - columns.start] = False
        return valid

    def _part(self, plane: int, rows: slice, columns: slice) -> Array:
        """Read a part, of the strip that was read last if it lies in that."""
        if not self._is_wide:
            return self._read(plane, rows, columns)
        key = (plane, rows.start, rows.stop)
        if self._strip is None or self._strip[0] != key:
            self._strip = None  # before the next one is read, so that there is one at a time
            self._strip = (key, self._read(plane, rows, slice(0, self.info.width)))
        return self._strip[1][:, :, columns]

    def _read(self, plane: int, rows: slice, columns: slice) -> Array:
        """Read (channel, y, x), with the channels that the network gets."""
        info = self.info
        place = tuple(int(i) for i in np.unravel_index(plane, info.stack_shape)) if info.stack_shape else ()
        if info.is_rgb:
            part = np.moveaxis(np.asarray(self._pixels[(*place, rows, columns)]), -1, 0)
        elif info.channels > 1:
            part = np.asarray(self._pixels[(*place, slice(None), rows, columns)])
        else:
            part = np.asarray(self._pixels[(*place, rows, columns)])[None]
        seen: Array = with_network_channels(part[None], info, self._data)[0]
        return seen

    def _scaled(self, part: Array, ranges: Ranges) -> FloatArray:
        scaled = np.empty(part.shape, np.float32)
        for channel, (low, high) in enumerate(ranges):
            scale(part[channel], low, high, scaled[channel])
        return scaled

    @property
    def _chunk(self) -> tuple[int, int]:
        """Rows and columns that are best read at once."""
        if not isinstance(self._pixels, Pixels):
            return self.info.height, self.info.width
        down, across = self._pixels.chunks[len(self._pixels.shape) - (3 if self.info.is_rgb else 2) :][:2]
        return down, across

    @property
    def _dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self._pixels.dtype)
        return dtype

    def _note(self, damage: Damage) -> None:
        self.damages.setdefault((damage.plane, damage.top, damage.left), damage)


def _in_threads(action: Callable[..., None], arguments: Sequence[tuple[int, ...]], threads: int) -> Iterator[int]:
    """Call a function with each of some arguments, from several threads; yield how many are done."""
    with ThreadPoolExecutor(threads) as pool:
        pending: set[Future[None]] = set()
        done = 0
        for number, argument in enumerate(arguments, start=1):
            pending.add(pool.submit(action, *argument))
            if len(pending) < 2 * threads and number < len(arguments):
                continue
            while pending and (len(pending) >= 2 * threads or number == len(arguments)):
                ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in ready:
                    future.result()
                done += len(ready)
                yield done
