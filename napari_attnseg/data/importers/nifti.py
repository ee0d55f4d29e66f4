"""NIfTI volumes to pictures and to mask values, turned as `nifti_orientation` says."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.decode import reason_of
from napari_attnseg.data.importers.item import Picture
from napari_attnseg.data.importers.listing import unreadable_text
from napari_attnseg.data.importers.nifti_orientation import affine_of_mask, turn_of
from napari_attnseg.data.importers.packages import require_nibabel
from napari_attnseg.data.importers.pictures import unsigned
from napari_attnseg.data.spacing import MICROMETRE, Spacing
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]

_UNITS = {"mm": "mm", "micron": MICROMETRE, "meter": "m"}


@dataclass(frozen=True)
class _Volume:
    values: Array
    """(X, Y, Z), as stored."""
    affine: Array | None
    spacing: tuple[float, ...]
    unit: str


def read_nifti(path: Path, volume: int | None = None) -> Picture:
    """Read an image as ZYX, or as YX if it has a single slice; see `nifti_orientation`.

    Parameters
    ----------
    path
        A file `.nii` or `.nii.gz`.
    volume
        Which volume of a 4-D file, counted from 0.

    Raises
    ------
    DataError
        nibabel is not installed, or the file is damaged, has several volumes and none was chosen, or holds colours.
    """
    stored = _read(path, volume)
    turn = turn_of(stored.affine)
    pixels = np.ascontiguousarray(_of_plain_type(turn(stored.values), path))
    height, width, depth = (stored.spacing[axis] for axis in (turn.rows, turn.columns, 2))
    known = min(height, width) > 0
    spacing = Spacing(
        pixel_size=(height, width) if known else None,
        z_spacing=depth if depth > 0 and len(pixels) > 1 else None,
        unit=stored.unit if known else "",
    )
    return Picture(pixels[0], "YX", spacing) if len(pixels) == 1 else Picture(pixels, "ZYX", spacing)


def read_nifti_mask(
    path: Path, image: Path | None = None, volume: int | None = None, threshold: float | None = None
) -> tuple[Array, tuple[str, ...]]:
    """Read the values of a mask, turned as its image is.

    Parameters
    ----------
    path, volume
        See `read_nifti`.
    image
        The NIfTI image that it belongs to. Both must have one shape; a mask whose header says nothing, or nothing but
        the identity, takes the image's. If only the image's header says nothing, the mask is taken as it is stored,
        like the image.
    threshold
        1 where the value is above it, 0 elsewhere; None: the values as they are.

    Returns
    -------
    tuple
        Unsigned (plane, y, x), and sentences for the user.

    Raises
    ------
    DataError
        See `read_nifti`; also other shapes, and values that are no whole numbers from 0 up.
    """
    stored = _read(path, volume)
    affine = stored.affine
    notices: tuple[str, ...] = ()
    if image is not None:
        of_image = _read(image, volume, decode=False)
        _require_shape(path, stored.values.shape, image, of_image.values.shape)
        affine, notices = affine_of_mask(path, affine, image, of_image.affine)
    values = np.ascontiguousarray(turn_of(affine)(stored.values))
    if threshold is not None:
        return (values > threshold).astype(np.uint8), notices
    return unsigned(values, path), notices


def _read(path: Path, volume: int | None, *, decode: bool = True) -> _Volume:
    nibabel = require_nibabel()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual headers; what matters is checked here
            image = nibabel.load(path)
            header = image.header
            values = _one_volume(path, image, volume, decode)
            oriented = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
            unit = header.get_xyzt_units()[0]
            spacing = tuple(float(zoom) for zoom in header.get_zooms()[:3])
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(unreadable_text(path, error)) from error
    except MemoryError as error:
        raise DataError(f"{path.name} does not fit into memory; close other programs or cut the volume.") from error
    except Exception as error:  # nibabel and gzip raise whatever a damaged file provokes
        raise DataError(
            f"{path.name} cannot be read; it is damaged, cut short or no NIfTI file ({reason_of(error)}). Copy or "
            f"export it again ({path})."
        ) from error
    # a header with a position but without a unit comes from a scanner's software, which means millimetres
    known = _UNITS.get(unit, "mm" if oriented else "")
    affine = np.asarray(image.affine, float) if oriented and image.affine is not None else None
    return _Volume(values, affine, (*spacing, *[0.0] * (3 - len(spacing))), known)


def _one_volume(path: Path, image: Any, volume: int | None, decode: bool) -> Array:
    """Return (X, Y, Z), decoding only the volume that is wanted; zeros of this shape if not even that."""
    shape = tuple(int(length) for length in image.shape)
    spatial, others = (*shape[:3], *[1] * (3 - len(shape))), [length for length in shape[3:] if length > 1]
    if len(shape) < 2 or len(others) > 1:
        raise DataError(f"{path.name} has the shape {shape}; two to four axes (X, Y, Z, volume) can be imported.")
    if not others and decode:
        return np.asarray(image.dataobj).reshape(spatial)
    if others and volume is None:
        raise DataError(
            f"{path.name} is 4-D, {others[0]} volumes of {' x '.join(map(str, spatial))} (X, Y, Z), but one is "
            f"expected; choose it with --volume N, 0 to {others[0] - 1}."
        )
    if others and volume is not None and volume >= others[0]:
        raise DataError(f"{path.name} has the volumes 0 to {others[0] - 1}; there is no volume {volume}.")
    if not decode:
        return np.broadcast_to(np.uint8(0), spatial)
    wanted: list[Any] = [slice(None)] * 3 + [volume if length > 1 else 0 for length in shape[3:]]
    return np.asarray(image.dataobj[tuple(wanted)]).reshape(spatial)


def _require_shape(mask: Path, shape: tuple[int, ...], image: Path, expected: tuple[int, ...]) -> None:
    if shape != expected:
        found, wanted = (" x ".join(map(str, item)) for item in (shape, expected))
        raise DataError(
            f"The mask {mask.name} is {found} (X, Y, Z) but its image {image.name} is {wanted}; a mask has the size "
            "of its image. Export it again at the image's size."
        )


def _of_plain_type(values: Array, path: Path) -> Array:
    """Give values a type that a TIFF of ours can have: nothing of 8 bytes, no half floats."""
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path.name} holds values of the type {values.dtype}; grey values were expected ({path}).")
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind == "b":
        return native.astype(np.uint8)
    if native.dtype.kind == "f":
        return native.astype(np.float32)
    if native.dtype.itemsize < 8:
        return native
    fits = native.size == 0 or (native.min() >= -(2**31) and native.max() < 2**31)
    return native.astype(np.int32 if fits else np.float32)
