"""Images and masks of any folder, paired by their names."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.classes import FILE_NAME, ClassEntry, Classes, default_colour, read_classes
from napari_attnseg.data.convention import MaskConvention, Mode, decide_convention
from napari_attnseg.data.importers.item import Form, Item, LeftOut, Loaded, Plan, sliced
from napari_attnseg.data.importers.listing import NIFTIS, TIFFS, content_text, extension, require_folder, stem
from napari_attnseg.data.importers.naming import NAME, Matching, Tree, guess, match
from napari_attnseg.data.importers.nifti import read_nifti, read_nifti_mask
from napari_attnseg.data.importers.packages import require_nibabel
from napari_attnseg.data.importers.pictures import read_picture, read_values, require_size_of
from napari_attnseg.data.mask_values import MOST_LISTED, MaskValues, distinct
from napari_attnseg.errors import DataError, SettingsError
from napari_attnseg.events import EventHandler, Progress, ignore_event

Array = np.ndarray[Any, Any]

_NEW_FOREGROUND = 255
SLICES_OF_ONE = "(.*)_z[0-9]+$"
"""What slices of one stack have in common, so that they are held out together."""


@dataclass(frozen=True)
class Options:
    """How the images and masks of a folder are found and read."""

    images: str | None = None
    """Pattern of the images; see `naming`."""
    masks: str | None = None
    """Pattern of the masks, with `{name}`; None: the usual names are tried."""
    mask_values: Mode = "auto"
    """What mask values mean."""
    threshold: float | None = None
    """Grey above which a pixel of a mask is foreground."""
    form: Form = "stacks"
    """What becomes of NIfTI volumes and of TIFF stacks whose planes are Z."""
    volume: int | None = None
    """Which volume of a 4-D NIfTI, counted from 0."""


def find(
    source: Path,
    options: Options,
    *,
    on_event: EventHandler = ignore_event,
    should_stop: Callable[[], bool] = lambda: False,
) -> Plan:
    """List the images of a folder and read all masks once, to see what their values mean in the whole folder.

    One value but 0 becomes 255; greys that masks share become classes from 1 in ascending order, named in
    classes.json; numbered objects keep their numbers. See `convention` for the rules. A classes.json in `source`
    counts.

    Raises
    ------
    DataError
        The folder is missing or empty, holds no images, a package is missing, or mask values contradict each other.
    SettingsError
        The pattern of masks lacks `{name}`.
    KeyboardInterrupt
        `should_stop` said so; nothing has been written.
    """
    require_folder(source)
    if options.masks is not None and NAME not in options.masks:
        raise SettingsError(
            f"The pattern of masks '{options.masks}' does not say where the image's name goes; write it like "
            "'masks/{name}_seg.png'."
        )
    tree = Tree.of(source)
    if not tree.files:
        raise DataError(f"There are no PNG, JPEG, BMP, TIFF or NIfTI images in {source}: {content_text(source)}.")
    if any(extension(path) in NIFTIS for path in tree.files.values()):
        require_nibabel()
    matching = guess(tree, options.images) if options.masks is None else _given(tree, options)
    if not matching.pairs and not matching.unclear:
        raise DataError(_no_images(source, matching))
    if options.masks is not None and not matching.annotated and not matching.unclear:
        raise DataError(
            f"No image in {source} has a mask by the pattern '{options.masks}'; SOURCE must be a folder that holds the "
            "images and the masks. Correct --masks, or leave it out to have the usual names tried."
        )
    convention = _convention(source, matching, options, on_event, should_stop)
    top = _common_folder(image for image, _ in matching.pairs)
    items = tuple(_item(image, mask, top, options, convention) for image, mask in matching.pairs)
    unpaired = tuple(LeftOut(path, f"{path.name} is named as a mask but has no image.") for path in matching.unpaired)
    are_instances = convention is not None and convention.kind == "instances"
    advice = ["--mask-values instances"] if are_instances else []
    if any(not item.is_one_file for item in items):
        advice.append(f"--group-pattern '{SLICES_OF_ONE}'")
    classes = _classes(source, convention)
    return Plan(
        items, (*tree.twins, *matching.unclear, *unpaired), _notices(matching, convention), classes, tuple(advice)
    )


def _given(tree: Tree, options: Options) -> Matching:
    assert options.masks is not None
    return match(tree, options.images or f"{NAME}.*", options.masks)


def _no_images(source: Path, matching: Matching) -> str:
    found = f"{len(matching.unpaired)} files are named as masks" if matching.unpaired else content_text(source)
    return f"No file in {source} is an image by the pattern '{matching.images}': {found}. Correct --images or --masks."


def _notices(matching: Matching, convention: MaskConvention | None) -> tuple[str, ...]:
    if matching.masks is None:
        return (
            "No masks were found by the usual names; say where they are with --masks, such as 'masks/{name}_seg.png'.",
        )
    named = (
        "" if NAME not in matching.images or matching.images == f"{NAME}.*" else f", of the images {matching.images}"
    )
    first = f"Masks: {matching.masks}{named}; {matching.annotated} of {len(matching.pairs)} images have one."
    return (first, *(convention.notices if convention is not None else ()))


def _common_folder(images: Any) -> Path:
    folders = [str(image.parent) for image in images]
    return Path(os.path.commonpath(folders)) if folders else Path()


def _item(image: Path, mask: Path | None, top: Path, options: Options, convention: MaskConvention | None) -> Item:
    name = (image.parent.relative_to(top) / stem(image)).as_posix()
    load = partial(_load, name, image, mask, options, convention)
    is_cut = options.form == "slices" and extension(image) in (*NIFTIS, *TIFFS)
    return Item(name if is_cut else f"{name}.tiff", image, mask, load)


def _load(name: str, image: Path, mask: Path | None, options: Options, convention: MaskConvention | None) -> Loaded:
    picture = read_nifti(image, options.volume) if extension(image) in NIFTIS else read_picture(image)
    form = options.form
    whole: tuple[str, ...] = ()
    if form == "slices" and "T" in picture.axes:
        form = "stacks"
        whole = (f"{image.name} has times, the axes {picture.axes}, and was not cut; only Z stacks become slices.",)
    if mask is None or convention is None:
        return Loaded(sliced(name, f"{name}.tiff", picture, None, form), whole)
    values, notices = _values(mask, image, options)
    require_size_of(mask, values, image, picture)
    outputs = sliced(name, f"{name}.tiff", picture, _stored(values, convention, mask), form)
    return Loaded(outputs, (*notices, *whole))


def _values(mask: Path, image: Path, options: Options) -> tuple[Array, tuple[str, ...]]:
    if extension(mask) not in NIFTIS:
        return read_values(mask, options.threshold), ()
    turned_as = image if extension(image) in NIFTIS else None
    return read_nifti_mask(mask, turned_as, options.volume, options.threshold)


def _convention(
    source: Path,
    matching: Matching,
    options: Options,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
) -> MaskConvention | None:
    """Decide by the values of all masks that can be read; None if there are none."""
    survey: dict[Path, MaskValues] = {}
    pairs = [(image, mask) for image, mask in matching.pairs if mask is not None]
    for number, (image, mask) in enumerate(pairs):
        if should_stop():
            raise KeyboardInterrupt
        on_event(Progress(number / len(pairs), f"Looking at {mask.name}"))
        try:
            survey[mask] = _survey(_values(mask, image, options)[0])
        except DataError:
            continue  # it is left out with this reason when it is converted
    if not survey:
        return None if not pairs else MaskConvention("binary", {0: 0, _NEW_FOREGROUND: 1}, ("background", "foreground"))
    mode = "binary" if options.threshold is not None else options.mask_values
    try:
        return decide_convention(survey, _named_classes(source), mode)
    except DataError as error:
        raise DataError(f"{error} For an import, use --mask-values, or put classes.json into {source}.") from error


def _survey(values: Array) -> MaskValues:
    found = distinct(values)
    return MaskValues(
        tuple(int(value) for value in found[:MOST_LISTED]),
        len(found),
        values.dtype.name,
        (values.shape[0], values.shape[1], values.shape[2]),
        int(np.count_nonzero(values)),
    )


def _stored(values: Array, convention: MaskConvention, path: Path) -> Array:
    """Return what is written: 0 and 255, class ids, or the numbers of objects."""
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


def _named_classes(source: Path) -> Classes | None:
    path = source / FILE_NAME
    return read_classes(path) if path.is_file() else None


def _classes(source: Path, convention: MaskConvention | None) -> Classes | None:
    """Return what classes.json of the destination says, by the values that are written."""
    named = _named_classes(source)
    if convention is None or convention.kind == "instances" or (convention.kind == "binary" and named is None):
        return None
    foreground = _NEW_FOREGROUND if convention.kind == "binary" else 1
    colours = named.colours if named is not None and len(named) == convention.n_classes else ()
    return Classes(
        tuple(
            ClassEntry(number, name, colours[number] if colours else default_colour(number), number * foreground)
            for number, name in enumerate(convention.class_names)
        )
    )
