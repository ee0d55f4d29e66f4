"""Masks, probabilities and images as planes: at once where they are small, in parts where they are large."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.classes import Classes
from napari_attnseg.data.convention import MaskConvention, Mode, decide_convention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.lazy import is_large
from napari_attnseg.data.mask_rows import ClassRows, MaskRows, can_be_read_in_rows
from napari_attnseg.data.mask_survey import survey_mask
from napari_attnseg.data.mask_values import MaskValues, distinct, order_of_planes, read_labels
from napari_attnseg.data.masks import read_mask
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import ChangedError, DataError, Stopped
from napari_attnseg.objects.blank import blank, of_smallest_type, release, require_disk
from napari_attnseg.objects.file_planes import FilePlanes, IntensityPlanes
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.objects.room import bytes_to_read, require_memory
from napari_attnseg.objects.separate import Objects
from napari_attnseg.objects.sources import Source
from napari_attnseg.objects.strips import Planes, Rows, is_large_plane, part_of, strips_of
from napari_attnseg.settings import Reach

Array = np.ndarray[Any, Any]


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

    Those that cannot be read, for which there may be too little memory or disk, have no say.

    Raises
    ------
    DataError
        None can be read, or the values contradict each other or the classes.
    """
    survey: dict[Path, MaskValues] = {}
    for path in paths:
        try:
            info = read_info(path)
            if is_read_in_rows(info):
                require_disk((info.n_planes, info.height, info.width))
            else:
                require_memory(bytes_to_read(info), f"Reading {path.name}")
            survey[path] = survey_mask(path)
        except DataError:
            if path == paths[-1] and not survey:
                raise
    several = len({value for one in survey.values() for value in one.non_zero}) > 1
    return decide_convention(survey, classes, "classes" if predicted and several and mode == "auto" else mode)


def read_classes(path: Path, convention: MaskConvention, image: ImageInfo | None) -> Array | ClassRows:
    """Read a mask as class ids (plane, y, x), at once or some rows at a time; see `masks.read_mask`."""
    read = ClassRows if is_read_in_rows(read_info(path)) else read_mask
    return read(path, convention, image)


def read_numbers(path: Path, image: ImageInfo | None) -> Array | MaskRows:
    """Read the numbers in a mask (plane, y, x), at once or some rows at a time; see `mask_values.read_labels`."""
    return MaskRows(path, image) if is_read_in_rows(read_info(path)) else read_labels(path, image)[0]


def is_read_in_rows(info: ImageInfo) -> bool:
    """Whether a mask is read some rows at a time."""
    return is_large_plane((info.height, info.width)) and can_be_read_in_rows(info)


def numbered(
    labels: Array | MaskRows,
    geometry: Geometry,
    reach: Reach,
    on_progress: Callable[[float], None] = lambda share: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Objects:
    """Take numbers as objects; they are made to follow each other, in their order.

    A number that is on planes which one object cannot go through, by `reach`, is a new object on each.

    Parameters
    ----------
    labels
        Whole numbers from 0 up (plane, y, x).
    geometry, reach
        The stack, and what objects can go through.
    on_progress, should_stop
        As in `finding.find_objects`.

    Raises
    ------
    DataError
        They cannot be read, or the disk has no room for them.
    Stopped
        `should_stop` returned True.
    """
    found, count = blank(labels.shape), 0
    strips = list(strips_of(labels.shape[1:]))
    done = 0

    def parts(planes: Sequence[int]) -> Iterator[tuple[int, slice, Array]]:
        nonlocal done
        for plane, rows in product(planes, strips):
            if should_stop():
                raise Stopped
            yield plane, rows, part_of(labels, plane, rows)
            done += 1
            on_progress(done / (2 * labels.shape[0] * len(strips)))

    for planes in geometry.together(reach):
        values = reduce(np.union1d, (distinct(part) for _, _, part in parts(planes)))
        values = values[values > 0]
        for plane, rows, part in parts(planes):
            found[plane, rows] = np.where(part > 0, np.searchsorted(values, part) + 1 + count, 0)
            release(found)
        count += len(values)
    return Objects(of_smallest_type(found, count), np.array([0] + count * [1], np.uint8))


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
    if np.dtype(info.dtype).kind != "f":
        raise DataError(
            f"{source.probability.name} holds {info.dtype}; a probability is a real number from 0 to 1. Predict the "
            f"image again, with --probability, or remove the file ({source.probability})."
        )
    if info.channels not in (1, n_classes) or (info.channels == 1 and n_classes > 2):
        return None
    if is_large(info):
        return FilePlanes(info, order=order)
    pixels = read_image(source.probability).pixels
    return pixels if order is None else pixels[order]


def above(probability: Planes, threshold: float) -> Planes:
    """Return planes of class ids where the probability of the one class, the last one, is above a threshold."""
    return (_RowsAbove if isinstance(probability, Rows) else _Above)(probability, threshold)


class _Above:
    def __init__(self, probability: Any, threshold: float) -> None:
        self._probability, self._threshold = probability, threshold

    def __getitem__(self, plane: int, /) -> Array:
        return self._of(self._probability[plane])

    def _of(self, probability: Array) -> Array:
        return np.asarray(probability[-1] > self._threshold).astype(np.uint8)


class _RowsAbove(_Above):
    @property
    def size(self) -> tuple[int, int]:
        size: tuple[int, int] = self._probability.size
        return size

    def part(self, plane: int, rows: slice) -> Array:
        return self._of(self._probability.part(plane, rows))
