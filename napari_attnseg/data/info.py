"""What is known of a TIFF image before its pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_attnseg.data.axes import channels_of, shape_text, squeeze, stack_of, understand_axes
from napari_attnseg.data.spacing import Spacing, read_spacing
from napari_attnseg.errors import DataError

_COMPRESSIONS = {
    1: None, 5: "lzw", 7: "jpeg", 8: "zlib", 32946: "zlib", 32773: "packbits", 34926: "zstd", 50000: "zstd",
}  # fmt: skip
_COLOUR_SPACES = {
    5: "CMYK", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32844: "LogL", 32845: "LogLuv",
}  # fmt: skip
_DECODED_TO_RGB = {6, 7, 33003, 33005, 34712, 50001}
_ALPHA = {1, 2}
_GREY_KINDS = "biuf"


@dataclass(frozen=True)
class ImageInfo:
    """One image of a TIFF: how it is stored and what its axes mean."""

    path: Path
    shape: tuple[int, ...]
    """Lengths of the axes as stored, without ignored axes of length 1."""
    axes: str
    """A letter for each axis of `shape`: T, Z, C, Y, X, S."""
    dtype: str
    """Name of the stored number type; 1-bit images are 'bool'."""
    stack_axes: str
    """The axes that are iterated, in stored order: '', 'Z', 'T', 'TZ' or 'ZT'."""
    stack_shape: tuple[int, ...]
    channels: int
    """Channels of a plane once read: without alpha, three for a coloured palette."""
    height: int
    width: int
    is_rgb: bool
    has_alpha: bool
    """Whether an alpha sample is stored; it is dropped on reading."""
    palette: Literal["", "grey", "colour"]
    inverted: bool
    """Whether small values mean bright ones (MinIsWhite); undone on reading."""
    bits: int
    """Bits a sample."""
    spacing: Spacing
    channel_names: tuple[str, ...]
    compression: str | None
    """None, 'zlib', 'lzw', 'packbits', 'zstd', 'jpeg', or tifffile's name of another one."""
    photometric: str
    is_imagej: bool
    is_ome: bool
    is_tiled: bool
    byteorder: str
    colormap: np.ndarray[Any, Any] | None = field(default=None, repr=False, compare=False)
    """Palette as stored, uint16 (3, 2 ** bits)."""

    @property
    def n_planes(self) -> int:
        """Number of 2D planes that are iterated."""
        return prod(self.stack_shape)

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Height and width of a pixel in `unit`, or None."""
        return self.spacing.pixel_size

    @property
    def z_spacing(self) -> float | None:
        """Distance of two planes in `unit`, or None."""
        return self.spacing.z_spacing

    @property
    def unit(self) -> str:
        """Unit of `pixel_size`, such as 'µm'; '' if unknown."""
        return self.spacing.unit

    @property
    def plane_axes(self) -> str:
        """Axes of a one-channel array like this image: the stack axes, then YX in stored order."""
        return "".join(axis for axis in self.axes if axis not in "CS")

    @property
    def plane_axes_shape(self) -> tuple[int, ...]:
        """Lengths of `plane_axes`; the shape that a mask of this image has."""
        return tuple(length for length, axis in zip(self.shape, self.axes, strict=True) if axis not in "CS")

    def in_plane_axes(self, planes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Arrange planes (plane, y, x) by `plane_axes`, which may have a stack axis after Y and X, or X before Y."""
        order = f"{self.stack_axes}YX"
        stack = planes.reshape((*self.stack_shape, *planes.shape[-2:]))
        return stack.transpose([order.index(axis) for axis in self.plane_axes])


