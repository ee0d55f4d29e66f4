"""Images that are too large to be read at once: opened without decoding them, read part by part when looked at.

The parts are interpreted as `tiff.read_image` interprets a whole image: alpha is dropped, a coloured palette becomes
RGB, MinIsWhite is turned over, the byte order is the machine's. Pyramids in the file are used; a large image without
one gets an overview, see `pyramid`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_attnseg.data.axes import squeeze, understand_axes
from napari_attnseg.data.info import ImageInfo, largest_series
from napari_attnseg.data.lazy_pixels import Pixels
from napari_attnseg.data.memory import free_memory
from napari_attnseg.data.pyramid import Overview, stored_levels
from napari_attnseg.data.regions import regions_of
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import DataError

MOST_BYTES_AT_ONCE = 256 * 2**20
_SAMPLE = 256
_COPIES = 2  # of the pixels: what is decoded is put in order

Array = np.ndarray[Any, Any]


def is_large(info: ImageInfo) -> bool:
    """Whether an image is better opened lazily, because its pixels take more than 256 MB."""
    return prod(info.shape) * np.dtype(info.dtype).itemsize > MOST_BYTES_AT_ONCE


@dataclass
class LazyImage:
    """A large image that is open; whoever opened it closes it."""

    info: ImageInfo
    axes: str
    """Axes of each level: the stack axes, then CYX, YX, or YXS for RGB."""
    overview: Overview | None
    """What `fill_overview` fills; its levels are the last ones of `levels`."""
    _stored: list[Pixels | Array] = field(repr=False)
    """Full resolution, and what coarser ones the file has."""
    _file: tifffile.TiffFile | None = field(repr=False)

    @cached_property
    def levels(self) -> list[Any]:
        """Arrays of falling resolution: dask arrays for what lies in the file, numpy arrays for an overview."""
        stored = [_dask(level) if isinstance(level, Pixels) else level for level in self._stored]
        return [*stored, *(self.overview.levels if self.overview else [])]

    @property
    def is_read_in_parts(self) -> bool:
        """Whether the pixels lie in the file until they are looked at; else they were read when it was opened."""
        return isinstance(self._stored[0], Pixels)

    def fill_overview(
        self,
        on_progress: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Fill the overview, one row of tiles after the other; may run in a thread while the image is looked at.

        Parameters
        ----------
        on_progress
            Called after each row of tiles with how many are done, and how many there are.
        should_stop
            Asked before each row of tiles.

        Returns
        -------
        bool
            Whether the overview is complete; True if there is none.

        Raises
        ------
        DataError
            The pixels are damaged.
        """
        return self.overview is None or self.overview.fill(self._stored[0], on_progress, should_stop)

    def sample(self) -> Array:
        """Read about nine small parts of the middle plane: (channel, values), all of them for RGB in one row."""
        base, rgb = self._stored[0], self.info.is_rgb
        y = base.ndim - (3 if rgb else 2)
        middle = tuple(length // 2 for length in self.info.stack_shape)
        parts = []
        for top in _starts(base.shape[y]):
            for left in _starts(base.shape[y + 1]):
                place = (..., slice(top, top + _SAMPLE), slice(left, left + _SAMPLE), *((slice(None),) if rgb else ()))
                part = np.asarray(base[(*middle, *place)])
                channels = part.shape[0] if not rgb and part.ndim == 3 else 1
                parts.append(part.reshape((channels, -1)))
        return np.concatenate(parts, axis=1)

    def read(self, key: Any) -> Array:
        """Read a part at full resolution; the key may hold whole numbers, slices without steps and an ellipsis."""
        return np.asarray(self._stored[0][key])

    def close(self) -> None:
        """Close the file; the levels in it cannot be read any more."""
        if self._file is not None:
            self._file.close()


def open_lazily(path: Path, axes: str | None = None) -> LazyImage:
    """Open an image without decoding it.

    A file that does not store planes one by one is read as a whole; its level is a numpy array then.

    Parameters
    ----------
    path
        A TIFF file.
    axes
        The axes as the user knows them, such as 'ZYX'; None to take them from the metadata, else from the shape.

    Returns
    -------
    LazyImage
        To be closed when it is no longer looked at.

    Raises
    ------
    DataError
        See `tiff.read_info`; also when the file is cut short.
    """
    path = Path(path)
    info = read_info(path, axes)
    names = f"{info.stack_axes}YXS" if info.is_rgb else f"{info.stack_axes}{'C' * (info.channels > 1)}YX"
    tif = tifffile.TiffFile(path, _multifile=False, is_ome=None if info.is_ome else False)
    try:
        series = largest_series(tif)
        regions = regions_of(path, series, info)
        if regions is None:
            tif.close()
            return _read_whole(path, axes, info, names)
        found = [Pixels(regions, info, info.height, info.width)]
        for level in stored_levels(tif, series):
            coarser = _level(path, level, series, info, axes)
            found += [coarser] if coarser is not None else []
    except BaseException:
        tif.close()
        raise
    return _assemble(info, names, found, tif)


@contextmanager
def opened_pixels(path: Path, axes: str | None = None) -> Iterator[tuple[ImageInfo, Pixels | Array]]:
    """Open the full resolution of an image, to be read part by part while it is open.

    A file that does not store planes one by one, or in strips or tiles of more than 256 MB, is read as a whole.

    Yields
    ------
    tuple
        The description, and (stack axes..., [C], y, x), or (stack axes..., y, x, S) for RGB.

    Raises
    ------
    DataError
        See `open_lazily`; or what has to be read as a whole does not fit into memory.
    """
    path = Path(path)
    info = read_info(path, axes)
    with tifffile.TiffFile(path, _multifile=False, is_ome=None if info.is_ome else False) as tif:
        regions = regions_of(path, largest_series(tif), info)
        pixels = None if regions is None else Pixels(regions, info, info.height, info.width)
        if pixels is not None and prod(pixels.chunks) * pixels.dtype.itemsize <= MOST_BYTES_AT_ONCE:
            yield info, pixels
            return
    _require_memory(info)
    yield info, layer_order(read_image(path, axes).pixels, info)


def _require_memory(info: ImageInfo) -> None:
    """Refuse an image that can only be read as a whole and does not fit: the system would end the program."""
    needed = prod(info.shape) * np.dtype(info.dtype).itemsize * _COPIES
    free = free_memory()
    if needed > free:
        raise DataError(
            f"{info.path.name} is stored in such large pieces that it can only be read as a whole, which takes about "
            f"{needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free. Save it in tiles, or uncompressed."
        )


def _read_whole(path: Path, axes: str | None, info: ImageInfo, names: str) -> LazyImage:
    _require_memory(info)
    pixels = layer_order(read_image(path, axes).pixels, info)
    return _assemble(info, names, [pixels], None)


def _assemble(
    info: ImageInfo, names: str, stored: Sequence[Pixels | Array], tif: tifffile.TiffFile | None
) -> LazyImage:
    overview = Overview.of(stored[0].shape, stored[0].dtype, names) if len(stored) == 1 else None
    return LazyImage(info, names, overview, list(stored), tif)


def layer_order(pixels: Array, info: ImageInfo) -> Array:
    """Turn (plane, channel, y, x), as `read_image` gives it, into (stack axes..., [C], y, x) or (..., y, x, S)."""
    if info.is_rgb:
        pixels = np.moveaxis(pixels, 1, -1)
    elif pixels.shape[1] == 1:
        pixels = pixels[:, 0]
    return pixels.reshape((*info.stack_shape, *pixels.shape[1:]))


def _level(
    path: Path, level: tifffile.TiffPageSeries, full: tifffile.TiffPageSeries, info: ImageInfo, axes: str | None
) -> Pixels | None:
    """Return a coarser level of a pyramid, if it has the axes of the full resolution."""
    named = understand_axes(full.shape, full.axes, dtype=info.dtype, override=axes, name=path.name)
    if len(level.shape) != len(named) or level.dtype != full.dtype:
        return None
    shape, _ = squeeze(level.shape, named)
    same = all(a == b for a, b, axis in zip(shape, info.shape, info.axes, strict=True) if axis not in "YX")
    regions = regions_of(path, level, info, shape) if same else None
    if regions is None:
        return None
    return Pixels(regions, info, shape[info.axes.index("Y")], shape[info.axes.index("X")])


def _dask(pixels: Pixels) -> Any:
    import dask.array  # slow to import, and the engine does without

    empty = np.empty((0,) * pixels.ndim, pixels.dtype)
    from_array: Callable[..., Any] = dask.array.from_array
    return from_array(pixels, chunks=pixels.chunks, name=False, asarray=False, meta=empty)


def _starts(length: int) -> list[int]:
    """Where samples begin along an axis: at its middle, and half-way from there to both ends."""
    middles = [length // 4, length // 2, 3 * length // 4] if length > 4 * _SAMPLE else [length // 2]
    return sorted({max(middle - _SAMPLE // 2, 0) for middle in middles})
