"""Brain MRI with lower-grade glioma as Kaggle lays it out: a folder a patient, image and mask side by side.

kaggle_3m/<patient>/<patient>_<n>.tif         RGB: pre-contrast, FLAIR, post-contrast
kaggle_3m/<patient>/<patient>_<n>_mask.tif    255 in the abnormality, 0 elsewhere
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from napari_attnseg.data.importers.item import Item, LeftOut, Loaded, Output, Plan
from napari_attnseg.data.importers.listing import (
    TIFFS,
    child,
    extension,
    files,
    folders,
    require_folder,
    stem,
    wrong_layout,
)
from napari_attnseg.data.importers.pictures import read_picture, read_values, require_size_of
from napari_attnseg.errors import DataError

GROUP_PATTERN = "^(.+)_[0-9]+$"
_MASK = "_mask"


def find(source: Path) -> Plan:
    """List the slices of all patients in `kaggle_3m`, in the folder that holds it, or of one patient's folder.

    Names are kept and all go into one folder; the mask of `<patient>_<n>.tif` becomes `<patient>_<n>_MASK.tif`.

    Raises
    ------
    DataError
        The folder is missing, empty, or laid out in another way.
    """
    require_folder(source)
    left_out: list[LeftOut] = []
    patients = _patients(_root(source), left_out)
    if not patients:
        wanted = "a folder for each patient with <patient>_<n>.tif and <patient>_<n>_mask.tif in it"
        raise wrong_layout(source, wanted, left_out)
    items = []
    for tiffs in patients:
        masks = {stem(path).lower()[: -len(_MASK)]: path for path in tiffs if stem(path).lower().endswith(_MASK)}
        images = [path for path in tiffs if path not in masks.values()]
        for image in images:
            mask = masks.pop(stem(image).lower(), None)
            items.append(Item(image.name, image, mask, partial(_load, image, mask)))
        left_out += [
            LeftOut(path, f"{path.name} is a mask without its image; {stem(path)[: -len(_MASK)]}.tif was expected.")
            for path in masks.values()
        ]
    return Plan(tuple(items), tuple(left_out), advice=(f"--group-pattern '{GROUP_PATTERN}'",))


def _root(source: Path) -> Path:
    """Return the folder of the patients; the published archive holds it twice, once in another folder."""
    for place in (source, child(source, "lgg-mri-segmentation")):
        found = child(place, "kaggle_3m") if place else None
        if found:
            return found
    return source


def _patients(root: Path, unreadable: list[LeftOut]) -> list[list[Path]]:
    """Return the TIFF files of each patient."""
    tiffs = {folder: _tiffs(folder, unreadable) for folder in (root, *folders(root, unreadable))}
    return [found for folder, found in tiffs.items() if any(_belongs(path, folder) for path in found)]


def _tiffs(folder: Path, unreadable: list[LeftOut]) -> list[Path]:
    return [path for path in files(folder, unreadable) if extension(path) in TIFFS]


def _belongs(path: Path, patient: Path) -> bool:
    rest = stem(path).lower().removesuffix(_MASK).removeprefix(f"{patient.resolve().name.lower()}_")
    return rest.isdecimal()


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
