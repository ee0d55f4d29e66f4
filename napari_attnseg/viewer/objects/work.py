"""The objects of the image that is shown: what is computed in a thread, from copies, so that painting can go on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.pairs import stem_of
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError
from napari_attnseg.objects.room import BYTES_TO_COUNT, require_memory, require_room
from napari_attnseg.settings import ObjectSettings
from napari_attnseg.wording import counted

if TYPE_CHECKING:
    from napari_attnseg.objects.geometry import Geometry
    from napari_attnseg.objects.separate import Objects

Array = np.ndarray[Any, Any]


class Pixels(Protocol):
    """An array, or what becomes one by `np.asarray`, such as a level of a large prediction."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of numbers."""


@dataclass(frozen=True)
class State:
    """What objects come from, so that later changes can be told."""

    from_layer: bool = False
    """Whether they are numbered by the layer of objects, as it is."""
    edits: int | None = 0
    """How often the layer of objects had been changed by hand; None: unlike now."""
    of_mask: bool = False
    """Whether they are made of the mask, not of a prediction."""
    revision: int | None = None
    """The mask's then; None: as it is when it is seen next, and -1: unlike it."""
    corrected: bool = False
    """Whether something was ever changed by hand."""


@dataclass(frozen=True)
class Asked:
    """What objects are made of."""

    image: Path
    axes: str | None
    """The axes as the user knows them."""
    info: ImageInfo | None
    """The image's description, if it has been read."""
    labels: Pixels
    """(stack axes..., y, x): class ids, or numbers of objects; a copy, or what is read from files."""
    numbered: Array | None
    """Where `labels` are numbers, the class of each as far as it is known; None where they are class ids."""
    probability: Pixels | None
    """(stack axes..., y, x), of the one class; None if it is not known."""
    class_names: tuple[str, ...]
    settings: ObjectSettings
    state: State
    """Of `labels`."""


@dataclass(frozen=True)
class Found:
    """The objects of one image."""

    image: Path
    labels: Array
    """(stack axes..., y, x)."""
    classes: Array
    """Class of each number as far as it is known; others have the first one."""
    table: Any
    """`objects.table.Table`."""
    size_title: str
    """The title of the column of sizes."""
    state: State


def find(asked: Asked, on_progress: Callable[[float], None], should_stop: Callable[[], bool]) -> Found:
    """Number the objects, where they are not numbered, and measure them.

    Raises
    ------
    AttnSegError
        The image cannot be read, the settings do not go with it, or the memory is not enough.
    Stopped
        `should_stop` returned True.
    """
    # half a second of imports, in the thread
    from napari_attnseg.objects.geometry import Geometry
    from napari_attnseg.objects.one_image import measured
    from napari_attnseg.objects.reading import read_measured

    info = asked.info or read_info(asked.image, asked.axes)
    geometry, settings = Geometry.of(info), asked.settings
    _require_room(asked, geometry)
    labels = np.asarray(asked.labels)
    if not labels.any():
        what = "mask" if asked.state.of_mask else "prediction"
        raise DataError(f"There is nothing in the {what} of {asked.image.name} yet.")
    flat = labels.reshape((-1, *labels.shape[-2:]))
    if asked.numbered is None:
        objects = _found(asked, flat, geometry, lambda share: on_progress(0.6 * share), should_stop)
        numbers, classes = np.arange(1, objects.count + 1), objects.classes
    else:
        objects, numbers = _as_numbered(flat, asked.numbered)
        classes = asked.numbered
        if settings.reach == "planes" and _goes_through(flat, len(numbers)):
            settings = settings.model_copy(update={"reach": "z"})
    result = measured(
        objects,
        geometry,
        info,
        settings,
        asked.class_names,
        read_measured(asked.image, asked.axes),
        stem_of(asked.image),
        lambda share: on_progress(0.6 + 0.4 * share),
        should_stop,
    )
    columns = result.table.columns
    columns["Object"] = numbers[columns["Object"] - 1]
    labels = labels if asked.numbered is not None else objects.labels.reshape(labels.shape)
    title = next((name for name in result.table.titles if name.startswith(("Area (", "Volume ("))), "Pixels")
    return Found(asked.image, labels, classes, result.table, title, asked.state)


def _require_room(asked: Asked, geometry: Geometry) -> None:
    """Refuse what does not fit into memory, before pixels in files are read."""
    pixels = math.prod(asked.labels.shape)
    parts = (asked.labels,) if asked.probability is None else (asked.labels, asked.probability)
    unread = pixels * sum(one.dtype.itemsize for one in parts if not isinstance(one, np.ndarray))
    if asked.numbered is None:
        require_room(asked.labels.shape[-2:], geometry, asked.settings, asked.image.name, besides=unread)
    else:
        require_memory(pixels * BYTES_TO_COUNT + unread, f"Finding the objects of {asked.image.name}")


def _found(
    asked: Asked,
    flat: Array,
    geometry: Geometry,
    on_progress: Callable[[float], None],
    should_stop: Callable[[], bool],
) -> Objects:
    """Number the objects of class ids (plane, y, x)."""
    from napari_attnseg.objects.finding import find_objects

    classes, probability, value = flat, None, None
    if asked.probability is not None:
        probability = np.asarray(asked.probability, np.float32).reshape((len(flat), 1, *flat.shape[1:]))
        value = int(flat.max(initial=0)) or 1
        classes = (flat > 0).astype(np.uint8)  # what the one class is called in the folder does not matter here
    objects = find_objects(
        classes,
        (flat.shape[1], flat.shape[2]),
        geometry,
        asked.settings,
        probability=probability,
        name=asked.image.name,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    return objects if value is None else replace(objects, classes=(objects.classes * value).astype(np.uint8))


def _as_numbered(flat: Array, known: Array) -> tuple[Objects, Array]:
    """Number the objects of a numbered stack one after the other, since numbers may be few and large.

    Returns
    -------
    tuple
        The objects, those that have no known class in the first one, and the number that each has in `flat`.
    """
    from napari_attnseg.objects.separate import Objects

    numbers = np.unique(flat)
    numbers = numbers[numbers > 0]
    labels = np.where(flat > 0, np.searchsorted(numbers, flat) + 1, 0).astype(np.uint32)
    classes = np.ones(len(numbers) + 1, np.uint8)
    classes[0] = 0
    at = np.flatnonzero(numbers < len(known))
    classes[at + 1] = known[numbers[at]]
    return Objects(labels, classes), numbers


def _goes_through(flat: Array, count: int) -> bool:
    """Whether a number is on several planes; `count` is that of the numbers in the stack."""
    return sum(len(np.unique(plane[plane > 0])) for plane in flat) > count


def in_words(found: Found) -> str:
    """Say how many objects there are, and how large they are."""
    count = len(found.table)
    if not count:
        return "No objects: all of them are smaller than what is dropped."
    title = found.size_title
    kind, unit = ("size", "px") if title == "Pixels" else (title.split(" (")[0].lower(), title.split("(")[1][:-1])
    mean = float(np.mean(found.table.columns[title]))
    return f"{counted(count, 'object')}, mean {kind} {mean:.4g} {unit}"
