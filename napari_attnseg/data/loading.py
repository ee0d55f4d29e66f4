"""From files to what the network sees: images scaled, channels as the model expects them, masks as class ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.data.masks import MaskConvention, read_mask
from napari_attnseg.data.normalise import finite_mask, normalise, to_grey
from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.patches import LoadedImage
from napari_attnseg.data.tiff import Image, ImageInfo, read_image
from napari_attnseg.errors import DataError
from napari_attnseg.settings import DataSettings


def network_channels(info: ImageInfo, settings: DataSettings) -> int:
    """Return how many channels the network gets of an image."""
    if settings.channels == "rgb" and info.channels == 1:
        return 3
    return 1 if settings.channels == "grey" and info.is_rgb else info.channels


def with_network_channels(pixels: NDArray[Any], info: ImageInfo, settings: DataSettings) -> NDArray[Any]:
    """Return pixels (plane, channel, y, x) of an image with the channels that the network gets; may be a view."""
    if settings.channels == "grey" and info.is_rgb:
        return to_grey(pixels)
    if settings.channels == "rgb" and info.channels == 1:
        return np.broadcast_to(pixels, (len(pixels), 3, *pixels.shape[2:]))
    return pixels


def require_channels(info: ImageInfo, settings: DataSettings, expected: int) -> None:
    """Refuse an image that does not give the network the channels that it expects.

    Raises
    ------
    DataError
        The image has another number of channels.
    """
    found = network_channels(info, settings)
    if found != expected:
        raise DataError(_channel_mismatch(info, found, expected))


def network_input(image: Image, settings: DataSettings, channels: int | None = None) -> NDArray[np.float32]:
    """Return what the network sees, float32 (plane, channel, y, x) in [0, 1].

    Parameters
    ----------
    image
        As read from its file.
    settings
        How it is scaled, and whether RGB becomes grey or grey RGB.
    channels
        The channels that the network expects; None takes what the image has.

    Raises
    ------
    DataError
        The image has another number of channels than the network expects.
    """
    if channels is not None:
        require_channels(image.info, settings, channels)
    return normalise(with_network_channels(image.pixels, image.info, settings), settings)


def load_image(pair: Pair, convention: MaskConvention, settings: DataSettings, channels: int) -> LoadedImage:
    """Read one annotated image; see `image_cache.load_images`."""
    if pair.mask is None:
        raise DataError(f"{pair.image.name} has no mask.")
    image = read_image(pair.image, settings.axes)
    pixels = network_input(image, settings, channels).astype(np.float16)
    labels = read_mask(pair.mask, convention, image.info)
    return LoadedImage(pair.name, pixels, labels, finite_mask(image.pixels))


def read_seen(path: Path, settings: DataSettings) -> tuple[ImageInfo, NDArray[Any]]:
    """Read an image with the channels that the network gets, not scaled, (plane, channel, y, x)."""
    image = read_image(path, settings.axes)
    return image.info, with_network_channels(image.pixels, image.info, settings)


def _channel_mismatch(info: ImageInfo, found: int, expected: int) -> str:
    start = f"{info.path.name} has {found} channel{'s' if found > 1 else ''}, but the model was trained on {expected}"
    if expected == 1 and info.is_rgb:
        return f"{start}; choose grey channels (--channels grey) to turn RGB into grey."
    return f"{start}; use a model that was trained on such images, or convert the image."
