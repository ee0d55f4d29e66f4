"""From the classes of a stack to its objects: planes, volumes or frames, as the settings say."""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from napari_attnseg.errors import DataError, SettingsError, Stopped
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.objects.linking import Linker
from napari_attnseg.objects.room import require_room
from napari_attnseg.objects.separate import Objects, degree, least_pixels, separate, smallest_type
from napari_attnseg.settings import ObjectSettings

MOST_IN_MEMORY = 512 * 2**20  # bytes of labels

Array = np.ndarray[Any, Any]
Probability = dict[int, Array]


class Planes(Protocol):
    """Planes that are read when they are asked for; an array (plane, ..., y, x) is one."""

    def __getitem__(self, plane: int, /) -> Any:
        """Return a plane."""


def find_objects(
    classes: Planes,
    size: tuple[int, int],
    geometry: Geometry,
    settings: ObjectSettings,
    *,
    probability: Planes | None = None,
    name: str = "The image",
    on_progress: Callable[[float], None] = lambda share: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Objects:
    """Number the objects of an image.

    Parameters
    ----------
    classes
        Planes of class ids (y, x), 0 for the background.
    size
        Rows and columns of a plane.
    geometry
        The stack and the size of a pixel.
    settings
        What is separated, linked and dropped.
    probability
        Planes float (class, y, x) in [0, 1]: of the one class, or of all with the background first.
    name
        The file's, for messages.
    on_progress
        Called with the share that is done.
    should_stop
        Asked between planes, and between the steps of separating one.

    Returns
    -------
    Objects
        `labels` is (plane, y, x); where it takes over 512 MB it lies in a temporary file.

    Raises
    ------
    DataError
        The memory, or the disk of the temporary file, is not enough.
    SettingsError
        The settings do not go together, or with the image.
    Stopped
        `should_stop` returned True.
    """
    lengths = geometry.lengths(settings, name)
    if settings.split and geometry.joins_times(settings.reach):
        raise SettingsError(
            "Objects that are separated cannot be followed through time: say what touches is one object (--no-split), "
            "or take each time by itself (--reach z)."
        )
    require_room(size, geometry, settings, name)
    labels = _blank((geometry.n_planes, *size))
    if settings.split:
        of_class = _separated(labels, classes, probability, geometry, settings, lengths, on_progress, should_stop)
    else:
        of_class = _linked(labels, classes, geometry, settings, lengths, on_progress, should_stop)
    return Objects(_smallest(labels, len(of_class) - 1), of_class)


def _separated(
    labels: Array,
    classes: Planes,
    probability: Planes | None,
    geometry: Geometry,
    settings: ObjectSettings,
    lengths: tuple[float, float, float],
    on_progress: Callable[[float], None],
    should_stop: Callable[[], bool],
) -> Array:
    """Fill in the labels, plane by plane or volume by volume; return the class of each."""
    of_class = [np.zeros(1, np.uint8)]
    done = 0
    for planes in geometry.together(settings.reach):
        if should_stop():
            raise Stopped
        whole = len(planes) > 1
        part = np.stack([np.asarray(classes[plane]) for plane in planes])
        known = None if probability is None else np.stack([np.asarray(probability[plane]) for plane in planes])
        part, known = (part, known) if whole else (part[0], None if known is None else known[0])
        spacing = lengths if whole else lengths[1:]
        found = separate(part, _by_class(known, whole), spacing=spacing, settings=settings, should_stop=should_stop)
        before = sum(map(len, of_class)) - len(of_class)
        numbers = found.labels.astype(np.uint32)
        numbers[numbers > 0] += before
        labels[planes] = numbers.reshape((len(planes), *labels.shape[1:]))
        of_class.append(found.classes)
        done += len(planes)
        on_progress(done / geometry.n_planes)
    return np.concatenate([of_class[0], *(part[1:] for part in of_class[1:])])


def _linked(
    labels: Array,
    classes: Planes,
    geometry: Geometry,
    settings: ObjectSettings,
    lengths: tuple[float, float, float],
    on_progress: Callable[[float], None],
    should_stop: Callable[[], bool],
) -> Array:
    """Fill in the labels of connected regions; return the class of each."""
    through = geometry.through(settings.reach)
    linker = Linker(geometry.stack_shape, through, degree(settings, 2 + sum(through)))
    for plane in range(len(labels)):
        if should_stop():
            raise Stopped
        labels[plane] = linker.add(np.asarray(classes[plane]))
        on_progress(0.8 * (plane + 1) / len(labels))
    numbers, of_class = linker.final()
    sizes = np.zeros(len(of_class), np.int64)
    for plane in labels:
        sizes += np.bincount(numbers[plane].ravel(), minlength=len(sizes))
    pixel = lengths if geometry.makes_volumes(settings.reach) else lengths[1:]
    keep = sizes >= max(least_pixels(settings, pixel), 1)
    keep[0] = False
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.uint32)[numbers]
    for plane in labels:
        plane[...] = numbers[plane]
    on_progress(1.0)
    return np.concatenate([np.zeros(1, np.uint8), of_class[keep]])


def _by_class(probability: Array | None, whole: bool) -> Probability | None:
    """Sort the probability by class: (plane, class, y, x) of a volume, (class, y, x) of a plane."""
    if probability is None:
        return None
    each = np.moveaxis(probability, 1, 0) if whole else probability
    return {1: each[0]} if len(each) == 1 else dict(enumerate(each))


def _blank(shape: tuple[int, ...]) -> Array:
    """Return zeros, uint32; of a large stack in a file that goes when the array does."""
    if 4 * math.prod(shape) <= MOST_IN_MEMORY:
        return np.zeros(shape, np.uint32)
    needed = 4 * math.prod(shape)
    try:
        with tempfile.TemporaryFile() as file:
            _reserve(file.fileno(), needed)
            return np.memmap(file, np.uint32, "w+", shape=shape)
    except OSError as error:
        raise DataError(
            f"The numbers of the objects take {needed / 1e9:.1f} GB in {tempfile.gettempdir()}, the folder of "
            f"temporary files, which has no room for them ({error.strerror}); make room there, or name another folder "
            "in the environment variable TMPDIR."
        ) from error


def _reserve(handle: int, size: int) -> None:
    """Take the space of an open file on the disk: where that ends later, writing into a mapped file kills the program.

    Raises
    ------
    OSError
        There is not as much.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # which a file system says that cannot do it
                raise
    if shutil.disk_usage(tempfile.gettempdir()).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _smallest(labels: Array, count: int) -> Array:
    return labels if isinstance(labels, np.memmap) else smallest_type(labels, count)
