"""Opening PNG, JPEG and BMP files so that whatever is wrong with one becomes a sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_attnseg.data.decode import reason_of
from napari_attnseg.data.importers.listing import unreadable_text
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]

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


@contextmanager
def opened_picture(path: Path) -> Iterator[Image.Image]:
    """Open and decode an image; whatever is wrong with it becomes one sentence, inside the block too."""
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path.name} is empty (0 bytes); copy or export it again, or delete it ({path}).")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, and of what is unusual in a header
            with Image.open(path) as image:
                _refuse_misread(path, image)
                image.load()
                yield image
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(unreadable_text(path, error)) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path.name} is too large to be read at once; save it as a TIFF ({path}).") from error
    except MemoryError as error:
        raise DataError(f"{path.name} does not fit into memory; close other programs or cut the image.") from error
    except Exception as error:  # Pillow raises whatever a damaged file provokes
        raise DataError(
            f"{path.name} cannot be read; it is damaged, cut short or no such image ({reason_of(error)}). Copy or "
            f"export it again ({path})."
        ) from error


def pixels_of(path: Path, image: Image.Image, mode: str | None = None) -> Array:
    """Return the pixels of an open image, (y, x) or (y, x, channel) without alpha, turned as its EXIF orientation says.

    `mode` is one of Pillow's to convert to first; 16-bit colours stay as they are.
    """
    pixels = _decoded_png(path) if _has_16_bit_colour(path) else np.asarray(image.convert(mode) if mode else image)
    return _without_alpha(_upright(pixels, image))


def _refuse_misread(path: Path, image: Image.Image) -> None:
    """Refuse a BMP of black and white in 8 bits, which Pillow takes for one bit a pixel."""
    if image.format == "BMP" and image.mode == "1" and path.read_bytes()[28:30] != b"\x01\0":
        raise DataError(f"{path.name} is a BMP of an unusual kind, which cannot be read; save it as PNG ({path}).")


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
