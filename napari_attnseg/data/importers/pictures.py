"""PNG, JPEG and BMP files, and TIFF, to pictures and to mask values."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_attnseg.data.decode import reason_of
from napari_attnseg.data.importers.item import Picture
from napari_attnseg.data.importers.listing import TIFFS, extension
from napari_attnseg.data.mask_values import read_labels, require_shape
from napari_attnseg.data.tiff import read_image
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]

_JPEG = (".jpg", ".jpeg")
_COLOURED = {"P": "RGB", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "La": "LA"}
_ORIENTATION = 0x0112
# by EXIF's orientation: whether rows and columns change places, and which axes are flipped then
_UPRIGHT: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}


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
    with _opened(path) as image:
        if _has_16_bit_colour(path):
            pixels = _decoded_png(path)
        else:
            mode = _COLOURED.get(image.mode)
            pixels = np.asarray(image.convert(mode) if mode else image)
        pixels = _upright(pixels, image)
    pixels = _without_alpha(pixels)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    return Picture(_of_plain_type(pixels), "YXS" if pixels.ndim == 3 else "YX")


def read_values(path: Path, threshold: float | None = None) -> Array:
    """Read the values of a mask.

    Parameters
    ----------
    path
        A PNG, BMP or TIFF of one channel, of equal channels, or with a palette, whose indices are the values; turned
        as its EXIF orientation says, if it has one.
    threshold
        Read as grey instead, with 1 where the grey is above it; the only way to read a JPEG.

    Returns
    -------
    ndarray
        Unsigned (plane, y, x).

    Raises
    ------
    DataError
        The file is damaged, a JPEG without a threshold, coloured, or holds other numbers than whole ones from 0 up.
    """
    if threshold is not None:
        return np.asarray(_grey(read_picture(path)) > threshold).astype(np.uint8)
    if extension(path) in TIFFS:
        return read_labels(path)[0]
    if extension(path) in _JPEG:
        raise DataError(
            f"The mask {path.name} is a JPEG, whose compression changes values along every edge; save the mask as "
            f"PNG or TIFF, or say with --threshold above which grey a pixel is foreground ({path})."
        )
    with _opened(path) as image:
        pixels = _upright(_decoded_png(path) if _has_16_bit_colour(path) else np.asarray(image), image)
    pixels = _without_alpha(pixels)
    if pixels.ndim == 3:
        if not (pixels == pixels[..., :1]).all():
            raise DataError(
                f"The mask {path.name} is a colour image; whole numbers were expected, 0 for the background. Save it "
                f"as one channel of class numbers, or with a palette ({path})."
            )
        pixels = pixels[..., 0]
    return unsigned(pixels, path)[None]


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


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open and decode an image; whatever is wrong with it becomes one sentence, inside the block too."""
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path.name} is empty (0 bytes); copy or export it again, or delete it ({path}).")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, and of what is unusual in a header
            with Image.open(path) as image:
                image.load()
                yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{path.name} is too large to be read at once; save it as a TIFF ({path}).") from error
    except MemoryError as error:
        raise DataError(f"{path.name} does not fit into memory; close other programs or cut the image.") from error
    except Exception as error:  # Pillow raises whatever a damaged file provokes
        raise DataError(
            f"{path.name} cannot be read; it is damaged, cut short or no such image ({reason_of(error)}). Copy or "
            f"export it again ({path})."
        ) from error


def _has_16_bit_colour(path: Path) -> bool:
    """Whether it is a PNG of 16-bit colours, of which Pillow would keep 8 bits."""
    with path.open("rb") as file:
        start = file.read(26)
    return start[:4] == b"\x89PNG" and len(start) == 26 and start[24] == 16 and start[25] in (2, 4, 6)


def _decoded_png(path: Path) -> Array:
    import imagecodecs

    return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def _upright(pixels: Array, image: Image.Image) -> Array:
    """Turn pixels, rows and columns first, as the EXIF orientation of their image says."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow raises whatever damaged EXIF provokes, but the pixels are whole
        orientation = 1
    transposed, flipped = _UPRIGHT.get(orientation, (False, ()))
    return np.flip(pixels.swapaxes(0, 1) if transposed else pixels, flipped)


def _without_alpha(pixels: Array) -> Array:
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


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
