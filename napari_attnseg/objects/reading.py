"""Masks, probabilities and images as planes: at once where they are small, plane by plane where they are large."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.classes import Classes
from napari_attnseg.data.convention import MaskConvention, Mode, decide_convention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.lazy import is_large
from napari_attnseg.data.mask_values import MaskValues, distinct, order_of_planes, survey_mask
from napari_attnseg.data.regions import Damage
from napari_attnseg.data.tiff import read_image, read_info, read_planes
from napari_attnseg.errors import ChangedError, DataError
from napari_attnseg.objects.damaged import read_damaged_plane
from napari_attnseg.objects.finding import Planes
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.objects.room import bytes_to_read, require_memory
from napari_attnseg.objects.separate import Objects, smallest_type
from napari_attnseg.objects.sources import Source
from napari_attnseg.settings import Reach

CHUNK = 64 * 2**20  # bytes that are read at once of a large stack

Array = np.ndarray[Any, Any]


class FilePlanes:
    """The planes (channel, y, x) of a file, some of them read at a time; cheap where they are asked for in order.

    `order` says which plane of the file each one is; None: as they are stored.
    """

    def __init__(self, info: ImageInfo, axes: str | None = None, order: Array | None = None) -> None:
        self._info, self._axes = info, axes
        self._order = np.arange(info.n_planes) if order is None else order
        size = info.height * info.width * info.channels * np.dtype(info.dtype).itemsize
        self._count = max(CHUNK // max(size, 1), 1)
        self._read: OrderedDict[int, Array] = OrderedDict()

    def __getitem__(self, plane: int, /) -> Array:
        """Return a plane.

        Raises
        ------
        DataError
            The pixels are damaged.
        """
        first = plane - plane % self._count
        if first not in self._read:
            self._read.clear()
            planes = self._order[first : first + self._count].tolist()
            self._read[first] = read_planes(self._info.path, planes, self._axes).pixels
        return np.asarray(self._read[first][plane - first])


class IntensityPlanes(FilePlanes):
    """The planes of an image for its intensities: what cannot be decoded of them is NaN, and counted."""

    def __init__(self, info: ImageInfo, axes: str | None = None) -> None:
        super().__init__(info, axes)
        self._damage: set[Damage] = set()
        self._damaged_chunks: dict[int, DataError] = {}  # read as a whole no second time

    @property
    def notice(self) -> str:
        """What could not be decoded of the planes that were asked for, a sentence; '' if nothing."""
        if not self._damage:
            return ""
        count = len(self._damage)
        what = "1 tile or strip" if count == 1 else f"{count} tiles or strips"
        return f"{what} of {self._info.path.name} cannot be decoded; intensities are those of the rest."

    def __getitem__(self, plane: int, /) -> Array:
        """Return a plane.

        Raises
        ------
        DataError
            The file cannot be read in parts, or not at all.
        """
        chunk = plane // self._count
        try:
            if chunk not in self._damaged_chunks:
                return super().__getitem__(plane)
        except ChangedError:
            raise
        except DataError as error:
            self._damaged_chunks[chunk] = error
        found = read_damaged_plane(self._info, plane, self._axes)
        if found is None:
            raise self._damaged_chunks[chunk]
        self._damage.update(found[1])
        return found[0]


@dataclass(frozen=True)
class Image:
    """An image whose intensities are measured."""

    info: ImageInfo
    planes: Planes
    channels: tuple[str, ...]
    """Names for the titles of columns."""

    @property
    def notice(self) -> str:
        """What could not be decoded of the planes that were measured, a sentence; '' if nothing."""
        return self.planes.notice if isinstance(self.planes, IntensityPlanes) else ""


def read_measured(path: Path, axes: str | None = None) -> Image:
    """Open an image for its intensities, which are NaN where tiles or strips of it cannot be decoded.

    Raises
    ------
    DataError
        It cannot be read.
    """
    info = read_info(path, axes)
    if is_large(info):
        return Image(info, IntensityPlanes(info, axes), channel_titles(info))
    try:
        pixels = read_image(path, axes).pixels
    except ChangedError:
        raise
    except DataError:
        planes = IntensityPlanes(info, axes)
        planes[0]  # raises if nothing can be read of it
        return Image(info, planes, channel_titles(info))
    if info.is_rgb and np.array_equal(pixels[:, 0], pixels[:, 1]) and np.array_equal(pixels[:, 0], pixels[:, 2]):
        return Image(info, pixels[:, :1], ("intensity",))  # grey, saved as a colour image
    return Image(info, pixels, channel_titles(info))


def channel_titles(info: ImageInfo) -> tuple[str, ...]:
    """Return the names of an image's channels as they stand in the titles of columns."""
    if info.channels == 1:
        return ("intensity",)
    if info.is_rgb and info.channels == 3:
        return ("red", "green", "blue")
    if len(info.channel_names) == info.channels == len(set(info.channel_names)):
        return info.channel_names
    return tuple(f"channel {number + 1}" for number in range(info.channels))


