"""Abdominal MRI and CT of the CHAOS challenge, as published or as NIfTI volumes.

    [MR/]<subject>/T2SPIR/DICOM_anon/*.dcm                  T2SPIR/Ground/*.png   63 liver, 126 right kidney,
    [MR/]<subject>/T1DUAL/DICOM_anon/{InPhase,OutPhase}/    T1DUAL/Ground/*.png   189 left kidney, 252 spleen
    [CT/]<subject>/DICOM_anon/*.dcm                         Ground/*.png          255 liver
    image_<subject>.nii[.gz]                                label_<subject>.nii[.gz], or other usual names, the same
                                                            values (CT with sequence 'ct') or classes 0 to 4

Masks with 80, 160, 240 and 255 for the four organs are read too; see `chaos_greys`.

A ground PNG belongs to the slice of its own name (T1DUAL: in phase); where no name fits and there are as many PNGs as
slices, as in CT and out of phase, they belong together in the order of their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari_attnseg.data.importers.chaos_greys import Greys, decide_greys
from napari_attnseg.data.importers.chaos_ground import classes_of, masks_of_slices, meaning_of, values_of_slices
from napari_attnseg.data.importers.chaos_names import GROUP_PATTERN, Modality, file_of, name_of, subject_text
from napari_attnseg.data.importers.chaos_volumes import find_volumes
from napari_attnseg.data.importers.dicom import dicom_files, read_series
from napari_attnseg.data.importers.item import Form, Item, LeftOut, Loaded, Plan, sliced
from napari_attnseg.data.importers.listing import (
    NIFTIS,
    child,
    files,
    require_folder,
    walk,
    wrong_layout,
)
from napari_attnseg.data.importers.meaning import Before
from napari_attnseg.data.importers.naming import Tree
from napari_attnseg.data.importers.packages import require_nibabel, require_pydicom
from napari_attnseg.errors import DataError
from napari_attnseg.events import EventHandler, Progress, ignore_event
from napari_attnseg.wording import counted

SEQUENCES: tuple[Modality, ...] = ("t2spir", "t1in", "t1out", "ct")
_PHASES: tuple[tuple[str, Modality], ...] = (("InPhase", "t1in"), ("OutPhase", "t1out"))
_NOTHING_YET = Before()
_LAYOUT = "<subject>/T2SPIR/DICOM_anon, <subject>/T1DUAL/DICOM_anon, <subject>/DICOM_anon (CT) or image_<n>.nii.gz"


@dataclass(frozen=True)
class _Series:
    subject: str
    sequence: Modality
    folder: Path
    ground: Path | None


def find(
    source: Path,
    *,
    form: Form = "stacks",
    sequence: Modality | None = None,
    volume: int | None = None,
    before: Before = _NOTHING_YET,
    on_event: EventHandler = ignore_event,
    should_stop: Callable[[], bool] = lambda: False,
) -> Plan:
    """List the volumes of one sequence below a folder.

    Parameters
    ----------
    source
        The folder of the data set, of MR or CT, or of one subject.
    form
        'stacks': one file a subject, `chaos_10_stack.tiff`. 'slices': one a slice, `chaos_10_z07.tiff`. Other sequences
        than t2spir are named, `chaos_10_t1in_stack.tiff`.
    sequence
        Which one; None: t2spir if it is there, else the first of `SEQUENCES` that is. NIfTI files do not say theirs:
        'ct' takes every value of their masks but 0 for liver, any other name or None takes them for MR.
    volume
        Which volume of a 4-D NIfTI, counted from 0.
    before
        What was imported before, and keeps its names and what its greys mean.
    on_event
        Receives `Progress` while masks are looked through.
    should_stop
        Asked before each of them.

    Raises
    ------
    DataError
        The folder is missing, empty or laid out in another way, has no such sequence, or a package is missing; or no
        sequence was given for NIfTI masks that hold only 0 and 255, as they do in CT; or see `decide_greys`.
    KeyboardInterrupt
        `should_stop` said so; nothing has been written.
    """
    require_folder(source)
    unreadable: list[LeftOut] = []
    folders = [folder for folder, _ in walk(source, unreadable)]
    series = _series(folders)
    if series:
        require_pydicom()
        left_out = [*unreadable, *_without_images(folders)]
        wanted, notices = _sequence(source, series, sequence)
        series = [
            one for one in series if one.sequence == wanted and all(one.folder != item.source for item in left_out)
        ]
        greys = None
        if wanted != "ct":
            greys, told = decide_greys(_survey(series, on_event, should_stop), before)
            notices += told
        return _of_series(series, left_out, notices, form, greys)
    tree = Tree.of(source, NIFTIS)
    if tree.files:
        require_nibabel()
        return find_volumes(tree, form, sequence, volume, before, on_event, should_stop)
    raise wrong_layout(source, _LAYOUT, unreadable)


def _series(folders: Sequence[Path]) -> list[_Series]:
    """Find the series by their folders `DICOM_anon`, whatever is above a subject's folder."""
    found = []
    for folder in folders:
        if folder.name.lower() != "dicom_anon":
            continue
        parent = folder.parent
        kind = parent.resolve().name.lower()
        ground = child(parent, "Ground")
        if kind == "t1dual":
            subject = subject_text(parent.resolve().parent.name)
            for name, phase in _PHASES:
                if place := child(folder, name):
                    found.append(_Series(subject, phase, place, ground))
        elif kind == "t2spir":
            found.append(_Series(subject_text(parent.resolve().parent.name), "t2spir", folder, ground))
        else:
            found.append(_Series(subject_text(parent.resolve().name), "ct", folder, ground))
    return found


