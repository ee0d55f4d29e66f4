"""Arrays to TIFF images, at once and with the axes and pixel size of the image that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_attnseg.data.axes import shape_text
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.spacing import MICROMETRE, Spacing, imagej_metadata, ome_metadata, resolution_tags
from napari_attnseg.data.tiff_note import replacing_with_note
from napari_attnseg.errors import SaveError

SOFTWARE = "napari-attnseg"
"""What the TIFF files that we write name as the program that wrote them."""
LOSSLESS = ("zlib", "lzw", "packbits", "zstd")
_IMAGEJ_ORDER = "TZCYXS"
_IMAGEJ_DTYPES = ("uint8", "uint16", "float32")
_IMAGEJ_MOST_BYTES = 3_900_000_000
_CLASSIC_MOST_BYTES = 2_500_000_000  # a classic TIFF has 4 GB, and LZW makes noise half as large again

Array = np.ndarray[Any, Any]


def write_image(
    path: Path,
    array: Array,
    axes: str,
    *,
    like: ImageInfo | None = None,
    compression: str | None = "zlib",
    photometric: str | None = None,
    colormap: Array | None = None,
    channel_names: tuple[str, ...] = (),
    note: str = "",
) -> None:
    """Write an image, replacing `path` at once; see `atomic.replacing`.

    The file is an OME-TIFF if it is named `.ome.tif(f)` or `like` is one; a stack or an image with channels is an
    ImageJ hyperstack if its number type and order of axes allow it; else axes are noted as tifffile notes them. All of
    these are read back with the same axes and pixel size. Of some gigabytes it becomes a BigTIFF.

    Parameters
    ----------
    path
        Where to write; its folder exists.
    array
        Pixels; bool is written with 1 bit.
    axes
        A letter of T, Z, C, Y, X, S for each axis of `array`; S (3 or 4 samples) is colour.
    like
        The image whose pixel size, unit, plane distance and frame interval are carried over.
    compression
        'zlib', 'lzw', 'packbits', 'zstd' or None; another one is replaced by 'zlib', because nothing may be lost.
    photometric
        'minisblack', 'rgb' or 'palette'; None: RGB if there is an axis S.
    colormap
        For a palette: uint16 (3, 256).
    channel_names
        A name for each channel, where the format has a place for it.
    note
        For programs, in ASCII; see `tiff_note`.

    Raises
    ------
    SaveError
        The file cannot be written, or `axes` does not fit `array`; what was in `path` is unchanged.
    """
    path = Path(path)
    if len(axes) != array.ndim:
        raise SaveError(f"{path.name} cannot be written: its shape {shape_text(array.shape)} has no axes '{axes}'.")
    spacing = like.spacing if like is not None else Spacing()
    if compression is not None and compression not in LOSSLESS:
        compression = "zlib"
    options: dict[str, Any] = {
        "photometric": photometric or ("rgb" if "S" in axes else "minisblack"),
        "compression": compression,
        "colormap": colormap,
        "software": SOFTWARE,
    }
    if "S" in axes and axes.index("S") < axes.index("X"):
        options["planarconfig"] = "separate"
    options.update(_format_options(path, array, axes, like, spacing, channel_names, palette=colormap is not None))
    # tifffile takes BigTIFF by itself only for what is not compressed; ImageJ has a way of its own
    options["bigtiff"] = not options.get("imagej") and array.nbytes > _CLASSIC_MOST_BYTES
    with replacing_with_note(path, note) as (temporary, tags):
        tifffile.imwrite(temporary, array, extratags=tags, **options)


def has_ome_name(path: Path) -> bool:
    """Whether the file's name promises an OME-TIFF."""
    return path.name.lower().endswith((".ome.tif", ".ome.tiff"))


def _format_options(
    path: Path,
    array: Array,
    axes: str,
    like: ImageInfo | None,
    spacing: Spacing,
    channel_names: tuple[str, ...],
    *,
    palette: bool,
) -> dict[str, Any]:
    is_ome = has_ome_name(path) or (like is not None and like.is_ome)
    if not is_ome and not palette and _suits_imagej(array, axes, like):
        metadata = {"axes": axes, **imagej_metadata(spacing)}
        if channel_names and axes == "CYX":
            metadata["Labels"] = list(channel_names)
        return {"imagej": True, "metadata": metadata, **_imagej_resolution(spacing, resolution_tags(spacing))}
    return description_options(path, axes, like, channel_names)


def description_options(
    path: Path, axes: str, like: ImageInfo | None, channel_names: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the arguments of `tifffile.imwrite` that describe an image, as OME-TIFF or as tifffile notes axes.

    See `write_image` for the parameters; 'ome' among the results says which of the two it is.
    """
    spacing = like.spacing if like is not None else Spacing()
    tags = resolution_tags(spacing)
    if has_ome_name(path) or (like is not None and like.is_ome):
        metadata = {"axes": axes, **ome_metadata(spacing)}
        if channel_names and "C" in axes:
            metadata["Channel"] = {"Name": list(channel_names)}
        return {"ome": True, "metadata": metadata, **_only_if_unit(tags)}
    metadata = {"axes": axes}
    if _says_more_than_tags(spacing):
        metadata |= _sizes(spacing)
    return {"ome": False, "metadata": metadata, **tags}


def _suits_imagej(array: Array, axes: str, like: ImageInfo | None) -> bool:
    in_order = axes == "".join(axis for axis in _IMAGEJ_ORDER if axis in axes)
    possible = in_order and array.dtype.name in _IMAGEJ_DTYPES and array.nbytes < _IMAGEJ_MOST_BYTES
    if not possible or ("S" in axes and array.dtype != np.uint8):
        return False
    if axes.endswith("YX") and array.shape[-1] == 1 and array.ndim > 2:
        return False  # tifffile does not read it back
    return (like is not None and like.is_imagej) or ("S" not in axes and len(axes) > 2)


def _imagej_resolution(spacing: Spacing, tags: dict[str, Any]) -> dict[str, Any]:
    """ImageJ takes the unit from its own metadata; the resolution unit of the tags must be 'none' then."""
    if not tags or (spacing.pixel_size is None and spacing.resolution_unit == 1):
        return {}
    return tags


def _only_if_unit(tags: dict[str, Any]) -> dict[str, Any]:
    return tags if tags.get("resolutionunit", 1) != 1 else {}


def _says_more_than_tags(spacing: Spacing) -> bool:
    return spacing.z_spacing is not None or spacing.unit not in ("", "inch", "cm")


def _sizes(spacing: Spacing) -> dict[str, Any]:
    """Return what tifffile's own JSON description keeps of the spacing, named as in OME-XML."""
    values = ome_metadata(spacing)
    return {key: ("um" if value == MICROMETRE else value) for key, value in values.items()}
