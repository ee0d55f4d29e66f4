"""Masks to class ids and back; the values on disk mean what a `MaskConvention` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.class_ids import ClassIds
from napari_attnseg.data.convention import MaskConvention, decide_convention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.mask_survey import survey_mask, survey_masks
from napari_attnseg.data.mask_values import MaskValues, distinct, read_labels, require_shape
from napari_attnseg.data.numbering import number_objects
from napari_attnseg.data.write import LOSSLESS, write_image
from napari_attnseg.errors import DataError

__all__ = [
    "MaskConvention",
    "MaskValues",
    "decide_convention",
    "read_mask",
    "survey_mask",
    "survey_masks",
    "values_of_new_mask",
    "write_mask",
    "write_values",
]

NEW_FOREGROUND = 255

Array = np.ndarray[Any, Any]


def read_mask(path: Path, convention: MaskConvention, image_info: ImageInfo | None = None) -> Array:
    """Read a mask as class ids.

    Parameters
    ----------
    path
        A mask; see `mask_values.read_labels` for what is read.
    convention
        What its values mean. In a binary mask one further value but 0 is read as foreground.
    image_info
        Its image; the mask must have its size. None: not checked.

    Returns
    -------
    ndarray
        uint8 (plane, y, x), class ids from 0.

    Raises
    ------
    DataError
        The mask is unreadable, of another size than its image, or holds a value without a meaning.
    """
    return ClassIds(path, convention).of(read_labels(Path(path), image_info)[0])


def write_mask(
    path: Path,
    labels: Array,
    convention: MaskConvention,
    *,
    like: ImageInfo,
    existing: ImageInfo | None = None,
    note: str = "",
) -> None:
    """Write class ids as a mask, at once.

    A new binary mask holds 0 and 255, one of classes the values of the convention; it has the axes and the pixel size
    of its image. A mask that replaces another one keeps that one's values, number type, axes, pixel size, palette and
    compression; numbered objects keep their numbers where they stay, and new ones get new numbers.

    Parameters
    ----------
    path
        Where to write.
    labels
        Whole numbers (plane, y, x), class ids of the convention.
    convention
        What the values of the folder mean.
    like
        The image that the mask belongs to.
    existing
        The mask that is replaced, or None.
    note
        For programs, in a new mask; one that replaces another has none, and not that one's either. See `tiff_note`.

    Raises
    ------
    DataError
        `labels` has another size than the image, or holds an id that is no class.
    SaveError
        The file cannot be written; what was there before is unchanged.
    """
    path = Path(path)
    labels = np.asarray(labels)
    require_shape(path, labels.shape, like)
    largest = int(labels.max()) if labels.size else 0
    if largest >= convention.n_classes or (labels.size and labels.min() < 0):
        last = convention.n_classes - 1
        raise DataError(f"{path.name} cannot be saved: it has the class {largest}, but the last class is {last}.")
    old = _old_values(existing, like)
    values = _stored_values(labels, convention, old, like)
    write_values(path, values, like=like, existing=existing if old is not None else None, note=note)


def write_values(
    path: Path, values: Array, *, like: ImageInfo, existing: ImageInfo | None = None, note: str = ""
) -> None:
    """Write the numbers of a mask as they are, at once: what numbered objects need that are edited one by one.

    Parameters
    ----------
    path
        Where to write.
    values
        Whole numbers from 0 up (plane, y, x).
    like
        The image that the mask belongs to; a new mask has its axes and pixel size, and the smallest number type.
    existing
        The mask that is replaced, or None: its number type (if the values fit), axes, pixel size, palette and
        compression are kept.
    note
        See `write_mask`.

    Raises
    ------
    DataError
        The values have another shape than the image.
    SaveError
        The file cannot be written; what was there before is unchanged.
    """
    path = Path(path)
    require_shape(path, values.shape, like)
    if existing is None:
        write_image(path, like.in_plane_axes(_of_smallest_type(values)), like.plane_axes, like=like, note=note)
        return
    fits = values.max(initial=0) <= _largest_of(existing.dtype)
    _write_as(path, values.astype(existing.dtype, copy=False) if fits else _of_smallest_type(values), existing, like)


def _old_values(existing: ImageInfo | None, like: ImageInfo) -> Array | None:
    """Read the mask that is replaced; None if it is gone or of no use."""
    if existing is None:
        return None
    try:
        return read_labels(existing.path, like)[0]
    except DataError:
        return None


def _stored_values(labels: Array, convention: MaskConvention, old: Array | None, like: ImageInfo) -> Array:
    """Turn class ids into values on disk, in no larger a number type than needed: masks may have gigapixels."""
    if convention.kind == "classes":
        return np.asarray(_values_of_classes(convention)[labels])
    if convention.kind == "instances":
        return number_objects(labels != 0, old, like)
    found = [] if old is None else [int(value) for value in distinct(old) if value != 0]
    if len(found) > 1 and old is not None:
        kept = np.where(old != 0, old, old.dtype.type(max(found)))
        return np.where(labels != 0, kept, old.dtype.type(0))
    value = found[0] if found else _new_foreground(convention)
    kind = np.min_scalar_type(value)
    return np.asarray(np.where(labels != 0, kind.type(value), kind.type(0)))


def values_of_new_mask(convention: MaskConvention) -> Array:
    """Return the value on disk of each class id, in the smallest number type: 0 and 255 for a new binary mask."""
    if convention.kind == "classes":
        return _values_of_classes(convention)
    value = _new_foreground(convention)
    return np.array([0, value], np.min_scalar_type(value))


def _values_of_classes(convention: MaskConvention) -> Array:
    values = np.zeros(convention.n_classes, np.min_scalar_type(max(convention.values)))
    for value, class_id in convention.values.items():
        values[class_id] = value
    return values


def _new_foreground(convention: MaskConvention) -> int:
    """255, unless the folder's masks have one other value than 1 and 255."""
    others = {value for value, class_id in convention.values.items() if class_id} - {1, NEW_FOREGROUND}
    return others.pop() if len(others) == 1 and len(convention.values) == 2 else NEW_FOREGROUND


