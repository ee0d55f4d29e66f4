"""Abdominal MRI and CT of the CHAOS challenge, as published or as NIfTI volumes.

    [MR/]<subject>/T2SPIR/DICOM_anon/*.dcm                  T2SPIR/Ground/*.png   63 liver, 126 right kidney,
    [MR/]<subject>/T1DUAL/DICOM_anon/{InPhase,OutPhase}/    T1DUAL/Ground/*.png   189 left kidney, 252 spleen
    [CT/]<subject>/DICOM_anon/*.dcm                         Ground/*.png          255 liver
    image_<subject>.nii[.gz]                                label_<subject>.nii[.gz], or other usual names

A ground PNG belongs to the slice of its own name (T1DUAL: in phase); where no name fits and there are as many PNGs as
slices, as in CT and out of phase, they belong together in the order of their names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from napari_attnseg.data.classes import ClassEntry, Classes, default_colour
from napari_attnseg.data.importers.chaos_ground import LIVER, NAMES, labels_of_volume, masks_of_slices
from napari_attnseg.data.importers.dicom import dicom_files, read_series, require_pydicom
from napari_attnseg.data.importers.item import Form, Item, LeftOut, Loaded, Plan, sliced
from napari_attnseg.data.importers.listing import (
    NIFTIS,
    child,
    natural,
    require_folder,
    stem,
    visible,
    walk,
    wrong_layout,
)
from napari_attnseg.data.importers.naming import Tree, guess
from napari_attnseg.data.importers.nifti import read_nifti, require_nibabel
from napari_attnseg.data.importers.pictures import require_size_of
from napari_attnseg.data.report import counted
from napari_attnseg.errors import DataError

Modality = Literal["t2spir", "t1in", "t1out", "ct"]
SEQUENCES: tuple[Modality, ...] = ("t2spir", "t1in", "t1out", "ct")
_PHASES: tuple[tuple[str, Modality], ...] = (("InPhase", "t1in"), ("OutPhase", "t1out"))
GROUP_PATTERN = "^chaos_([^_]+)_"
_LAYOUT = "<subject>/T2SPIR/DICOM_anon, <subject>/T1DUAL/DICOM_anon, <subject>/DICOM_anon (CT) or image_<n>.nii.gz"


@dataclass(frozen=True)
class _Series:
    subject: str
    sequence: Modality
    folder: Path
    ground: Path | None


def find(source: Path, *, form: Form = "stacks", sequence: Modality | None = None) -> Plan:
    """List the volumes of one sequence below a folder.

    Parameters
    ----------
    source
        The folder of the data set, of MR or CT, or of one subject.
    form
        'stacks': one file a subject, `chaos_10_stack.tiff`. 'slices': one a slice, `chaos_10_z07.tiff`. Other sequences
        than t2spir are named, `chaos_10_t1in_stack.tiff`.
    sequence
        Which one; None: t2spir if it is there, else the first of `SEQUENCES` that is.

    Raises
    ------
    DataError
        The folder is missing, empty or laid out in another way, has no such sequence, or a package is missing.
    """
    require_folder(source)
    series = list(_series(source))
    if series:
        require_pydicom()
        return _of_series(source, series, form, sequence)
    tree = Tree.of(source, NIFTIS)
    if tree.files:
        require_nibabel()
        return _of_volumes(tree, form, sequence)
    raise wrong_layout(source, _LAYOUT)


def _series(source: Path) -> list[_Series]:
    """Find the series by their folders `DICOM_anon`, whatever is above a subject's folder."""
    found = []
    for folder, _ in walk(source):
        if folder.name.lower() != "dicom_anon":
            continue
        parent = folder.parent
        kind = parent.resolve().name.lower()
        ground = child(parent, "Ground")
        if kind == "t1dual":
            subject = _subject(parent.resolve().parent.name)
            for name, phase in _PHASES:
                if place := child(folder, name):
                    found.append(_Series(subject, phase, place, ground))
        elif kind == "t2spir":
            found.append(_Series(_subject(parent.resolve().parent.name), "t2spir", folder, ground))
        else:
            found.append(_Series(_subject(parent.resolve().name), "ct", folder, ground))
    return found


def _subject(text: str) -> str:
    """Write a subject as in the names of files: two digits, or letters without underscores."""
    return f"{int(text):02d}" if text.isdecimal() else text.replace("_", "-")


