"""The nuclei of the 2018 Data Science Bowl as Kaggle lays them out: a folder an image, and a PNG a nucleus.

stage1_train/<id>/images/<id>.png
stage1_train/<id>/masks/<any name>.png        255 in one nucleus, 0 elsewhere; TIFF and BMP are read too
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_attnseg.data.importers.item import Item, LeftOut, Loaded, Output, Plan
from napari_attnseg.data.importers.listing import (
    PICTURES,
    TIFFS,
    child,
    extension,
    files,
    folders,
    require_folder,
    wrong_layout,
)
from napari_attnseg.data.importers.others import is_side_file, not_read
from napari_attnseg.data.importers.pictures import read_picture, read_values, require_size_of
from napari_attnseg.data.report import names_text
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
    unreadable: list[LeftOut] = []
    others = files(root, unreadable)
    found = [_found(folder, masks, others, unreadable) for folder in folders(root, unreadable)]
    items = tuple(one for one in found if isinstance(one, Item))
    left_out = [one for one in found if isinstance(one, LeftOut)]
    if not items and all(one.files == 0 for one in left_out):
        raise wrong_layout(source, "a folder for each image with images/<id>.png and masks/*.png in it", unreadable)
    advice = ("--mask-values instances",) if masks == "instances" else ()
    rest = not_read(others, "An image is read from its folder images/")
    return Plan(items, (*unreadable, *left_out, *rest), advice=advice)


def _found(folder: Path, masks: Masks, others: list[Path], unreadable: list[LeftOut]) -> Item | LeftOut | None:
    """Return what a folder holds; None if it may not be read. Its other files go to `others`."""
    known = len(unreadable)
    places = [child(folder, name, unreadable) for name in ("images", "masks")]
    inner = [[] if place is None else files(place, unreadable) for place in places]
    if len(unreadable) > known:
        return None
    if not any(places):
        return LeftOut(folder, f"{folder.name} has no folder images/ and no folder masks/, as an image's has.", files=0)
    images, nuclei = ([path for path in listed if extension(path) in (*PICTURES, *TIFFS)] for listed in inner)
    unread = [path for path in inner[1] if path not in nuclei and not is_side_file(path)]
    others += [path for path in (*files(folder), *inner[0], *inner[1]) if path not in (*images, *nuclei, *unread)]
    if len(images) != 1:
        return LeftOut(folder, _not_one(folder, images, nuclei))
    if unread:
        return LeftOut(images[0], _unread(folder, unread))
    load = partial(_load, folder.name, images[0], tuple(nuclei), masks)
    return Item(f"{folder.name}.tiff", images[0], nuclei[0].parent if nuclei else None, load)


def _unread(folder: Path, files: list[Path]) -> str:
    them = "it" if len(files) == 1 else "them"
    return (
        f"{folder.name} has {counted(len(files), 'file')} in masks/ that cannot be read, {names_text(files)}, so that "
        f"its mask would lack nuclei; save {them} as PNG or TIFF, or remove {them}."
    )


def _not_one(folder: Path, images: list[Path], nuclei: list[Path]) -> str:
    if images:
        return f"{folder.name} has {len(images)} images in images/ where one was expected; keep one of them."
    held = f"{counted(len(nuclei), 'mask')} but no image" if nuclei else "neither an image nor masks"
    return f"{folder.name} has {held}; images/{folder.name}.png was expected, so add it or remove the folder."


def _load(name: str, image: Path, nuclei: tuple[Path, ...], masks: Masks) -> Loaded:
    picture = read_picture(image)
    if not nuclei:
        return Loaded((Output(f"{name}.tiff", picture, None),))
    info = picture.info(image)
    if len(nuclei) >= 2**32:
        raise DataError(f"{name} has {len(nuclei)} nuclei, more than can be numbered.")
    numbers = np.zeros((info.n_planes, info.height, info.width), np.uint16 if len(nuclei) < 2**16 else np.uint32)
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