def _of_smallest_type(values: Array) -> Array:
    largest = int(values.max(initial=0))
    smallest = next(kind for kind in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(kind).max)
    return np.asarray(values.astype(smallest, copy=False))


def _largest_of(dtype: str) -> int:
    if dtype == "bool":
        return 1
    if np.dtype(dtype).kind == "f":
        return 2**11 if dtype == "float16" else 2**24
    return int(np.iinfo(dtype).max)


def _write_as(path: Path, stored: Array, existing: ImageInfo, like: ImageInfo) -> None:
    """Write values (plane, y, x) with the axes and everything else of the mask they replace."""
    if existing.stack_axes != like.stack_axes and set(existing.stack_axes) == set(like.stack_axes) == set("TZ"):
        stored = stored.reshape((*like.stack_shape, *stored.shape[1:])).swapaxes(0, 1)
    axes = existing.axes
    if "S" in axes:
        plane = stored.reshape((*existing.stack_shape, 1, *stored.shape[-2:]))
        samples = existing.shape[axes.index("S")]
        colour = np.repeat(plane, samples, axis=-3)
        if existing.has_alpha:
            colour[..., -1, :, :] = _largest_of(existing.dtype)
        source = existing.stack_axes + "SYX"
        stored = colour.transpose([source.index(axis) for axis in axes])
    else:
        if existing.n_planes == len(stored):  # else the mask does not say that its first axis is a stack's
            stored = existing.in_plane_axes(stored)
        stored = stored.reshape(existing.shape)
    photometric = None
    colormap = existing.colormap if stored.dtype == np.uint8 else None
    if colormap is not None:
        photometric = "palette"
    elif existing.inverted:
        photometric = "miniswhite"
    compression = existing.compression if existing.compression in (None, *LOSSLESS) else "zlib"
    write_image(path, stored, axes, like=existing, compression=compression, photometric=photometric, colormap=colormap)
