"""OME-Zarr folders that we wrote, read as the TIFF of the same prediction would be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.ome_zarr import UNITS, open_levels, read_metadata
from napari_attnseg.data.spacing import Spacing
from napari_attnseg.errors import DataError

SUFFIX = ".ome.zarr"
_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError)  # the last one is of codecs

Array = np.ndarray[Any, Any]


def is_ome_zarr(path: Path) -> bool:
    """Whether a path is a folder that is named as an OME-Zarr image."""
    return path.name.lower().endswith(SUFFIX) and path.is_dir()


def zarr_info(path: Path) -> ImageInfo:
    """Describe an OME-Zarr image.

    Raises
    ------
    DataError
        It cannot be read, or is not of the kind that we write.
    """
    return _opened(path)[0]


def zarr_planes(path: Path, planes: Sequence[int] | None) -> tuple[Array, ImageInfo]:
    """Read some planes of an OME-Zarr image at full resolution, or all: (plane, channel, y, x).

    Raises
    ------
    DataError
        See `zarr_info`; also when there is no such plane.
    """
    info, level = _opened(path)
    require_all_chunks(path)
    chosen = range(info.n_planes) if planes is None else planes
    if any(not 0 <= plane < info.n_planes for plane in chosen):
        raise DataError(f"{path.name} has planes 0 to {info.n_planes - 1}; there is no plane {max(chosen)}.")
    pixels = np.empty((len(chosen), info.channels, info.height, info.width), level.dtype)
    try:
        for number, plane in enumerate(chosen):
            indices = map(int, np.unravel_index(plane, info.stack_shape)) if info.stack_shape else ()
            by_axis: dict[str, int | slice] = dict(zip(info.stack_axes, indices, strict=True))
            pixels[number] = np.asarray(level[tuple(by_axis.get(axis, slice(None)) for axis in info.axes)])
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    return pixels, info


def require_all_chunks(path: Path) -> None:
    """Refuse an image of real numbers that lacks chunks of the finest level, which would be read as zeros.

    Of whole numbers, chunks that hold nothing but zeros are not written.

    Raises
    ------
    DataError
        Some are missing, or see `zarr_info`.
    """
    _, level = _opened(path)
    if level.dtype.kind != "f":
        return
    missing = level.nchunks - level.nchunks_initialized
    if missing:
        raise DataError(
            f"{path.name} lacks {missing} of its {level.nchunks} chunks, as after a copy that was broken off; copy it "
            f"again, or predict the image again ({path})."
        )


def zarr_rows(path: Path, plane: int, rows: slice) -> Array:
    """Read some rows of a plane of an OME-Zarr image at full resolution: (channel, y, x).

    Raises
    ------
    DataError
        See `zarr_info`.
    """
    info, level = _opened(path)
    indices = map(int, np.unravel_index(plane, info.stack_shape)) if info.stack_shape else ()
    by_axis: dict[str, int | slice] = dict(zip(info.stack_axes, indices, strict=True)) | {"Y": rows}
    try:
        part = np.asarray(level[tuple(by_axis.get(axis, slice(None)) for axis in info.axes)])
    except _UNREADABLE as error:
        raise _damaged(path, error) from error
    return part if part.ndim == 3 else part[None]


def _opened(path: Path) -> tuple[ImageInfo, Any]:
    try:
        level = open_levels(path)[0]
        image = read_metadata(path)
        axes = "".join(axis["name"].upper() for axis in image["axes"])
        sizes = dict(zip(axes, image["datasets"][0]["coordinateTransformations"][0]["scale"], strict=True))
        units = {axis["name"].upper(): axis.get("unit", "") for axis in image["axes"]}
    except (*_UNREADABLE, TypeError, IndexError) as error:
        raise _damaged(path, error) from error
    if axes != "".join(axis for axis in "TCZYX" if axis in axes) or not axes.endswith("YX"):
        raise DataError(f"{path.name} has the axes {axes}; expected some of TCZYX, in this order ({path}).")
    lengths = dict(zip(axes, map(int, level.shape), strict=True))
    ours = {name: short for short, name in UNITS.items()}
    spacing = Spacing(
        pixel_size=(sizes["Y"], sizes["X"]) if units["X"] else None,
        z_spacing=sizes["Z"] if units.get("Z") else None,
        unit=ours.get(units["X"], units["X"]),
        frame_interval=sizes["T"] if units.get("T") else None,
    )
    return _info(path, axes, lengths, str(level.dtype), spacing), level


def _info(path: Path, axes: str, lengths: dict[str, int], dtype: str, spacing: Spacing) -> ImageInfo:
    stack = "".join(axis for axis in axes if axis in "TZ")
    return ImageInfo(
        path=path,
        shape=tuple(lengths[axis] for axis in axes),
        axes=axes,
        dtype=dtype,
        stack_axes=stack,
        stack_shape=tuple(lengths[axis] for axis in stack),
        channels=lengths.get("C", 1),
        height=lengths["Y"],
        width=lengths["X"],
        is_rgb=False,
        has_alpha=False,
        palette="",
        inverted=False,
        bits=8 * np.dtype(dtype).itemsize,
        spacing=spacing,
        channel_names=(),
        compression="zstd",
        photometric="minisblack",
        is_imagej=False,
        is_ome=True,
        is_tiled=True,
        byteorder="<",
    )


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error) or type(error).__name__
    return DataError(f"{path.name} cannot be read as OME-Zarr ({reason}); predict the image again ({path}).")
