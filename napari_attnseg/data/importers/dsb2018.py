"""The nuclei of the 2018 Data Science Bowl as Kaggle lays them out: a folder an image, and a PNG a nucleus.

stage1_train/<id>/images/<id>.png
stage1_train/<id>/masks/<any name>.png        255 in one nucleus, 0 elsewhere
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_attnseg.data.importers.item import Item, LeftOut, Loaded, Output, Plan
from napari_attnseg.data.importers.listing import PICTURES, child, files, folders, require_folder, wrong_layout
from napari_attnseg.data.importers.pictures import read_picture, read_values, require_size_of
from napari_attnseg.errors import DataError
from napari_attnseg.wording import counted

Array = np.ndarray[Any, Any]
Masks = Literal["binary", "instances"]


def find(source: Path, *, masks: Masks = "binary") -> Plan:
    """List the images of a folder such as `stage1_train`, or of the folder that holds it.

    Parameters
    ----------
    source
        The folder of the image folders.
    masks
        'binary': nuclei are 255. 'instances': nuclei are numbered from 1 in natural order of their files' names.

    Raises
    ------
    DataError
        The folder is missing, empty, or laid out in another way.
    """
    require_folder(source)
    root = child(source, "stage1_train") or source
    items: list[Item] = []
    left_out: list[LeftOut] = []
    unreadable: list[LeftOut] = []
    for folder in folders(root, unreadable):
        known = len(unreadable)
        places = [child(folder, name, unreadable) for name in ("images", "masks")]
        images, nuclei = (_pictures(place, unreadable) for place in places)
        if not any(places) or len(unreadable) > known:
            continue  # another folder, or one that may not be read
        if len(images) != 1:
            left_out.append(LeftOut(folder, _not_one(folder, images, nuclei)))
            continue
        load = partial(_load, folder.name, images[0], tuple(nuclei), masks)
        items.append(Item(f"{folder.name}.tiff", images[0], nuclei[0].parent if nuclei else None, load))
    if not items and not left_out:
        raise wrong_layout(source, "a folder for each image with images/<id>.png and masks/*.png in it", unreadable)
    advice = ("--mask-values instances",) if masks == "instances" else ()
    return Plan(tuple(items), (*unreadable, *left_out), advice=advice)


def _pictures(folder: Path | None, unreadable: list[LeftOut]) -> list[Path]:
    return [] if folder is None else [path for path in files(folder, unreadable) if path.suffix.lower() in PICTURES]


def _not_one(folder: Path, images: list[Path], nuclei: list[Path]) -> str:
    if images:
        return f"{folder.name} has {len(images)} images in images/ where one was expected; keep one of them."
    held = f"{counted(len(nuclei), 'mask')} but no image" if nuclei else "neither an image nor masks"
    return f"{folder.name} has {held}; images/{folder.name}.png was expected, so add it or remove the folder."


def _load(name: str, image: Path, nuclei: tuple[Path, ...], masks: Masks) -> Loaded:
    picture = read_picture(image)
    if not nuclei:
        return Loaded((Output(f"{name}.tiff", picture, None),))
    height, width = picture.pixels.shape[:2]
    if len(nuclei) >= 2**32:
        raise DataError(f"{name} has {len(nuclei)} nuclei, more than can be numbered.")
    numbers = np.zeros((1, height, width), np.uint16 if len(nuclei) < 2**16 else np.uint32)
    shared, empty = 0, 0
    for number, path in enumerate(nuclei, 1):
        values = read_values(path)
        require_size_of(path, values, image, picture)
        inside = values != 0
        shared += int(np.count_nonzero(numbers[inside]))
        empty += not inside.any()
        numbers[inside] = number
    notices = []
    if shared and masks == "instances":
        notices.append(f"{counted(shared, 'pixel')} lie in several nuclei and went to the last of them.")
    if empty:
        notices.append(f"{counted(empty, 'mask')} of a nucleus {'is' if empty == 1 else 'are'} empty.")
    mask = numbers if masks == "instances" else np.where(numbers, 255, 0).astype(np.uint8)
    return Loaded((Output(f"{name}.tiff", picture, mask),), tuple(notices))