def _without_images(folders: Sequence[Path]) -> list[LeftOut]:
    return [
        LeftOut(folder, f"{folder} holds masks, but there is no folder DICOM_anon with their images beside it.")
        for folder in folders
        if folder.name.lower() == "ground" and child(folder.parent, "DICOM_anon") is None
    ]


def _sequence(source: Path, series: list[_Series], sequence: Modality | None) -> tuple[Modality, list[str]]:
    """Say which sequence is imported, with sentences for the user."""
    present = [name for name in SEQUENCES if any(item.sequence == name for item in series)]
    wanted = sequence or present[0]
    if wanted not in present:
        raise DataError(f"{source} has no {wanted} series; it has {', '.join(present)}. Choose one with --sequence.")
    if sequence is None and len(present) > 1:
        return wanted, [f"{wanted} is imported; {', '.join(present[1:])} can be chosen with --sequence."]
    return wanted, []


def _survey(series: Sequence[_Series], on_event: EventHandler, should_stop: Callable[[], bool]) -> dict[Path, set[int]]:
    """Return the values of the masks of each series, but of those whose masks cannot be read."""
    found = {}
    for number, one in enumerate(series):
        if should_stop():
            raise KeyboardInterrupt
        if one.ground is None:
            continue
        on_event(Progress(number / len(series), f"Looking at the masks of subject {one.subject}"))
        try:
            found[one.ground] = values_of_slices(dicom_files(one.folder), _pngs(one.ground))
        except DataError:
            continue  # it is left out with this reason when it is converted
    return found


def _of_series(
    series: Sequence[_Series], left_out: list[LeftOut], notices: list[str], form: Form, greys: Greys | None
) -> Plan:
    """List series of one sequence; `greys` is None for CT."""
    items = []
    for one in series:
        slices = dicom_files(one.folder)
        if not slices:
            left_out.append(LeftOut(one.folder, f"Subject {one.subject} has no DICOM files in {one.folder}."))
            continue
        name = name_of(one.subject, one.sequence)
        load = partial(_load_series, name, one, tuple(slices), form, greys)
        items.append(Item(file_of(name, form), one.folder, one.ground, load))
    if items and not any(map(_may_have_pngs, [item.mask for item in items])):
        notices.append(
            "No series has masks, PNGs in a folder Ground beside DICOM_anon; all are imported to be painted on."
        )
    classes, meaning = classes_of(is_ct=greys is None), meaning_of(greys)
    return Plan(
        tuple(items), tuple(left_out), tuple(notices), classes, meaning, (f"--group-pattern '{GROUP_PATTERN}'",)
    )


def _load_series(name: str, one: _Series, files: Sequence[Path], form: Form, greys: Greys | None) -> Loaded:
    series = read_series(list(files))
    masks, notices = masks_of_slices(series.files, _pngs(one.ground), series.picture, greys)
    missing = sum(mask is None for mask in masks)
    if form == "stacks" and 0 < missing < len(masks):
        notices.append(
            f"{counted(missing, 'slice')} of {len(masks)} {'has' if missing == 1 else 'have'} no mask, so that the "
            "stack is imported as not annotated; import slices (--as slices) to keep the masks of the others."
        )
    outputs = sliced(name, f"{name}_stack.tiff", series.picture, masks, form)
    return Loaded(outputs, (*series.notices, *notices))


def _pngs(folder: Path | None) -> list[Path]:
    return [] if folder is None else [path for path in files(folder) if path.suffix.lower() == ".png"]


def _may_have_pngs(folder: Path | None) -> bool:
    try:
        return bool(_pngs(folder))
    except DataError:
        return True  # nobody may look; its series is left out with this reason
