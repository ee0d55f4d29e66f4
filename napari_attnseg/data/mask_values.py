"""What values masks hold, before anyone says what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.axes import shape_text
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.tiff import read_image
from napari_attnseg.errors import DataError

MOST_LISTED = 1000
_COUNTED_AT_ONCE = 2**20

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class MaskValues:
    """The values of one mask."""

    values: tuple[int, ...]
    """Distinct values in ascending order, at most `MOST_LISTED` of them."""
    count: int
    """How many distinct values there are."""
    dtype: str
    shape: tuple[int, int, int]
    """(plane, y, x)."""
    foreground: int
    """Number of pixels that are not 0."""
    min_is_white: bool = False
    """Whether the file shows 0 as white; the stored numbers count all the same, as tifffile and ImageJ mean them."""

    @property
    def non_zero(self) -> tuple[int, ...]:
        """The distinct values without 0."""
        return tuple(value for value in self.values if value != 0)

    @property
    def is_empty(self) -> bool:
        """Whether every pixel is 0."""
        return self.foreground == 0


def distinct(labels: Array) -> Array:
    """Return the distinct values of an array of whole numbers from 0 up, in ascending order."""
    if labels.dtype.itemsize > 2:
        return np.unique(labels)
    occurs = np.zeros(2 ** (8 * labels.dtype.itemsize), bool)
    flat = labels.reshape(-1)
    for start in range(0, flat.size, _COUNTED_AT_ONCE):  # which are counted as numbers of 8 bytes
        occurs[np.flatnonzero(np.bincount(flat[start : start + _COUNTED_AT_ONCE]))] = True
    return np.flatnonzero(occurs)


def read_labels(path: Path, image: ImageInfo | None = None) -> tuple[Array, ImageInfo]:
    """Read the values of a mask as they are stored.

    Parameters
    ----------
    path
        A mask: one channel, or RGB with three equal channels; whole numbers of any type, or 1 bit, or palette indices.
    image
        The image that the mask belongs to; planes are ordered as in it.

    Returns
    -------
    tuple
        An unsigned array (plane, y, x), and the mask's description.

    Raises
    ------
    DataError
        It is unreadable, coloured, or holds fractions, NaN or negative values; or its shape is not that of the image.
    """
    pixels, info = (mask := read_image(path, as_stored=True)).pixels, mask.info
    labels = _one_channel(pixels, info)
    labels = whole_numbers(labels, path)
    if image is None:
        return labels, info
    order = order_of_planes(info, image.stack_axes)
    labels = labels if order is None else labels[order]
    require_shape(path, labels.shape, image)
    return labels, info


def order_of_planes(info: ImageInfo, stack_axes: str) -> Array | None:
    """Return the numbers of a file's planes in the order of other stack axes; None where that is the same."""
    if set(info.stack_axes) == set(stack_axes) == set("TZ") and info.stack_axes != stack_axes:
        return np.arange(info.n_planes).reshape(info.stack_shape).T.ravel()
    return None


def require_shape(path: Path, shape: tuple[int, ...], image: ImageInfo) -> None:
    """Check that a mask of the given (plane, y, x) belongs to an image of this size.

    Raises
    ------
    DataError
        It does not; both shapes are named.
    """
    expected = (image.n_planes, image.height, image.width)
    if tuple(shape) != expected:
        swapped = shape == (expected[0], expected[2], expected[1])
        hint = " (rows and columns are swapped)" if swapped else ""
        raise DataError(
            f"The mask {path.name} is {_size(shape)} but its image {image.path.name} is {_size(expected)}{hint}; "
            "a mask has the size of its image. Export it again at full size, or remove it."
        )


def _size(shape: tuple[int, ...]) -> str:
    """Write a size for a message: rows x columns, with planes if there are several."""
    plane = f"{shape[1]} x {shape[2]} (y, x)"
    return plane if shape[0] == 1 else f"{shape_text(tuple(shape))} (plane, y, x)"


def _one_channel(pixels: Array, info: ImageInfo) -> Array:
    if pixels.shape[1] == 1:
        return pixels[:, 0]
    if "S" in info.axes and "C" not in info.axes:
        if all(np.array_equal(pixels[:, 0], pixels[:, i]) for i in range(1, pixels.shape[1])):
            return pixels[:, 0]
        raise DataError(
            f"The mask {info.path.name} is a colour image; whole numbers were expected, 0 for the background. "
            f"Save it as one 8-bit channel of class numbers ({info.path})."
        )
    # a stack that does not say which axis it has looks like channels
    return pixels.reshape((-1, *pixels.shape[2:]))


def whole_numbers(labels: Array, path: Path) -> Array:
    """Return the values of a mask, or of a part of it, as unsigned numbers.

    Raises
    ------
    DataError
        They are fractions, NaN or negative; `path` names the mask.
    """
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind == "u":
        return labels
    problem = None
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            problem = "NaN or infinite values"
        elif (labels != np.rint(labels)).any():
            problem = f"the value {float(labels[labels != np.rint(labels)][0]):.6g}"
    if problem is None and labels.size and labels.min() < 0:
        problem = f"the negative value {int(labels.min())}"
    if problem is None and labels.size and labels.max() >= 2.0**64:
        problem = f"the value {float(labels.max()):.6g}"
    if problem:
        raise DataError(
            f"The mask {path.name} holds {problem}; whole numbers from 0 up were expected, 0 for the background. "
            f"A probability map must be thresholded before it is a mask ({path})."
        )
    largest = int(labels.max()) if labels.size else 0
    smallest = next((kind for kind in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(kind).max), np.uint64)
    return labels.astype(smallest)
