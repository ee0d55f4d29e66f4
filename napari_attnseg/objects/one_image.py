"""The objects of one image: found, numbered, measured and written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.ome_zarr import Layout
from napari_attnseg.data.pairs import OBJECTS, extension_of, output_path
from napari_attnseg.data.pyramid_tiff import write_pyramid
from napari_attnseg.data.tiff import read_info
from napari_attnseg.data.write import write_image
from napari_attnseg.errors import SettingsError
from napari_attnseg.objects.blank import release, require_disk
from napari_attnseg.objects.finding import find_objects
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.objects.measure import LARGEST_OUTLINE, measure
from napari_attnseg.objects.reading import (
    Image,
    above,
    is_read_in_rows,
    numbered,
    read_classes,
    read_measured,
    read_numbers,
    read_probability,
)
from napari_attnseg.objects.room import BYTES_TO_COUNT, bytes_to_read, require_memory, require_room
from napari_attnseg.objects.separate import Objects
from napari_attnseg.objects.sources import Source
from napari_attnseg.objects.strips import Planes, is_large_plane, pixels_in_strip
from napari_attnseg.objects.table import Row, Table, summary
from napari_attnseg.settings import ObjectSettings
from napari_attnseg.wording import counted

Array = np.ndarray[Any, Any]
OnProgress = Callable[[float], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Result:
    """What was found in one image."""

    objects: Objects
    """`labels` is (plane, y, x)."""
    geometry: Geometry
    like: ImageInfo
    """The image, or the mask where there is no image: its axes and pixel size are carried over."""
    table: Table
    summary: list[Row]
    notice: str = ""
    """What could not be measured, a sentence."""


def objects_of_source(
    source: Source,
    convention: MaskConvention,
    settings: ObjectSettings,
    *,
    axes: str | None = None,
    on_progress: OnProgress = lambda share: None,
    should_stop: ShouldStop = lambda: False,
) -> Result:
    """Find and measure the objects of a mask or a prediction.

    Raises
    ------
    DataError
        A file cannot be read, files do not belong together, or memory or disk are not enough.
    SettingsError
        The settings do not go with the image.
    Stopped
        `should_stop` returned True.
    """
    _require_room(source, convention, settings, axes)
    with ExitStack() as opened:
        return _objects_of(source, convention, settings, axes, opened, on_progress, should_stop)


def _objects_of(
    source: Source,
    convention: MaskConvention,
    settings: ObjectSettings,
    axes: str | None,
    opened: ExitStack,
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> Result:
    """Find and measure objects; what is to be closed afterwards is put into `opened`."""

    def closed_later(planes: Any) -> Any:
        if hasattr(planes, "close"):
            opened.callback(planes.close)
        return planes

    image = read_measured(source.image, axes) if source.image is not None else None
    like = image.info if image is not None else read_info(source.labels)
    if image is not None:
        closed_later(image.planes)
    of_image = image.info if image is not None else None
    name = source.image.name if source.image is not None else source.labels.name
    if convention.kind == "instances":
        numbers = closed_later(read_numbers(source.labels, of_image))
        geometry = _geometry(like, numbers.shape[0])
        objects = numbered(numbers, geometry, settings.reach, lambda share: on_progress(0.7 * share), should_stop)
    else:
        classes: Planes = (read := closed_later(read_classes(source.labels, convention, of_image)))
        geometry = _geometry(like, read.shape[0])
        probability = closed_later(read_probability(source, read.shape, geometry, convention.n_classes))
        if settings.threshold is not None:
            classes = _above(settings.threshold, probability, convention, source)
        objects = find_objects(
            classes,
            (read.shape[1], read.shape[2]),
            geometry,
            settings,
            probability=probability,
            name=name,
            on_progress=lambda share: on_progress(0.7 * share),
            should_stop=should_stop,
        )
    return measured(
        objects,
        geometry,
        like,
        settings,
        convention.class_names,
        image,
        source.title,
        lambda share: on_progress(0.7 + 0.3 * share),
        should_stop,
    )


def _above(threshold: float, probability: Planes | None, convention: MaskConvention, source: Source) -> Planes:
    """Return the planes of class ids that a threshold gives.

    Raises
    ------
    SettingsError
        There is no probability of one kind of object; other images of the same table would have the threshold.
    """
    if probability is None or convention.n_classes != 2:
        raise SettingsError(
            f"There is no probability (_PROB) of one kind of object beside {source.labels.name}, so --threshold has no "
            "effect on it; predict the image again with --probability, or leave out --threshold."
        )
    return above(probability, threshold)


def measured(
    objects: Objects,
    geometry: Geometry,
    like: ImageInfo,
    settings: ObjectSettings,
    class_names: tuple[str, ...],
    image: Image | None,
    name: str,
    on_progress: OnProgress = lambda share: None,
    should_stop: ShouldStop = lambda: False,
) -> Result:
    """Measure objects, and sum them up; `like` and `name` are the image's, else the mask's."""
    table = measure(
        objects,
        geometry,
        settings.reach,
        image=name,
        class_names=class_names,
        pixels=image.planes if image is not None else None,
        channels=image.channels if image is not None else (),
        on_progress=on_progress,
        should_stop=should_stop,
    )
    height, width = objects.labels.shape[1:]
    rows = summary(table, geometry, settings.reach, (height, width), name)
    notices = [_large_notice(table), image.notice if image is not None else ""]
    return Result(objects, geometry, like, table, rows, " ".join(notice for notice in notices if notice))


def _large_notice(table: Table) -> str:
    """Say which objects are too large for an outline; '' if none is."""
    if "Solidity" not in table.columns:
        return ""
    boxes = table.columns["Width (px)"] * table.columns["Height (px)"]
    count = int(np.count_nonzero(boxes > LARGEST_OUTLINE))
    if not count:
        return ""
    return (
        f"The box around {counted(count, 'object')} has over {LARGEST_OUTLINE / 1e6:.0f} million pixels: too many for "
        "solidity and perimeter."
    )


def objects_path(stem: str, like: Path, folder: Path) -> Path:
    """Return where numbered objects go: `folder/NAME_OBJECTS.tiff`."""
    return output_path(Path(f"{stem}{extension_of(like) or '.tiff'}"), OBJECTS, folder)


def write_objects(path: Path, result: Result) -> None:
    """Write numbered objects as TIFF, with the axes and the pixel size of their image.

    Large planes become a pyramid in tiles, whose last axes are YX also where those of the image are XY.

    Raises
    ------
    SaveError
        The file cannot be written; what was there before is unchanged.
    """
    labels, like = result.objects.labels, result.like
    geometry = result.geometry
    if is_large_plane(labels.shape[1:]):
        info = replace(like, stack_axes=geometry.stack_axes, stack_shape=geometry.stack_shape)
        layout = Layout(info, str(labels.dtype))
        stack = labels.reshape((*geometry.stack_shape, *labels.shape[1:]))
        stack = stack.transpose([f"{geometry.stack_axes}YX".index(axis) for axis in layout.axes])
        levels = [stack[..., :: 2**n, :: 2**n] for n in range(len(layout.level_shapes))]
        write_pyramid(path, levels, layout, lambda share: release(labels))
    elif labels.shape[0] != like.n_planes:  # a stack of masks that does not say which axis it has
        write_image(path, labels, "ZYX", like=like)
    else:
        write_image(path, like.in_plane_axes(labels), like.plane_axes, like=like)


def _require_room(source: Source, convention: MaskConvention, settings: ObjectSettings, axes: str | None) -> None:
    """Refuse what memory or disk have no room for, by what the files say of themselves, before pixels are read."""
    stored = read_info(source.labels)
    like = read_info(source.image, axes) if source.image is not None else stored
    size = (stored.height, stored.width)
    planes = stored.n_planes * (1 if stored.is_rgb else stored.channels)  # which may be a stack that does not say so
    name = (source.image or source.labels).name
    require_disk((planes, *size))
    read = 0 if is_read_in_rows(stored) else bytes_to_read(stored)
    if is_large_plane(size):
        read += pixels_in_strip(size) * like.channels * np.dtype(like.dtype).itemsize
    if convention.kind == "instances":
        require_memory(pixels_in_strip(size) * BYTES_TO_COUNT + read, f"Finding the objects of {name}")
    else:
        require_room(size, _geometry(like, planes), settings, name, besides=read)


def _geometry(like: ImageInfo, planes: int) -> Geometry:
    geometry = Geometry.of(like)
    if planes != geometry.n_planes:  # a stack of masks that does not say which axis it has
        geometry = replace(geometry, stack_axes="Z", stack_shape=(planes,))
    return geometry
