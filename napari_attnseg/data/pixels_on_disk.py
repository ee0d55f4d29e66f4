"""What the network sees of an image that does not fit into memory: read from its file part by part."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.lazy import LazyImage, open_lazily
from napari_attnseg.data.loading import with_network_channels
from napari_attnseg.data.normalise import scale
from napari_attnseg.settings import DataSettings

_MOST_OPEN = 64

Array = np.ndarray[Any, Any]


class OpenFiles:
    """The images that were read last stay open; one is read at a time."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, LazyImage] = OrderedDict()
        self._lock = Lock()

    def read(self, path: Path, axes: str | None, key: Any) -> Array:
        """Read a part of an image at full resolution; see `LazyImage.read`.

        Raises
        ------
        DataError
            The file cannot be read any more.
        """
        with self._lock:
            if path not in self._open:
                self._open[path] = open_lazily(path, axes)
            self._open.move_to_end(path)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            return self._open[path].read(key)

    def __del__(self) -> None:
        for image in self._open.values():
            image.close()


class PixelsOnDisk:
    """Pixels (plane, channel, y, x), scaled to 0..1 as float16, that are read when they are indexed.

    Parameters
    ----------
    info
        The image.
    data
        Its axes, and which channels the network sees.
    ranges
        The values of each of these channels that become 0 and 1.
    files
        What reads.
    """

    def __init__(
        self, info: ImageInfo, data: DataSettings, ranges: list[tuple[float, float]], files: OpenFiles
    ) -> None:
        self.shape = (info.n_planes, len(ranges), info.height, info.width)
        self._info, self._data, self._ranges, self._files = info, data, ranges, files

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Array:
        """Return a plane (channel, y, x), or with a key (plane, ..., rows, columns) a part of it."""
        plane, rows, columns = (key[0], *key[-2:]) if isinstance(key, tuple) else (key, slice(None), slice(None))
        info = self._info
        place = (
            tuple(int(index) for index in np.unravel_index(int(plane), info.stack_shape)) if info.stack_shape else ()
        )
        colours = (slice(None),) if info.is_rgb else ()
        read = self._files.read(info.path, self._data.axes, (*place, ..., rows, columns, *colours))
        if info.is_rgb:
            read = np.moveaxis(read, -1, 0)
        seen = with_network_channels(read.reshape((1, -1, *read.shape[-2:])), info, self._data)
        scaled = np.empty(seen.shape[1:], np.float32)
        for channel, (low, high) in enumerate(self._ranges):
            scale(seen[0, channel], low, high, scaled[channel])
        return scaled.astype(np.float16)
