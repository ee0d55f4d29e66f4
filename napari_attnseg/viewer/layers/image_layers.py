"""Images and masks as napari's layer data: what a reader returns, and what the image list shows.

Needs no window; may run in a thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.classes import Classes
from napari_attnseg.data.convention import Kind
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.lazy import is_large, layer_order, open_lazily
from napari_attnseg.data.pairs import stem_of
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import DataError
from napari_attnseg.viewer.layers.roles import KEY

LayerData = tuple[Any, dict[str, Any], str]
Array = np.ndarray[Any, Any]

MASK_OPACITY = 0.5
MOST_CHANNELS = 64  # each is a layer; hundreds are an axis that was mistaken for channels, and stop the window
CHANNEL_COLOURS = ("magenta", "green", "cyan", "yellow", "red", "blue", "bop orange", "bop purple")
_PERCENTILES = (0.1, 99.9)
_MOST_SAMPLED = 500_000
# what pint, which napari asks, knows under another name than files use
_UNITS = {"µm": "micrometer", "": "pixel"}
_KNOWN_UNITS = {"µm", "nm", "mm", "cm", "m", "pm", "angstrom", "inch"}


@dataclass(frozen=True)
class _Loaded:
    """An image in the order of layers, small or large."""

    levels: list[Any]
    sample: Array
    """(channel, values)."""
    lazy: Any
    """The `LazyImage`, None if all pixels are in memory."""


def image_layers(
    path: Path, axes: str | None = None, channel_colours: Sequence[str] = CHANNEL_COLOURS
) -> list[LayerData]:
    """Return the layers of an image: one for RGB or grey, else one for each channel.

    An image of over 256 MB is opened lazily. The note in its layers' metadata has it as `lazy`: who shows the layers
    calls its `fill_overview` in a thread and refreshes them, and may close it when they are gone.

    Parameters
    ----------
    path
        A TIFF file.
    axes
        The axes as the user knows them, such as 'ZYX'; None to take them from the metadata, else from the shape.
    channel_colours
        napari's names of colormaps, one for each channel; they repeat if there are more channels.

    Raises
    ------
    DataError
        The file is no TIFF, is damaged, has too many channels to show, or `axes` does not fit.
    """
    path = Path(path)
    info = read_info(path, axes)
    if info.channels > MOST_CHANNELS:
        raise DataError(
            f"{path.name} would have {info.channels} channels, read as {info.axes}; at most {MOST_CHANNELS} can be "
            "shown. Choose other axes under 'How files are read and shown', such as ZYX for a stack."
        )
    loaded = _load_lazily(path, axes) if is_large(info) else _load(path, axes)
    placed = placement(info)
    if info.is_rgb:
        note = {"image": str(path), "role": "image", "channel": 0, "lazy": loaded.lazy}
        options = {"name": stem_of(path), "rgb": True, "metadata": {KEY: note}, **placed}
        return [(_data(_rgb_levels(loaded), loaded.lazy), options, "image")]
    layers = []
    for channel in range(info.channels):
        levels = loaded.levels
        if info.channels > 1:
            at: Any = (*(slice(None) for _ in info.stack_shape), channel)
            levels = [level[at] for level in levels]
        several = info.channels > 1
        note = {"image": str(path), "role": "image", "channel": channel, "lazy": loaded.lazy}
        options = {
            "name": _channel_name(path, info, channel),
            "rgb": False,
            "colormap": channel_colours[channel % len(channel_colours)] if several else "gray",
            "blending": "additive" if channel else "translucent",
            "contrast_limits": contrast_limits(loaded.sample[channel]),
            "metadata": {KEY: note},
            **placed,
        }
        layers.append((_data([showable(level) for level in levels], loaded.lazy), options, "image"))
    return layers


def mask_layer(
    labels: Array, info: ImageInfo, classes: Classes, convention_kind: Kind, name: str, image_path: Path
) -> LayerData:
    """Return the Labels layer of a mask.

    Parameters
    ----------
    labels
        (stack axes..., y, x): class ids, or numbers of objects.
    info
        The image that the mask belongs to.
    classes
        Names and colours; not used for numbered objects, which get napari's own colours.
    convention_kind
        What the mask holds; see `MaskConvention.kind`.
    name, image_path
        The layer's name, and the image's file.
    """
    note: dict[str, Any] = {"image": str(image_path), "role": "mask", "channel": 0}
    options = {"name": name, "opacity": MASK_OPACITY, "metadata": {KEY: note}, **placement(info)}
    if convention_kind != "instances":
        from napari_attnseg.viewer.layers.classes_colormap import class_colormap  # brings in napari's layers

        note["classes"] = classes  # that it is coloured by
        options["colormap"] = class_colormap(classes)
        options["features"] = {"index": [entry.id for entry in classes.entries], "name": list(classes.names)}
    return labels, options, "labels"


def placement(info: ImageInfo) -> dict[str, Any]:
    """Return `scale`, `units` and `axis_labels` of layers that lie on an image: its stack axes, y and x.

    Without a known pixel size all lengths are in pixels. The distance of planes without a known one is that of pixels.
    """
    names = (*info.stack_axes.lower(), "y", "x")
    known = info.pixel_size is not None and info.unit in _KNOWN_UNITS
    height, width = info.pixel_size if info.pixel_size is not None and known else _square(info.pixel_size)
    unit = _UNITS.get(info.unit, info.unit) if known else "pixel"
    ratio = 1.0 if known or info.pixel_size is None else 1 / info.pixel_size[0]
    depth = height if info.z_spacing is None else info.z_spacing * ratio
    lengths = {"z": depth, "y": height, "x": width, "t": info.spacing.frame_interval or 1.0}
    units = {"t": "second" if info.spacing.frame_interval else "pixel"}
    return {
        "scale": tuple(float(lengths[name]) for name in names),
        "units": tuple(units.get(name, unit) for name in names),
        "axis_labels": names,
    }


def contrast_limits(sample: Array) -> tuple[float, float]:
    """Return the intensities to show as black and white: nearly the least and the greatest of a sample."""
    values = sample.astype(np.uint8) if sample.dtype == np.bool_ else sample
    values = values[:: max(values.size // _MOST_SAMPLED, 1)]
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)].astype(np.float64)
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, _PERCENTILES))
    if low >= high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (min(low, 0.0), max(high, 1.0))


def _load(path: Path, axes: str | None) -> _Loaded:
    image = read_image(path, axes)
    pixels = image.pixels
    step = max(pixels[:, 0].size // _MOST_SAMPLED, 1)
    sample = np.stack([pixels[:, channel].reshape(-1)[::step] for channel in range(pixels.shape[1])])
    return _Loaded([layer_order(pixels, image.info)], sample, None)


def _load_lazily(path: Path, axes: str | None) -> _Loaded:
    lazy = open_lazily(path, axes)
    return _Loaded(lazy.levels, lazy.sample(), lazy)


class _Converted:
    """An array whose values are converted when they are looked at, because it is still being filled."""

    def __init__(self, array: Array, convert: Callable[[Array], Array]) -> None:
        self._array = array
        self._convert = convert
        self.shape, self.ndim = array.shape, array.ndim
        self.size = array.size
        self.dtype = convert(array[(slice(0, 1),) * array.ndim]).dtype

    def __getitem__(self, key: Any) -> Array:
        return self._convert(np.asarray(self._array[key]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self._convert(self._array), dtype)


def _converted(pixels: Any, convert: Callable[[Array], Array], dtype: type[Any]) -> Any:
    if isinstance(pixels, np.ndarray):
        return _Converted(pixels, convert)
    return pixels.map_blocks(convert, dtype=dtype)


def showable(pixels: Any) -> Any:
    """Turn number types that napari does not draw into ones that it does."""
    if pixels.dtype == np.bool_:
        return _converted(pixels, lambda part: part.view(np.uint8), np.uint8)
    if pixels.dtype == np.float16:
        return _converted(pixels, lambda part: part.astype(np.float32), np.float32)
    return pixels


def _rgb_levels(loaded: _Loaded) -> list[Any]:
    """Bring colours of other number types to 8 bits; scanners store 10 or 12 bits in 16, so a sample tells how many."""
    if loaded.levels[0].dtype == np.uint8:
        return loaded.levels
    largest = float(np.nanmax(loaded.sample, initial=0.0))
    whole = loaded.levels[0].dtype.kind in "ui"
    top = 2.0 ** max(math.ceil(math.log2(largest + 1)), 8) - 1 if whole else max(largest, 1.0)

    def to_bytes(part: Array) -> Array:
        scaled = np.nan_to_num(part.astype(np.float32)) * np.float32(255 / top)
        return np.asarray(scaled.clip(0, 255).astype(np.uint8))

    return [_converted(level, to_bytes, np.uint8) for level in loaded.levels]


def _data(levels: list[Any], lazy: Any) -> Any:
    """A list means several resolutions to napari, an array one."""
    if lazy is None:  # all in memory: converted once
        return np.asarray(levels[0])
    return levels if len(levels) > 1 else levels[0]


def _channel_name(path: Path, info: ImageInfo, channel: int) -> str:
    if info.channels == 1:
        return stem_of(path)
    named = info.channel_names[channel] if len(info.channel_names) == info.channels else f"channel {channel + 1}"
    return f"{stem_of(path)} [{named}]"


def _square(size: tuple[float, float] | None) -> tuple[float, float]:
    """Lengths in pixels; pixels that are not square stay so, though the unit of their size is not known."""
    return (1.0, 1.0) if size is None else (1.0, size[1] / size[0])
