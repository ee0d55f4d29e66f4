"""PNG, JPEG and BMP files, and TIFF, to pictures and to mask values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.importers.item import Picture
from napari_attnseg.data.importers.listing import TIFFS, extension
from napari_attnseg.data.importers.opening import opened_picture, pixels_of
from napari_attnseg.data.importers.palettes import Palette, are_greys
from napari_attnseg.data.mask_values import distinct, read_labels, require_shape
from napari_attnseg.data.tiff import read_image
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]

_JPEG = (".jpg", ".jpeg")
_COLOURED = {"P": "RGB", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "La": "LA"}


def read_picture(path: Path) -> Picture:
    """Read an image as grey (YX) or RGB (YXS); alpha is dropped, a palette becomes RGB, 16 bits stay 16 bits.

    It is turned as its EXIF orientation says, as a camera's picture is shown. TIFF files keep their planes, channels
    and pixel size.

    Raises
    ------
    DataError
        The file is damaged, cut short, or no such image.
    """
    if extension(path) in TIFFS:
        return _read_tiff(path)
    with opened_picture(path) as image:
        pixels = pixels_of(path, image, _COLOURED.get(image.mode))
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    return Picture(_of_plain_type(pixels), "YXS" if pixels.ndim == 3 else "YX")


@dataclass(frozen=True)
class StoredMask:
    """A mask as its file holds it."""

    numbers: Array
    """Unsigned (plane, y, x)."""
    palette: Palette | None = None

    def values(self, by_greys: bool) -> Array:
        """Return the numbers, or the greys that a palette shows for them."""
        return self.palette.greys(self.numbers) if self.palette is not None and by_greys else self.numbers


def read_values(path: Path, threshold: float | None = None) -> Array:
    """Read the values of a mask that stands alone.

    Parameters
    ----------
    path
        See `read_stored`. Of a palette of greys the greys are the values, else the numbers of its colours.
    threshold
        Read as grey instead, with 1 where the grey is above it; the only way to read a JPEG.

    Returns
    -------
    ndarray
        Unsigned (plane, y, x).

    Raises
    ------
    DataError
        See `read_stored`; a JPEG is refused without a threshold only.
    """
    if threshold is not None:
        return np.asarray(_grey(read_picture(path)) > threshold).astype(np.uint8)
    return read_together([path])[path]


def read_together(paths: Iterable[Path]) -> dict[Path, Array]:
    """Read the values of masks that mean the same by them; see `read_values`.

    Raises
    ------
    DataError
        See `read_stored` and `are_greys`.
    """
    stored = {path: read_stored(path) for path in paths}
    by_greys = are_greys({path: mask.palette for path, mask in stored.items() if mask.palette is not None})
    return {path: mask.values(by_greys) for path, mask in stored.items()}


def read_stored(path: Path) -> StoredMask:
    """Read a mask as it is stored.

    Parameters
    ----------
    path
        A PNG, BMP or TIFF of one channel, of equal channels, or with a palette; turned as its EXIF orientation says, if
        it has one.

    Raises
    ------
    DataError
        The file is damaged, a JPEG, coloured, or holds other numbers than whole ones from 0 up.
    """
    if extension(path) in TIFFS:
        labels, info = read_labels(path)
        stored = info.colormap if info.palette else None
        return StoredMask(labels, None if stored is None else _palette((stored >> 8).T, labels))
    if extension(path) in _JPEG:
        raise DataError(
            f"The mask {path.name} is a JPEG, whose compression changes values along every edge; save the mask as "
            f"PNG or TIFF, or say with --threshold above which grey a pixel is foreground ({path})."
        )
    with opened_picture(path) as image:
        colours = image.getpalette("RGB") if image.mode in ("P", "PA") else None
        pixels = pixels_of(path, image)
    if pixels.ndim == 3:
        if not (pixels == pixels[..., :1]).all():
            raise DataError(
                f"The mask {path.name} is a colour image; whole numbers were expected, 0 for the background. Save it "
                f"as one channel of class numbers, or with a palette ({path})."
            )
        pixels = pixels[..., 0]
    numbers = unsigned(pixels, path)[None]
    return StoredMask(numbers, _palette(np.array(colours), numbers) if colours else None)


def _palette(colours: Array, numbers: Array) -> Palette:
    return Palette(_colours(np.asarray(colours, np.uint8).tobytes()), tuple(distinct(numbers).tolist()))


@lru_cache(maxsize=8)
def _colours(stored: bytes) -> tuple[tuple[int, ...], ...]:
    """Return red, green and blue of each colour, once for the many masks of one palette."""
    return tuple(tuple(stored[start : start + 3]) for start in range(0, len(stored), 3))


def unsigned(values: Array, path: Path) -> Array:
    """Return mask values as the smallest unsigned type.

    Raises
    ------
    DataError
        There are fractions, negative values, NaN, or values above 2 ** 32 - 1.
    """
    if values.dtype.kind == "b" or (values.dtype.kind == "u" and values.dtype.itemsize <= 4):
        return values.astype(np.uint8) if values.dtype.kind == "b" else values
    wrong = None
    if values.dtype.kind == "f":
        bad = ~np.isfinite(values) | (values != np.rint(values))
        wrong = float(values[bad][0]) if bad.any() else None
    elif values.dtype.kind not in "iu":
        raise DataError(f"The mask {path.name} holds values of the type {values.dtype}; whole numbers were expected.")
    if wrong is None and values.size and not 0 <= values.min() <= values.max() < 2**32:
        wrong = values.min() if values.min() < 0 else values.max()
    if wrong is not None:
        raise DataError(
            f"The mask {path.name} holds the value {wrong:g}; whole numbers from 0 up were expected, 0 for the "
            f"background ({path})."
        )
    largest = values.max(initial=0)
    return values.astype(next(kind for kind in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(kind).max))


def require_size_of(mask: Path, values: Array, image: Path, picture: Picture) -> None:
    """Check that a mask (plane, y, x) has the size of its image.

    Raises
    ------
    DataError
        It has not; both sizes are named.
    """
    require_shape(mask, values.shape, picture.info(image))


def _of_plain_type(pixels: Array) -> Array:
    """Give what Pillow reads as 32 bits the 16 bits that it had."""
    if pixels.dtype == np.int32 and pixels.size and pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint16).max:
        return pixels.astype(np.uint16)
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))


def _grey(picture: Picture) -> Array:
    """Return the mean of the channels, (plane, y, x)."""
    colours = tuple(i for i, axis in enumerate(picture.axes) if axis in "CS")
    grey = picture.pixels.mean(axis=colours) if colours else picture.pixels
    return grey.reshape((-1, *grey.shape[-2:]))


def _read_tiff(path: Path) -> Picture:
    image = read_image(path)
    info, pixels = image.info, image.pixels
    axes = f"{info.stack_axes}CYX"
    pixels = pixels.reshape((*info.stack_shape, *pixels.shape[1:]))
    if info.is_rgb and pixels.shape[-3] == 3 and "C" not in info.axes:
        pixels, axes = np.moveaxis(pixels, -3, -1), f"{info.stack_axes}YXS"
    elif pixels.shape[-3] == 1:
        pixels, axes = pixels[..., 0, :, :], f"{info.stack_axes}YX"
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    return Picture(pixels, axes, info.spacing, info.channel_names if "C" in axes else ())