def _of_series(source: Path, series: list[_Series], form: Form, sequence: Modality | None) -> Plan:
    present = [name for name in SEQUENCES if any(item.sequence == name for item in series)]
    wanted = sequence or present[0]
    if wanted not in present:
        raise DataError(f"{source} has no {wanted} series; it has {', '.join(present)}. Choose one with --sequence.")
    notices = []
    if sequence is None and len(present) > 1:
        notices.append(f"{wanted} is imported; {', '.join(present[1:])} can be chosen with --sequence.")
    items, left_out = [], []
    for one in series:
        if one.sequence != wanted:
            continue
        files = dicom_files(one.folder)
        if not files:
            left_out.append(LeftOut(one.folder, f"Subject {one.subject} has no DICOM files in {one.folder}."))
            continue
        name = _name(one.subject, one.sequence)
        load = partial(_load_series, name, one, tuple(files), form)
        items.append(Item(_file(name, form), one.folder, one.ground, load))
    left_out += [
        LeftOut(folder, f"{folder} holds masks, but there is no folder DICOM_anon with their images beside it.")
        for folder, _ in walk(source)
        if folder.name.lower() == "ground" and child(folder.parent, "DICOM_anon") is None
    ]
    classes = _liver_only() if wanted == "ct" else _organs()
    return Plan(tuple(items), tuple(left_out), tuple(notices), classes, (f"--group-pattern '{GROUP_PATTERN}'",))


def _load_series(name: str, one: _Series, files: Sequence[Path], form: Form) -> Loaded:
    series = read_series(list(files))
    grounds = sorted(_pngs(one.ground), key=natural)
    masks, notices = masks_of_slices(series.files, grounds, series.picture, one.sequence == "ct")
    missing = sum(mask is None for mask in masks)
    if form == "stacks" and 0 < missing < len(masks):
        notices.append(
            f"{counted(missing, 'slice')} of {len(masks)} {'has' if missing == 1 else 'have'} no mask, so that the "
            "stack is imported as not annotated; import slices (--as slices) to keep the masks of the others."
        )
    outputs = sliced(name, f"{name}_stack.tiff", series.picture, masks, form)
    return Loaded(outputs, (*series.notices, *notices))


def _pngs(folder: Path | None) -> list[Path]:
    return [] if folder is None else [path for path in visible(folder) if path.suffix.lower() == ".png"]


def _of_volumes(tree: Tree, form: Form, sequence: Modality | None) -> Plan:
    matching = guess(tree)
    items = []
    for image, mask in matching.pairs:
        digits = re.findall(r"\d+", stem(image))
        name = _name(_subject(digits[-1] if digits else stem(image)), "t2spir")
        items.append(Item(_file(name, form), image, mask, partial(_load_volume, name, image, mask, form)))
    left_out = [LeftOut(path, f"{path.name} is a mask without its image.") for path in matching.unpaired]
    notices = [] if matching.masks is None else [f"Masks are taken from {matching.masks} for images {matching.images}."]
    if sequence is not None:
        notices.append("NIfTI files do not say their sequence; all of them are imported.")
    advice = (f"--group-pattern '{GROUP_PATTERN}'",)
    return Plan(tuple(items), (*tree.twins, *matching.unclear, *left_out), tuple(notices), _organs(), advice)


def _load_volume(name: str, image: Path, mask: Path | None, form: Form) -> Loaded:
    picture = read_nifti(image)
    if mask is None:
        return Loaded(sliced(name, f"{name}_stack.tiff", picture, None, form))
    values, notices = labels_of_volume(mask, image)
    require_size_of(mask, values, image, picture)
    return Loaded(sliced(name, f"{name}_stack.tiff", picture, values, form), notices)


def _name(subject: str, sequence: Modality) -> str:
    return f"chaos_{subject}" if sequence == "t2spir" else f"chaos_{subject}_{sequence}"


def _file(name: str, form: Form) -> str:
    return f"{name}_stack.tiff" if form == "stacks" else name


def _organs() -> Classes:
    return Classes(tuple(ClassEntry(number, name, default_colour(number), number) for number, name in enumerate(NAMES)))


def _liver_only() -> Classes:
    return Classes((ClassEntry(0, NAMES[0], default_colour(0), 0), ClassEntry(1, NAMES[1], default_colour(1), LIVER)))
