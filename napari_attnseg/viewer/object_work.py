"""The objects of the image that is shown: what is computed in a thread, from copies, so that painting can go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.tiff import read_info
from napari_attnseg.settings import ObjectSettings

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Asked:
    """What objects are made of."""

    image: Path
    axes: str | None
    """The axes as the user knows them."""
    info: ImageInfo | None
    """The image's description, if it has been read."""
    labels: Array
    """(stack axes..., y, x): class ids, or numbers of objects."""
    numbered: Array | None
    """The class of each number, where `labels` are numbers; None where they are class ids."""
    probability: Array | None
    """(stack axes..., y, x), of the one class; None if it is not known."""
    class_names: tuple[str, ...]
    settings: ObjectSettings


@dataclass(frozen=True)
class Found:
    """The objects of one image."""

    image: Path
    labels: Array
    """(stack axes..., y, x)."""
    classes: Array
    """Class of each number; see `Objects`."""
    table: Any
    """`objects.table.Table`."""
    size_title: str
    """The title of the column of sizes."""


def find(asked: Asked, on_progress: Callable[[float], None], should_stop: Callable[[], bool]) -> Found:
    """Number the objects, where they are not numbered, and measure them.

    Raises
    ------
    AttnSegError
        The image cannot be read, or the settings do not go with it.
    Stopped
        `should_stop` returned True.
    """
    # half a second of imports, in the thread
    from napari_attnseg.objects.finding import find_objects
    from napari_attnseg.objects.geometry import Geometry
    from napari_attnseg.objects.one_image import measured
    from napari_attnseg.objects.reading import read_measured
    from napari_attnseg.objects.separate import Objects

    info = asked.info or read_info(asked.image, asked.axes)
    geometry = Geometry.of(info)
    size = (asked.labels.shape[-2], asked.labels.shape[-1])
    flat = asked.labels.reshape((-1, *size))
    if asked.numbered is not None:
        objects = Objects(flat, asked.numbered)
    else:
        classes, probability, value = flat, None, None
        if asked.probability is not None:
            probability = asked.probability.reshape((-1, 1, *size))
            value = int(flat.max(initial=0)) or 1
            classes = (flat > 0).astype(np.uint8)  # what the one class is called in the folder does not matter here
        objects = find_objects(
            classes,
            size,
            geometry,
            asked.settings,
            probability=probability,
            name=asked.image.name,
            on_progress=lambda share: on_progress(0.6 * share),
            should_stop=should_stop,
        )
        if value is not None:
            objects = replace(objects, classes=(objects.classes * value).astype(np.uint8))
    result = measured(
        objects,
        geometry,
        info,
        asked.settings,
        asked.class_names,
        read_measured(asked.image, asked.axes),
        asked.image.name.partition(".")[0],
        lambda share: on_progress(0.6 + 0.4 * share),
        should_stop,
    )
    title = next((name for name in result.table.titles if name.startswith(("Area (", "Volume ("))), "Pixels")
    return Found(asked.image, objects.labels.reshape(asked.labels.shape), objects.classes, result.table, title)


def classes_of_numbers(labels: Array, known: Array) -> Array:
    """Return the class of each number of edited labels: as it was known, the first class for new numbers."""
    largest = int(labels.max(initial=0))
    classes = np.ones(largest + 1, np.uint8)
    shared = min(largest + 1, len(known))
    classes[:shared] = known[:shared]
    classes[0] = 0
    return classes


def in_words(found: Found) -> str:
    """Say how many objects there are, and how large they are."""
    count = len(found.table)
    if not count:
        return "No objects: all of them are smaller than what is dropped."
    title = found.size_title
    kind, unit = ("size", "px") if title == "Pixels" else (title.split(" (")[0].lower(), title.split("(")[1][:-1])
    mean = float(np.mean(found.table.columns[title]))
    return f"{count} object{'s' * (count != 1)}, mean {kind} {mean:.4g} {unit}"
