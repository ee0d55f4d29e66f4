"""The planes of an image as the network sees them, read one by one and scaled as the whole image is.

So a stack of any length is predicted in the memory of a plane, and one plane of it looks the same as among the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.lazy import MOST_BYTES_AT_ONCE, is_large
from napari_attnseg.data.loading import network_channels, require_channels, with_network_channels
from napari_attnseg.data.normalise import channel_range, scale
from napari_attnseg.data.tiff import ImageInfo, read_image, read_info, read_planes
from napari_attnseg.errors import DataError
from napari_attnseg.prediction.room import free_memory
from napari_attnseg.settings import DataSettings

MOST_PIXELS = 100_000_000
_REMEMBERED = 16

Array = np.ndarray[Any, Any]
Ranges = tuple[tuple[float, float], ...]
"""The values of each channel that become 0 and 1."""


@dataclass
class KnownRanges:
    """The intensities of the images that were looked at last, for a long stack is read as a whole to find them."""

    _ranges: dict[tuple[Any, ...], Ranges] = field(default_factory=dict)

    def get(self, key: tuple[Any, ...]) -> Ranges | None:
        """Return what is known under a key."""
        return self._ranges.get(key)

    def keep(self, key: tuple[Any, ...], ranges: Ranges) -> None:
        """Remember, and forget the oldest of too many."""
        self._ranges[key] = ranges
        if len(self._ranges) > _REMEMBERED:
            del self._ranges[next(iter(self._ranges))]


class PlaneInput:
    """An image to be predicted plane by plane.

    The scale is that of the whole image; of a stack of more than 256 MB it is taken from planes spread evenly over it,
    as many as fit into 256 MB. No pixel is read before the first `read`.

    Parameters
    ----------
    channels
        The channels that the network expects.
    known
        Where the scale is looked up, and remembered.
    every_plane
        Whether all planes will be read; they are then read at once, up to 256 MB.

    Raises
    ------
    DataError
        The file cannot be read, or has other channels than the network.
    """

    def __init__(
        self, path: Path, data: DataSettings, channels: int, known: KnownRanges, *, every_plane: bool = False
    ) -> None:
        self.info = read_info(path, data.axes)
        self._data, self._known, self._every_plane = data, known, every_plane
        self._pixels: Array | None = None
        require_channels(self.info, data, channels)
        status = path.stat()
        self._key = (str(path), status.st_mtime_ns, status.st_size, data)

    def number(self, indices: tuple[int, ...] | None) -> int | None:
        """Return the number of the plane at some indices along the stack axes; None for all planes.

        Raises
        ------
        DataError
            The image has no such plane.
        """
        info = self.info
        if not indices:
            return None
        fits = len(indices) == len(info.stack_shape)
        if not (fits and all(0 <= i < length for i, length in zip(indices, info.stack_shape, strict=True))):
            planes = f"{' x '.join(map(str, info.stack_shape))} planes" if info.stack_shape else "a single plane"
            asked = ", ".join(map(str, indices))
            raise DataError(f"{info.path.name} has {planes}; there is no plane {asked}. Open the image anew.")
        return int(np.ravel_multi_index(indices, info.stack_shape))

    def read(self, plane: int, region: tuple[slice, slice]) -> Array:
        """Return a part of a plane, float32 (channel, y, x) in [0, 1].

        Raises
        ------
        DataError
            The pixels are damaged.
        """
        ranges = self._known.get(self._key)
        if ranges is None:
            ranges = self._find_ranges()
            self._known.keep(self._key, ranges)
        if self._every_plane and self._pixels is None and not is_large(self.info):
            self._pixels = self._channels(read_image(self.info.path, self._data.axes).pixels)
        if self._pixels is not None:
            pixels = self._pixels[plane]
        else:
            pixels = self._channels(read_planes(self.info.path, [plane], self._data.axes).pixels)[0]
        pixels = pixels[:, *region]
        scaled = np.empty(pixels.shape, np.float32)
        for channel, (low, high) in enumerate(ranges):
            scale(pixels[channel], low, high, scaled[channel])
        return scaled

    def _find_ranges(self) -> Ranges:
        info, axes = self.info, self._data.axes
        if info.n_planes == 1 or not is_large(info):
            pixels = self._pixels = self._channels(read_image(info.path, axes).pixels)
        else:
            size = info.height * info.width * info.channels * np.dtype(info.dtype).itemsize
            count = min(max(MOST_BYTES_AT_ONCE // size, 1), info.n_planes)
            spread = [(2 * i + 1) * info.n_planes // (2 * count) for i in range(count)]
            pixels = self._channels(read_planes(info.path, spread, axes).pixels)
        return tuple(channel_range(pixels[:, channel], self._data) for channel in range(pixels.shape[1]))

    def _channels(self, pixels: Array) -> Array:
        return with_network_channels(pixels, self.info, self._data)


def require_room(info: ImageInfo, data: DataSettings, height: int, width: int, outputs: int) -> None:
    """Refuse a part of a plane that is too large to be predicted for the screen.

    Parameters
    ----------
    height, width
        Of the part that is predicted at once.
    outputs
        Planes that the network gives: classes and attention gates.

    Raises
    ------
    DataError
        It has more than 100 megapixels, or needs more memory than is free.
    """
    advice = "use 'Predict all' or the command line (napari-attnseg predict), which write files, or predict a part"
    pixels = height * width
    if pixels > MOST_PIXELS:
        raise DataError(
            f"{info.path.name} has {pixels / 1e6:.0f} megapixels in a plane, and at most {MOST_PIXELS / 1e6:.0f} are "
            f"predicted at once to be looked at; {advice}."
        )
    channels = network_channels(info, data)
    stored = info.height * info.width * info.channels * np.dtype(info.dtype).itemsize
    # scaled and padded, the sum and its weight, what is written, and the uncertainty's steps
    needed = 2 * stored + pixels * (8 * channels + 8 * outputs + 24)
    free = free_memory()
    if needed > free:
        raise DataError(
            f"{info.path.name} needs about {needed / 2**30:.1f} GB of memory to be predicted at once, and "
            f"{free / 2**30:.1f} GB are free; close other programs, or {advice}."
        )
