"""What the values of a folder's masks mean, and what is written for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.classes import FILE_NAME, ClassEntry, Classes, default_colour, read_classes
from napari_attnseg.data.convention import MaskConvention, Mode, decide_convention
from napari_attnseg.data.importers.folder_options import Options
from napari_attnseg.data.importers.listing import NIFTIS, extension
from napari_attnseg.data.importers.meaning import NOTHING, Before, continued
from napari_attnseg.data.importers.naming import Matching
from napari_attnseg.data.importers.nifti import read_nifti_mask
from napari_attnseg.data.importers.palettes import Palette, are_greys, palettes_text
from napari_attnseg.data.importers.pictures import StoredMask, read_stored, read_values
from napari_attnseg.data.importers.soft_edges import Edges, edges_of, hint_of
from napari_attnseg.data.mask_values import MOST_LISTED, MaskValues, distinct
from napari_attnseg.errors import DataError
from napari_attnseg.events import EventHandler, Progress

Array = np.ndarray[Any, Any]

_NEW_FOREGROUND = 255
_UNREAD = MaskConvention("binary", {0: 0, _NEW_FOREGROUND: 1}, ("background", "foreground"))


@dataclass(frozen=True)
class Reading:
    """How the masks of a folder are read."""

    convention: MaskConvention
    meaning: MaskConvention | None = None
    """What a repeated import goes by; None where no mask could be read."""
    by_greys: bool = True
    """Whether of masks with a palette the greys are the values, not the numbers of their colours."""
    notices: Mapping[Path, str] = field(default_factory=dict)
    """What the report says of a mask, for all that are alike."""
    hints: tuple[str, ...] = ()
    """What may be wrong with how the masks are read, a sentence each."""


def survey(
    source: Path,
    matching: Matching,
    options: Options,
    before: Before,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
) -> Reading | None:
    """Look at all masks that can be read, and decide what their values mean; None if there are no masks.

    Raises
    ------
    DataError
        Values contradict each other or the options, or palettes differ.
    KeyboardInterrupt
        `should_stop` said so.
    """
    pairs = [(image, mask) for image, mask in matching.pairs if mask is not None]
    seen: dict[Path, tuple[MaskValues, MaskValues]] = {}
    palettes: dict[Path, Palette] = {}
    edges = Edges()
    for number, (image, path) in enumerate(pairs):
        if should_stop():
            raise KeyboardInterrupt
        on_event(Progress(number / len(pairs), f"Looking at {path.name}"))
        try:
            mask, _ = _read(path, image, options)
        except DataError:
            continue  # it is left out with this reason when it is converted
        numbers = greys = _described(mask.numbers)
        if mask.palette is not None:
            palettes[path] = mask.palette
        if mask.palette is not None and mask.palette.is_grey:
            greys = _described(mask.values(True))
        if mask.palette is None or mask.palette.is_grey:
            edges += edges_of(mask.values(True))
        seen[path] = (numbers, greys)
    if not seen:
        return Reading(_UNREAD) if pairs else None
    mode = "binary" if options.threshold is not None else options.mask_values
    by_greys = are_greys(palettes, only_background=mode in ("binary", "instances"))
    values = {path: greys if by_greys else numbers for path, (numbers, greys) in seen.items()}
    text = palettes_text(palettes, by_greys) if palettes else ""
    reading = _decided(source, values, mode, before, by_greys, {next(iter(palettes)): text} if text else {})
    if mode != "auto" or reading.convention.kind == "binary" or named_classes(source) is not None:
        return reading
    return _looked_at_edges(reading, edges, before)


def _decided(
    source: Path,
    values: dict[Path, MaskValues],
    mode: Mode,
    before: Before,
    by_greys: bool,
    notices: dict[Path, str],
) -> Reading:
    named = named_classes(source)
    found = {value for item in values.values() for value in item.non_zero}
    try:
        decide = partial(decide_convention, values, named, mode)
        convention = continued(before, found, decide, named is not None)
    except DataError as error:
        raise DataError(f"{error} For an import, use --mask-values, or put classes.json into {source}.") from error
    return Reading(convention, convention if found else NOTHING, by_greys, notices)


def _looked_at_edges(reading: Reading, edges: Edges, before: Before) -> Reading:
    """Refuse soft edges that would become classes or objects, or say that they may be some.

    What was imported like that before goes on as it began.
    """
    if not edges.may_be_soft:
        return reading
    if edges.are_soft and not before.has_masks:
        kind = reading.convention.kind
        read_as = "classes" if kind == "classes" else "numbered objects"
        raise DataError(
            f"The greys of the masks would be read as {read_as}. {hint_of(edges)}. If they are {read_as} all the same, "
            f"say so with --mask-values {kind}."
        )
    return replace(reading, hints=(f"{hint_of(edges)} into another folder.",))


def read_mask(mask: Path, image: Path, options: Options, reading: Reading) -> tuple[Array, tuple[str, ...]]:
    """Return what is written for a mask: 0 and 255, class ids, or the numbers of objects; and sentences for the user.

    Raises
    ------
    DataError
        It cannot be read, or holds a value that is no class.
    """
    stored, notices = _read(mask, image, options)
    known = (reading.notices[mask],) if mask in reading.notices else ()
    return _written(stored.values(reading.by_greys), reading.convention, mask), (*known, *notices)


def named_classes(source: Path) -> Classes | None:
    """Read classes.json in the source, if it is there."""
    path = source / FILE_NAME
    return read_classes(path) if path.is_file() else None


def classes_of(source: Path, convention: MaskConvention) -> Classes | None:
    """Return what classes.json of the destination says, by the values that are written."""
    named = named_classes(source)
    if convention.kind == "instances" or (convention.kind == "binary" and named is None):
        return None
    foreground = _NEW_FOREGROUND if convention.kind == "binary" else 1
    colours = named.colours if named is not None and len(named) == convention.n_classes else ()
    return Classes(
        tuple(
            ClassEntry(number, name, colours[number] if colours else default_colour(number), number * foreground)
            for number, name in enumerate(convention.class_names)
        )
    )


def _read(mask: Path, image: Path, options: Options) -> tuple[StoredMask, tuple[str, ...]]:
    if extension(mask) in NIFTIS:
        turned_as = image if extension(image) in NIFTIS else None
        values, notices = read_nifti_mask(mask, turned_as, options.volume, options.threshold)
        return StoredMask(values), notices
    if options.threshold is not None:
        return StoredMask(read_values(mask, options.threshold)), ()
    return read_stored(mask), ()


def _described(values: Array) -> MaskValues:
    found = distinct(values)
    return MaskValues(
        tuple(int(value) for value in found[:MOST_LISTED]),
        len(found),
        values.dtype.name,
        (values.shape[0], values.shape[1], values.shape[2]),
        int(np.count_nonzero(values)),
    )


def _written(values: Array, convention: MaskConvention, path: Path) -> Array:
    if convention.kind == "instances":
        largest = int(values.max(initial=0))
        return values.astype(np.uint16 if largest < 2**16 else np.uint32)
    if convention.kind == "binary":
        return np.where(values, _NEW_FOREGROUND, 0).astype(np.uint8)
    ids = np.zeros(values.shape, np.uint8)
    for value in distinct(values).tolist():
        if value not in convention.values:
            raise DataError(f"The mask {path.name} holds the value {value}, which is no class ({path}).")
        ids[values == value] = convention.values[value]
    return ids
