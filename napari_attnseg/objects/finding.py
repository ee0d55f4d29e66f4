"""From the classes of a stack to its objects: planes, volumes or frames, as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from napari_attnseg.errors import SettingsError, Stopped
from napari_attnseg.objects.blank import blank, of_smallest_type, release
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.objects.linking import Linker
from napari_attnseg.objects.room import goes_in_strips, require_room
from napari_attnseg.objects.separate import Objects, degree, least_pixels, separate
from napari_attnseg.objects.strips import Planes, is_large_plane, part_of, rows_of, strips_of
from napari_attnseg.objects.sweep import separate_in_strips
from napari_attnseg.settings import ObjectSettings

Array = np.ndarray[Any, Any]
Probability = dict[int, Array]


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
    labels = blank((geometry.n_planes, *size))
    if settings.split:
        of_class = _separated(labels, classes, probability, geometry, settings, lengths, on_progress, should_stop)
    else:
        of_class = _linked(labels, classes, geometry, settings, lengths, on_progress, should_stop)
    return Objects(of_smallest_type(labels, len(of_class) - 1), of_class)


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
    of_class = np.zeros(1, np.uint8)
    done = 0
    for planes in geometry.together(settings.reach):
        if should_stop():
            raise Stopped

        def on_part(share: float, before: int = done, count: int = len(planes)) -> None:
            on_progress((before + share * count) / geometry.n_planes)

        found = _separated_group(
            labels,
            planes,
            classes,
            probability,
            lengths if len(planes) > 1 else lengths[1:],
            settings,
            len(of_class) - 1,
            on_part,
            should_stop,
        )
        of_class = np.concatenate([of_class, found])
        on_part(1.0)
        done += len(planes)
    return of_class


def _separated_group(
    labels: Array,
    planes: list[int],
    classes: Planes,
    probability: Planes | None,
    spacing: Sequence[float],
    settings: ObjectSettings,
    before: int,
    on_progress: Callable[[float], None],
    should_stop: Callable[[], bool],
) -> Array:
    """Fill in the labels of a plane or a volume, from `before` + 1 on; return the class of each number."""
    by_class = partial(_by_class, whole=len(planes) > 1)
    if goes_in_strips(labels.shape[1:], len(planes)):
        return separate_in_strips(
            labels,
            planes,
            classes,
            probability,
            by_class,
            spacing=spacing,
            settings=settings,
            least_pixels=least_pixels(settings, spacing),
            before=before,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    block = rows_of(classes, planes)
    known = None if probability is None else by_class(rows_of(probability, planes))
    found = separate(block, known, spacing=spacing, settings=settings, should_stop=should_stop)
    numbers = found.labels.astype(np.uint32)
    numbers[numbers > 0] += before
    labels[planes] = numbers.reshape((len(planes), *labels.shape[1:]))
    return np.asarray(found.classes[1:])


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
    size = labels.shape[1:]
    in_rows = is_large_plane(size) and not any(through)
    for plane in range(len(labels)):
        for rows in strips_of(size) if in_rows else [slice(0, size[0])]:
            if should_stop():
                raise Stopped
            part = part_of(classes, plane, rows)
            labels[plane, rows] = linker.add_rows(part, is_first=rows.start == 0) if in_rows else linker.add(part)
            release(labels)
            on_progress(0.8 * (plane + rows.stop / size[0]) / len(labels))
    numbers, of_class = linker.final()
    sizes = np.zeros(len(of_class), np.int64)
    for plane in labels:
        for rows in strips_of(plane.shape):
            sizes += np.bincount(numbers[plane[rows]].ravel(), minlength=len(sizes))
            release(labels)
    pixel = lengths if geometry.makes_volumes(settings.reach) else lengths[1:]
    keep = sizes >= max(least_pixels(settings, pixel), 1)
    keep[0] = False
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.uint32)[numbers]
    for plane in labels:
        for rows in strips_of(plane.shape):
            if should_stop():
                raise Stopped
            plane[rows] = numbers[plane[rows]]
            release(labels)
    on_progress(1.0)
    return np.concatenate([np.zeros(1, np.uint8), of_class[keep]])


def _by_class(probability: Array, whole: bool) -> Probability:
    """Sort the probability by class: (plane, class, y, x) of a volume, (class, y, x) of a plane."""
    each = np.moveaxis(probability, 1, 0) if whole else probability
    return {1: each[0]} if len(each) == 1 else dict(enumerate(each))
