"""An image in a file as an array that is read when it is indexed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.regions import Damage, FlatRegions, PagedRegions

_CHUNK = 1024

Array = np.ndarray[Any, Any]
Regions = PagedRegions | FlatRegions


class Pixels:
    """An array that is read when it is indexed: (stack axes..., [C], y, x), or (stack axes..., y, x, S) for RGB."""

    def __init__(self, regions: Regions, info: ImageInfo, height: int, width: int) -> None:
        self._regions = regions
        self._info = info
        self._members = info.channels // regions.groups
        colours = (info.channels,) if info.is_rgb else ()
        channels = (info.channels,) if info.channels > 1 and not info.is_rgb else ()
        self.shape = (*info.stack_shape, *channels, height, width, *colours)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(np.uint8 if info.palette else info.dtype)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the parts that are best read at once: whole tiles or strips, about 1024 pixels a side."""
        info = self._info
        height, width = self.shape[self._y_axis], self.shape[self._y_axis + 1]
        down, across = self._regions.segment_shape
        across = min(-(-_CHUNK // across) * across, width)
        # strips are as wide as the image: fewer rows, so that a part has about a million pixels too
        rows = max(_CHUNK * _CHUNK // across, 1)
        down = min(-(-min(rows, 8 * _CHUNK) // down) * down, height)
        channels = (self._members,) if self._y_axis > len(info.stack_shape) else ()
        colours = (info.channels,) if info.is_rgb else ()
        return (*(1 for _ in info.stack_shape), *channels, down, across, *colours)

    def mark_damage(self, on_damage: Callable[[Damage], None] | None) -> None:
        """Read zeros, and tell of it, where a tile or strip cannot be decoded, from now on; None: raise an error."""
        self._regions.on_damage = on_damage

    @property
    def _y_axis(self) -> int:
        return self.ndim - (3 if self._info.is_rgb else 2)

    def __getitem__(self, key: Any) -> Array:
        """Read a part; the key may hold whole numbers, slices and an ellipsis."""
        slices, dropped = _full_key(key, self.shape)
        lengths = [len(range(*item.indices(length))) for item, length in zip(slices, self.shape, strict=True)]
        part = np.zeros(lengths, self.dtype)
        if part.size:
            self._fill(part, slices)
        return part[tuple(0 if axis in dropped else slice(None) for axis in range(self.ndim))]

    def _fill(self, part: Array, slices: list[slice]) -> None:
        stack = self._info.stack_shape
        y = self._y_axis
        rows, columns = (range(*slices[axis].indices(self.shape[axis])) for axis in (y, y + 1))
        planes = [range(*item.indices(length)) for item, length in zip(slices, stack, strict=False)]
        for place in np.ndindex(*(len(item) for item in planes)):
            indices = tuple(item[i] for item, i in zip(planes, place, strict=True))
            plane = int(np.ravel_multi_index(indices, stack)) if stack else 0
            if self._info.is_rgb:
                read = np.moveaxis(self._channels(plane, range(self.shape[-1]), rows, columns), 0, -1)
                part[place] = read[..., slices[-1]]
            else:
                wanted = range(*slices[y - 1].indices(self.shape[y - 1])) if y > len(stack) else range(1)
                read = self._channels(plane, wanted, rows, columns)
                part[place] = read if y > len(stack) else read[0]

    def _channels(self, plane: int, wanted: range, rows: range, columns: range) -> Array:
        """Read channels (channel, y, x) of a plane."""
        one, across = slice(min(rows), max(rows) + 1), slice(min(columns), max(columns) + 1)
        found: dict[int, Array] = {}
        for channel in wanted:
            group = channel // self._members
            if group not in found:
                found[group] = _meaning(self._regions.read(plane, group, one, across), self._info)
        read = np.stack([found[channel // self._members][channel % self._members] for channel in wanted])
        return read[:, :: rows.step, :: columns.step]


def _full_key(key: Any, shape: tuple[int, ...]) -> tuple[list[slice], set[int]]:
    """Return a slice for each axis, and the axes that are indexed by a number and so vanish."""
    given = list(key) if isinstance(key, tuple) else [key]
    if any(item is Ellipsis for item in given):
        at = next(i for i, item in enumerate(given) if item is Ellipsis)
        given[at : at + 1] = [slice(None)] * (len(shape) - len(given) + 1)
    given += [slice(None)] * (len(shape) - len(given))
    dropped = {axis for axis, item in enumerate(given) if not isinstance(item, slice)}
    for axis in dropped:
        start = range(shape[axis])[int(given[axis])]
        given[axis] = slice(start, start + 1)
    return given, dropped


def _meaning(read: Array, info: ImageInfo) -> Array:
    """Turn a part as it is stored, (S, y, x), into what it means; see `tiff.read_image`."""
    read = read[:-1] if info.has_alpha else read
    if info.inverted and read.dtype.kind == "u":
        return np.asarray(np.array(2**info.bits - 1, read.dtype) - read)
    if info.inverted and read.dtype.kind != "f":
        return np.asarray(~read)
    if info.palette and info.colormap is not None:
        lookup = (info.colormap >> 8).astype(np.uint8)
        return np.asarray(lookup[: 1 if info.palette == "grey" else 3, read[0]])
    return read
