"""TIFF images to arrays.

Every image becomes (plane, channel, y, x): the axes T and Z are iterated as planes, C and S are channels. Of a file
with several series the one of the most values is read, of a pyramid its full resolution. Alpha is dropped, a coloured
palette becomes RGB, MinIsWhite is turned over. In ImageJ and OME files lookup tables are for display only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_attnseg.data.decode import cut_short, opened, require_all_pages, require_whole
from napari_attnseg.data.file_state import unchanged
from napari_attnseg.data.info import ImageInfo, describe, largest_series
from napari_attnseg.data.ome_zarr_image import is_ome_zarr, zarr_info, zarr_planes
from napari_attnseg.data.regions import FlatRegions
from napari_attnseg.data.write import write_image
from napari_attnseg.errors import DataError

__all__ = ["Image", "ImageInfo", "read_image", "read_info", "read_planes", "write_image"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Image:
    """Pixels of an image, or of some planes of it, and the description of the whole file."""

    pixels: Array
    """(plane, channel, y, x), in the stored number type; palettes give uint8."""
    info: ImageInfo


def read_info(path: Path, axes: str | None = None) -> ImageInfo:
    """Describe an image without decoding it.

    Parameters
    ----------
    path
        A TIFF file, or an OME-Zarr folder that we wrote, which says itself what its axes are.
    axes
        The axes as the user knows them, such as 'ZYX'; None to take them from the metadata, else from the shape.

    Raises
    ------
    DataError
        The file is no TIFF, is damaged, holds CMYK colours or complex numbers, or `axes` does not fit.
    """
    path = Path(path)
    if is_ome_zarr(path):
        return zarr_info(path)
    with _opened_series(path) as (tif, series):
        return describe(path, tif, series, axes)


def read_image(path: Path, axes: str | None = None, *, as_stored: bool = False) -> Image:
    """Read a whole image.

    Parameters
    ----------
    path, axes
        See `read_info`.
    as_stored
        Return the numbers that are stored, not the colours of a palette, nor turned over; for masks.

    Raises
    ------
    DataError
        See `read_info`; also when the pixels are cut short or damaged, or were changed while they were read.
    """
    return _read(Path(path), axes, None, as_stored)


def read_planes(path: Path, indices: Sequence[int], axes: str | None = None, *, as_stored: bool = False) -> Image:
    """Read some planes of a stack, in the order of `indices`; only these are decoded where the file allows it.

    Raises
    ------
    DataError
        See `read_image`; also when the file has no such plane.
    """
    return _read(Path(path), axes, list(indices), as_stored)


def _read(path: Path, axes: str | None, planes: list[int] | None, as_stored: bool) -> Image:
    if is_ome_zarr(path):
        return Image(*zarr_planes(path, planes))
    # a mask that is saved anew meanwhile is another file, and this one is read to its end
    with nullcontext() if as_stored else unchanged(path), _opened_series(path) as (tif, series):
        info = describe(path, tif, series, axes)
        if planes is not None:
            _require_planes(info, planes)
        pixels = _stored_pixels(path, tif, series, info, planes)
    return Image(_interpret(pixels, info, as_stored), info)


@contextmanager
def _opened_series(path: Path) -> Iterator[tuple[tifffile.TiffFile, tifffile.TiffPageSeries]]:
    """Open a file and choose its series; one of several files of an OME data set is read as if it stood alone."""
    with opened(path) as (tif, messages):
        require_all_pages(path, tif, messages)
        series = largest_series(tif)
        if series.kind != "ome" or all(page is not None for page in series.pages):
            yield tif, series
            return
    with opened(path, is_ome=False) as (tif, _):
        yield tif, largest_series(tif)


def _require_planes(info: ImageInfo, planes: list[int]) -> None:
    wrong = [index for index in planes if not 0 <= index < info.n_planes]
    if wrong:
        raise DataError(f"{info.path.name} has planes 0 to {info.n_planes - 1}; there is no plane {wrong[0]}.")


def _stored_pixels(
    path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, info: ImageInfo, planes: list[int] | None
) -> Array:
    """Decode to (plane, C, S, y, x), in native byte order."""
    if series.dataoffset is not None:
        size = path.stat().st_size
        end = series.dataoffset + series.nbytes
        if end > size:
            raise cut_short(path, f"it has {size} bytes but its pixels should reach to byte {end}")
    if planes is not None and info.n_planes > 1:
        some = _by_page(path, tif, series, info, planes)
        if some is not None:
            return some
    if series.dataoffset is None:
        require_whole(path, series.pages)
    pixels = _arrange(series.asarray().reshape(info.shape), info.axes)
    return pixels if planes is None else pixels[planes]


def _by_page(
    path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, info: ImageInfo, planes: list[int]
) -> Array | None:
    """Decode only the pages of these planes; None if the file does not store planes one by one."""
    if series.dataoffset is not None:
        regions = FlatRegions(path, series, tif.byteorder, info.shape, info.axes)
        rows, columns = slice(0, info.height), slice(0, info.width)
        read = [regions.read(plane, group, rows, columns) for plane in planes for group in range(regions.groups)]
        return np.stack(read).reshape((len(planes), regions.groups, *read[0].shape))
    page_shape = series.keyframe.shape
    outer, inner = info.axes[: -len(page_shape)], info.axes[-len(page_shape) :]
    lengths = info.shape[: len(outer)]
    by_plane = prod(lengths) == len(series.pages) and info.shape[len(outer) :] == page_shape
    if not by_plane or set(inner) & set("TZ") or "S" in outer:
        return None
    numbers = _arrange(np.arange(prod(lengths)).reshape((*lengths, 1, 1)), f"{outer}YX", planes)
    pages = [series.pages[int(i)] for i in numbers.flat]
    require_whole(path, pages)
    decoded = np.stack([np.asarray(page.asarray()) for page in pages if page is not None])
    if "C" in outer:
        return _arrange(decoded.reshape((len(planes), -1, *page_shape)), "ZC" + inner)
    return _arrange(decoded, "Z" + inner)


def _arrange(array: Array, axes: str, planes: list[int] | None = None) -> Array:
    """Order axes as (plane, C, S, y, x), with planes in stored order, and take some of the planes."""
    stack = [i for i, axis in enumerate(axes) if axis in "TZ"]
    order = [*stack, *(axes.index(axis) for axis in "CSYX" if axis in axes)]
    array = array.transpose(order)
    for position, axis in ((len(stack), "C"), (len(stack) + 1, "S")):
        if axis not in axes:
            array = np.expand_dims(array, position)
    if planes is not None and len(stack) != 1:
        stack_shape = array.shape[: len(stack)]
        array = array[np.unravel_index(planes, stack_shape)] if stack else array[None][planes]
    elif planes is not None:
        array = array[planes]
    else:
        array = array.reshape((-1, *array.shape[len(stack) :]))
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _interpret(pixels: Array, info: ImageInfo, as_stored: bool) -> Array:
    """Turn stored values into what they mean: (plane, C, S, y, x) to (plane, channel, y, x)."""
    if info.has_alpha:
        pixels = pixels[:, :, :-1]
    pixels = pixels.reshape((pixels.shape[0], -1, *pixels.shape[3:]))
    if as_stored:
        return np.ascontiguousarray(pixels)
    if info.inverted:
        return _turned_over(pixels, info.bits)
    if info.palette and info.colormap is not None:
        lookup = (info.colormap >> 8).astype(np.uint8)
        lookup = lookup[:1] if info.palette == "grey" else lookup
        return np.ascontiguousarray(np.moveaxis(lookup[:, pixels[:, 0]], 0, 1))
    return np.ascontiguousarray(pixels)


def _turned_over(pixels: Array, bits: int) -> Array:
    if pixels.dtype.kind == "u":
        return np.asarray(np.array(2**bits - 1, pixels.dtype) - pixels)
    if pixels.dtype.kind == "f":
        return pixels
    return np.asarray(~pixels)
