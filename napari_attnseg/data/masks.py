"""Masks to class ids and back; the values on disk mean what a `MaskConvention` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.convention import MaskConvention, decide_convention, values_text
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.mask_values import (
    MaskValues,
    distinct,
    read_labels,
    require_shape,
    survey_mask,
    survey_masks,
)
from napari_attnseg.data.write import LOSSLESS, write_image
from napari_attnseg.errors import DataError

__all__ = [
    "MaskConvention",
    "MaskValues",
    "decide_convention",
    "read_mask",
    "survey_mask",
    "survey_masks",
    "write_mask",
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
    labels, _ = read_labels(Path(path), image_info)
    if convention.kind == "instances":
        return np.asarray(labels != 0).astype(np.uint8)
    values = [int(value) for value in distinct(labels)]
    mapping = dict(convention.values)
    unknown = [value for value in values if value not in mapping]
    if convention.kind == "binary" and unknown and len(set(values) - {0}) == 1:
        mapping[unknown[0]] = 1
        unknown = []
    if unknown:
        raise DataError(
            f"The mask {Path(path).name} holds the value {values_text(unknown)}; expected were "
            f"{values_text(sorted(convention.values))}. Correct the mask, or name the classes in classes.json."
        )
    if labels.dtype.itemsize <= 2:
        lookup = np.zeros(max(values, default=0) + 1, np.uint8)
        for value in values:
            lookup[value] = mapping[value]
        return np.asarray(lookup[labels])
    classes = np.zeros(labels.shape, np.uint8)
    for value in values:
        classes[labels == value] = mapping[value]
    return np.asarray(classes)


def write_mask(
    path: Path,
    labels: Array,
    convention: MaskConvention,
    *,
    like: ImageInfo,
    existing: ImageInfo | None = None,
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
    if existing is None or old is None:
        stored = _stored_values(labels, convention, None, like)
        write_image(path, _of_smallest_type(stored).reshape(like.plane_axes_shape), like.plane_axes, like=like)
        return
    stored = _stored_values(labels, convention, old, like)
    if stored.max(initial=0) > _largest_of(existing.dtype):
        stored = _of_smallest_type(stored)
    else:
        stored = stored.astype(existing.dtype)
    _write_as(path, stored, existing, like)


def _old_values(existing: ImageInfo | None, like: ImageInfo) -> Array | None:
    """Read the mask that is replaced; None if it is gone or of no use."""
    if existing is None:
        return None
    try:
        return read_labels(existing.path, like)[0]
    except DataError:
        return None


def _stored_values(labels: Array, convention: MaskConvention, old: Array | None, like: ImageInfo) -> Array:
    """Turn class ids into values on disk, as int64."""
    if convention.kind == "classes":
        return np.asarray(_values_of_classes(convention)[labels])
    if convention.kind == "instances":
        return _numbered(labels != 0, old, like)
    found = [] if old is None else [int(value) for value in distinct(old) if value != 0]
    if len(found) > 1 and old is not None:
        return np.where(labels != 0, np.where(old != 0, old.astype(np.int64), max(found)), 0)
    value = found[0] if found else _new_foreground(convention)
    return np.where(labels != 0, value, 0).astype(np.int64)


def _values_of_classes(convention: MaskConvention) -> Array:
    values = np.zeros(convention.n_classes, np.int64)
    for value, class_id in convention.values.items():
        values[class_id] = value
    return values


def _new_foreground(convention: MaskConvention) -> int:
    """255, unless the folder's masks have one other value than 1 and 255."""
    others = {value for value, class_id in convention.values.items() if class_id} - {1, NEW_FOREGROUND}
    return others.pop() if len(others) == 1 and len(convention.values) == 2 else NEW_FOREGROUND


def _numbered(foreground: Array, old: Array | None, like: ImageInfo) -> Array:
    """Keep the numbers of objects where they stay; a new part of an object gets its number, a new object a new one."""
    from skimage.measure import label  # slow to import

    kept = np.zeros(foreground.shape, np.int64) if old is None else np.where(foreground, old.astype(np.int64), 0)
    added = foreground & (kept == 0)
    next_number = int(kept.max(initial=0) if old is None else old.max(initial=0)) + 1
    volumes = [slice(None)] if like.stack_axes == "Z" else [slice(i, i + 1) for i in range(len(added))]
    for volume in volumes:
        parts, count = label(added[volume], return_num=True, connectivity=3)
        numbers = np.zeros(count + 1, np.int64)
        touched = _touched(parts, kept[volume], count)
        for part in range(1, count + 1):
            numbers[part] = touched.get(part, next_number)
            next_number += part not in touched
        kept[volume] += numbers[parts]
    return kept


def _touched(parts: Array, kept: Array, count: int) -> dict[int, int]:
    """Return the number of the object that each new part touches most."""
    contacts: dict[int, dict[int, int]] = {}
    for axis in range(parts.ndim) if count and kept.any() else ():
        first, second = [slice(None)] * parts.ndim, [slice(None)] * parts.ndim
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        for one, other in ((tuple(first), tuple(second)), (tuple(second), tuple(first))):
            touching = (parts[one] > 0) & (kept[other] > 0)
            both = np.stack([parts[one][touching], kept[other][touching]])
            pairs, sizes = np.unique(both, axis=1, return_counts=True)
            for (part, number), size in zip(pairs.T.tolist(), sizes.tolist(), strict=True):
                found = contacts.setdefault(part, {})
                found[number] = found.get(number, 0) + size
    return {part: max(found, key=lambda number: found[number]) for part, found in contacts.items()}


def _of_smallest_type(values: Array) -> Array:
    largest = int(values.max(initial=0))
    return values.astype(next(kind for kind in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(kind).max))


def _largest_of(dtype: str) -> int:
    if dtype == "bool":
        return 1
    if np.dtype(dtype).kind == "f":
        return 2**11 if dtype == "float16" else 2**24
    return int(np.iinfo(dtype).max)


def _write_as(path: Path, stored: Array, existing: ImageInfo, like: ImageInfo) -> None:
    """Write values (plane, y, x) with the axes and everything else of the mask they replace."""
    if existing.plane_axes != like.plane_axes and set(existing.stack_axes) == set(like.stack_axes) == set("TZ"):
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
        stored = stored.reshape(existing.shape)
    photometric = None
    colormap = existing.colormap if stored.dtype == np.uint8 else None
    if colormap is not None:
        photometric = "palette"
    elif existing.inverted:
        photometric = "miniswhite"
    compression = existing.compression if existing.compression in (None, *LOSSLESS) else "zlib"
    write_image(path, stored, axes, like=existing, compression=compression, photometric=photometric, colormap=colormap)