def largest_series(tif: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the series of the most values, the first of equals, at full resolution."""
    series = [item for item in tif.series if item.size > 0]
    if not series:
        raise ValueError("it has no image")
    return max(series, key=lambda item: item.size)


def describe(path: Path, tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, axes: str | None) -> ImageInfo:
    """Describe a series of an open file.

    Raises
    ------
    DataError
        Its axes, colours or number type cannot be used.
    """
    page = series.keyframe
    dtype = _dtype_of(path, series)
    _refuse_colour_space(path, page)
    if len(series.shape) < 2:
        raise DataError(f"{path.name} has one axis of length {shape_text(series.shape)}; an image has at least two.")
    named = understand_axes(series.shape, series.axes, dtype=dtype, override=axes, name=path.name)
    shape, names = squeeze(series.shape, named)
    stack_axes, stack_shape = stack_of(shape, names)
    samples = shape[names.index("S")] if "S" in names else 1
    alpha = _has_alpha(page, samples)
    palette = _palette_of(page, tif)
    ome = _ome_pixels(tif, series)
    stored_channels = channels_of(shape, names)
    channels = 3 if palette == "colour" else stored_channels // samples * (samples - alpha)
    bits = page.bitspersample
    return ImageInfo(
        path=path,
        shape=shape,
        axes=names,
        dtype=dtype,
        stack_axes=stack_axes,
        stack_shape=stack_shape,
        channels=channels,
        height=shape[names.index("Y")],
        width=shape[names.index("X")],
        is_rgb=palette == "colour" or _is_rgb(page, names, samples - alpha),
        has_alpha=alpha,
        palette=palette,
        inverted=page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and not tif.is_imagej,
        bits=int(bits if isinstance(bits, int) else max(bits)),
        spacing=read_spacing(tif, page, ome),
        channel_names=_channel_names(tif, ome, stored_channels, names),
        compression=_COMPRESSIONS.get(int(page.compression), str(getattr(page.compression, "name", page.compression))),
        photometric=str(getattr(page.photometric, "name", page.photometric)).lower(),
        is_imagej=bool(tif.is_imagej),
        is_ome=series.kind == "ome",
        is_tiled=bool(page.is_tiled),
        byteorder=tif.byteorder,
        colormap=page.colormap if palette else None,
    )


def _dtype_of(path: Path, series: tifffile.TiffPageSeries) -> str:
    dtype = series.dtype
    if dtype is None or dtype.kind not in _GREY_KINDS:
        found = "complex numbers" if dtype is not None and dtype.kind == "c" else f"values of type {dtype}"
        raise DataError(
            f"{path.name} holds {found}; whole numbers or real numbers were expected. "
            "Save the magnitude, or another real image, in its place."
        )
    return str(np.dtype(dtype).newbyteorder("=").name)


def _refuse_colour_space(path: Path, page: tifffile.TiffPage) -> None:
    photometric = int(page.photometric)
    name = _COLOUR_SPACES.get(photometric)
    if photometric == 6 and int(page.compression) not in _DECODED_TO_RGB:
        name = "YCbCr without JPEG compression"
    if name:
        raise DataError(
            f"{path.name} is stored in {name} colours; grey or RGB was expected. "
            "Convert it to RGB or greyscale, for instance in Fiji or Photoshop, and save it again."
        )


def _has_alpha(page: tifffile.TiffPage, samples: int) -> bool:
    if samples < 2:
        return False
    if int(page.photometric) == 2 and samples == 4:
        return True
    extra = page.extrasamples
    return bool(extra) and int(extra[-1]) in _ALPHA and page.samplesperpixel == samples


def _is_rgb(page: tifffile.TiffPage, axes: str, samples: int) -> bool:
    """Three samples are colours unless the file stores them as samples of a grey image."""
    grey_samples = page.samplesperpixel > 1 and int(page.photometric) not in (2, 6)
    return "C" not in axes and samples == 3 and not grey_samples


def _palette_of(page: tifffile.TiffPage, tif: tifffile.TiffFile) -> Literal["", "grey", "colour"]:
    if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
        return ""
    if tif.is_imagej or tif.is_ome:
        return ""  # a lookup table for display; the values are intensities
    red, green, blue = page.colormap
    return "grey" if bool(np.array_equal(red, green) and np.array_equal(green, blue)) else "colour"


def _ome_pixels(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> ElementTree.Element | None:
    if series.kind != "ome" or not tif.ome_metadata:
        return None
    try:
        root = ElementTree.fromstring(tif.ome_metadata)
    except ElementTree.ParseError:
        return None
    found = [item for item in root.iter() if item.tag.rpartition("}")[2] == "Pixels"]
    number = next((i for i, item in enumerate(tif.series) if item is series), 0)
    return found[min(number, len(found) - 1)] if found else None


def _channel_names(
    tif: tifffile.TiffFile, ome: ElementTree.Element | None, channels: int, axes: str
) -> tuple[str, ...]:
    if "C" not in axes:
        return ()
    names: list[str] = []
    if ome is not None:
        names = [item.get("Name", "") for item in ome if item.tag.rpartition("}")[2] == "Channel"]
    elif tif.is_imagej and tif.imagej_metadata:
        labels = tif.imagej_metadata.get("Labels", [])
        names = [str(label) for label in labels] if isinstance(labels, list) else []
    return tuple(names) if len(names) == channels and all(names) else ()