def convention_of(paths: Sequence[Path], classes: Classes | None, mode: Mode, *, predicted: bool) -> MaskConvention:
    """Decide what the values of masks, or of predictions, mean; predictions never hold numbered objects.

    Those that cannot be read, for which there may be too little memory, have no say.

    Raises
    ------
    DataError
        None can be read, or the values contradict each other or the classes.
    """
    survey: dict[Path, MaskValues] = {}
    for path in paths:
        try:
            require_memory(bytes_to_read(read_info(path)), f"Reading {path.name}")
            survey[path] = survey_mask(path)
        except DataError:
            if path == paths[-1] and not survey:
                raise
    several = len({value for one in survey.values() for value in one.non_zero}) > 1
    return decide_convention(survey, classes, "classes" if predicted and several and mode == "auto" else mode)


def numbered(labels: Array, geometry: Geometry, reach: Reach) -> Objects:
    """Take numbers as objects; they are made to follow each other, in their order.

    A number that is on planes which one object cannot go through, by `reach`, is a new object on each.

    Parameters
    ----------
    labels
        Whole numbers from 0 up (plane, y, x).
    geometry, reach
        The stack, and what objects can go through.
    """
    found, count = np.zeros(labels.shape, np.uint32), 0
    for planes in geometry.together(reach):
        part = labels[planes]
        values = distinct(part)
        values = values[values > 0]
        found[planes] = np.where(part > 0, np.searchsorted(values, part) + 1 + count, 0)
        count += len(values)
    return Objects(smallest_type(found, count), np.array([0] + count * [1], np.uint8))


def read_probability(source: Source, shape: tuple[int, ...], geometry: Geometry, n_classes: int) -> Planes | None:
    """Open the probability of a prediction; None if there is none, or it is of other classes than the masks show.

    Parameters
    ----------
    shape
        Of the prediction: (plane, y, x).

    Raises
    ------
    DataError
        It cannot be read, or has other planes or another size than the prediction.
    """
    if source.probability is None:
        return None
    info = read_info(source.probability)
    stored, order = Geometry.of(info), order_of_planes(info, geometry.stack_axes)
    if order is not None:  # OME-Zarr always has T before Z
        stored = replace(stored, stack_axes=geometry.stack_axes, stack_shape=stored.stack_shape[::-1])
    geometry.require_like(stored, source.labels.name, source.probability.name)
    if (info.height, info.width) != tuple(shape[1:]):
        raise DataError(
            f"{source.probability.name} has {info.height} x {info.width} pixels (y, x) but {source.labels.name} "
            f"{shape[1]} x {shape[2]}; they do not belong together. Predict the image again, with --probability."
        )
    if info.channels not in (1, n_classes) or (info.channels == 1 and n_classes > 2):
        return None
    if is_large(info):
        return FilePlanes(info, order=order)
    pixels = read_image(source.probability).pixels
    return pixels if order is None else pixels[order]


def above(probability: Planes, threshold: float) -> Planes:
    """Return planes of class ids where the probability of the one class, the last one, is above a threshold."""
    return _Converted(probability, lambda plane: (plane[-1] > threshold).astype(np.uint8))


class _Converted:
    def __init__(self, planes: Planes, convert: Callable[[Array], Array]) -> None:
        self._planes, self._convert = planes, convert

    def __getitem__(self, plane: int, /) -> Array:
        return self._convert(np.asarray(self._planes[plane]))
