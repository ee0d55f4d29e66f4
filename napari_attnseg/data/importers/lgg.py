"""Brain MRI with lower-grade glioma as Kaggle lays it out: a folder a patient, image and mask side by side.

kaggle_3m/<patient>/<patient>_<n>.tif         RGB: pre-contrast, FLAIR, post-contrast
kaggle_3m/<patient>/<patient>_<n>_mask.tif    255 in the abnormality, 0 elsewhere
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from napari_attnseg.data.importers.item import Item, LeftOut, Loaded, Output, Plan
from napari_attnseg.data.importers.listing import (
    TIFFS,
    child,
    extension,
    require_folder,
    stem,
    walk,
    wrong_layout,
)
from napari_attnseg.data.importers.others import not_read
from napari_attnseg.data.importers.pictures import read_picture, read_values, require_size_of
from napari_attnseg.data.report import names_text
from napari_attnseg.errors import DataError
from napari_attnseg.wording import counted

GROUP_PATTERN = "^(.+)_[0-9]+$"
_MASK = "_mask"
_NUMBERED = re.compile(GROUP_PATTERN)


def find(source: Path) -> Plan:
    """List the slices of all patients in `kaggle_3m`, in the folder that holds it, or of one patient's folder.

    Names are kept and all go into one folder; the mask of `<patient>_<n>.tif` becomes `<patient>_<n>_MASK.tif`. A
    patient's folder may be called otherwise than its files.

    Raises
    ------
    DataError
        The folder is missing, empty, or laid out in another way.
    """
    require_folder(source)
    left_out: list[LeftOut] = []
    patients: list[list[Path]] = []
    others: list[Path] = []
    unlike: list[LeftOut] = []
    for folder, files in walk(_root(source), left_out):
        tiffs = [path for path in files if extension(path) in TIFFS]
        others += [path for path in files if extension(path) not in TIFFS]
        if _is_patient(folder, tiffs):
            patients.append(tiffs)
        elif tiffs:
            unlike.append(LeftOut(folder, _unlike(folder, tiffs), files=len(tiffs)))
    if not patients:
        wanted = "a folder for each patient with <patient>_<n>.tif and <patient>_<n>_mask.tif in it"
        raise wrong_layout(source, wanted, left_out)
    items = []
    for tiffs in patients:
        masks = {stem(path).lower()[: -len(_MASK)]: path for path in tiffs if is_mask(path)}
        images = [path for path in tiffs if path not in masks.values()]
        for image in images:
            mask = masks.pop(stem(image).lower(), None)
            items.append(Item(image.name, image, mask, partial(_load, image, mask)))
        left_out += [
            LeftOut(path, f"{path.name} is a mask without its image; {stem(path)[: -len(_MASK)]}.tif was expected.")
            for path in masks.values()
        ]
    left_out += [*unlike, *not_read(others, "Images and masks here are TIFF")]
    return Plan(tuple(items), tuple(left_out), advice=(f"--group-pattern '{GROUP_PATTERN}'",))


def is_mask(path: Path) -> bool:
    """Whether a file is named as a mask."""
    return stem(path).lower().endswith(_MASK)


def is_of_patient(path: Path, folder: Path) -> bool:
    """Whether an image or a mask is named after its folder and numbered, `<folder>_<n>.tif`."""
    rest = stem(path).lower().removesuffix(_MASK).removeprefix(f"{folder.resolve().name.lower()}_")
    return rest.isdecimal()


def _root(source: Path) -> Path:
    """Return the folder of the patients; the published archive holds it twice, once in another folder."""
    for place in (source, child(source, "lgg-mri-segmentation")):
        found = child(place, "kaggle_3m") if place else None
        if found:
            return found
    return source


def _is_patient(folder: Path, tiffs: list[Path]) -> bool:
    """Whether files are named after their folder, or numbered masks have their images."""
    if any(is_of_patient(path, folder) for path in tiffs):
        return True
    images = {stem(path).lower() for path in tiffs if not is_mask(path)}
    masked = {stem(path).lower().removesuffix(_MASK) for path in tiffs if is_mask(path)}
    return any(_NUMBERED.fullmatch(name) for name in images & masked)


def _unlike(folder: Path, tiffs: list[Path]) -> str:
    plural = "is" if len(tiffs) == 1 else "are"
    return (
        f"{counted(len(tiffs), 'TIFF file')} in {folder.name} ({names_text(tiffs)}) {plural} not named as slices of a "
        "patient with their masks, <patient>_<n>.tif and <patient>_<n>_mask.tif; rename them, or import them with: "
        "napari-attnseg import folder."
    )


def _load(image: Path, mask: Path | None) -> Loaded:
    picture = read_picture(image)
    if mask is None:
        return Loaded((Output(image.name, picture, None),))
    values = read_values(mask)
    require_size_of(mask, values, image, picture)
    found = [int(value) for value in np.unique(values) if value]
    if len(found) > 1:
        raise DataError(f"The mask {mask.name} holds the values {found}; 0 and one other were expected ({mask}).")
    return Loaded((Output(image.name, picture, np.where(values, 255, 0).astype(np.uint8)),))
