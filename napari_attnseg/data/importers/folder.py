"""Images and masks of any folder, paired by their names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from napari_attnseg.data.importers.folder_masks import Reading, classes_of, read_mask, survey
from napari_attnseg.data.importers.folder_options import Options
from napari_attnseg.data.importers.item import Item, LeftOut, Loaded, Plan, sliced
from napari_attnseg.data.importers.listing import NIFTIS, TIFFS, content_text, extension, require_folder
from napari_attnseg.data.importers.meaning import Before
from napari_attnseg.data.importers.naming import NAME, Matching, Tree, guess, look_like_masks, match
from napari_attnseg.data.importers.nifti import read_nifti
from napari_attnseg.data.importers.other_layouts import other_layouts
from napari_attnseg.data.importers.others import not_read
from napari_attnseg.data.importers.packages import require_nibabel
from napari_attnseg.data.importers.pictures import read_picture, require_size_of
from napari_attnseg.data.importers.subjects import IMAGES_OF_ONE, SLICES_OF_ONE, Names, names_of
from napari_attnseg.data.report import names_text
from napari_attnseg.errors import DataError, SettingsError
from napari_attnseg.events import EventHandler, ignore_event

__all__ = ["Options", "find"]

_NOTHING_YET = Before()


def find(
    source: Path,
    options: Options,
    *,
    before: Before = _NOTHING_YET,
    on_event: EventHandler = ignore_event,
    should_stop: Callable[[], bool] = lambda: False,
) -> Plan:
    """List the images of a folder and read all masks once, to see what their values mean in the whole folder.

    One value but 0 becomes 255; greys that masks share become classes from 1 in ascending order, named in
    classes.json; numbered objects keep their numbers. See `convention` for the rules. A classes.json in `source`
    counts. What was imported `before` keeps its name and its classes.

    Raises
    ------
    DataError
        The folder is missing or empty, holds no images, a package is missing, or mask values or palettes contradict
        each other.
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
    if not tree.files and tree.unreadable:
        raise DataError(tree.unreadable[0].reason)
    others = not_read(tree.others)
    elsewhere = other_layouts(source, [*tree.files.values(), *tree.others])
    if not tree.files:
        raise DataError(_nothing_to_read(source, others, elsewhere))
    if any(extension(path) in NIFTIS for path in tree.files.values()):
        require_nibabel()
    matching = _matched(tree, options, elsewhere)
    reading = survey(source, matching, options, before, on_event, should_stop)
    named = _named(source, [image for image, _ in matching.pairs], options, before)
    items = tuple(
        _item(name, image, mask, options, reading)
        for name, (image, mask) in zip(named.names, matching.pairs, strict=True)
    )
    return Plan(
        items,
        (*tree.unreadable, *tree.twins, *_left_out(matching), *others),
        (*elsewhere, *_notices(matching, look_like_masks(tree, matching), reading)),
        None if reading is None else classes_of(source, reading.convention),
        None if reading is None else reading.meaning,
        _advice(items, named, reading),
    )


def _matched(tree: Tree, options: Options, elsewhere: Sequence[str]) -> Matching:
    """Pair images and masks; refuse what is no way to pair them. `elsewhere` names importers that know how."""
    if options.masks is None:
        matching = guess(tree, options.images)
    else:
        matching = match(tree, options.images or f"{NAME}.*", options.masks)
    if not matching.pairs and not matching.unclear:
        raise DataError(_no_images(tree.root, matching))
    if options.masks is not None and not matching.annotated and not matching.unclear:
        raise DataError(
            f"No image in {tree.root} has a mask by the pattern '{options.masks}'; SOURCE must be a folder that holds "
            "the images and the masks. Correct --masks, or leave it out to have the usual names tried."
        )
    mask_like = look_like_masks(tree, matching)
    if elsewhere and mask_like and matching.masks is None and options.images is None:
        raise DataError(
            f"{' '.join(elsewhere)} As any folder, masks would become images ({names_text(mask_like)}); if they are no "
            "masks, say which files are images with --images."
        )
    return matching


def _left_out(matching: Matching) -> tuple[LeftOut, ...]:
    unpaired = (LeftOut(path, f"{path.name} is named as a mask but has no image.") for path in matching.unpaired)
    skipped = (
        LeftOut(path, f"{path.name} is no image by the pattern '{matching.images}'.", files=0)
        for path in matching.skipped
    )
    return (*matching.unclear, *unpaired, *skipped)


def _nothing_to_read(source: Path, others: Sequence[LeftOut], elsewhere: Sequence[str]) -> str:
    reasons = elsewhere or [row.reason for row in others if row.files]
    told = f"There are no PNG, JPEG, BMP, TIFF or NIfTI images in {source}: {content_text(source)}."
    return " ".join((told, *reasons))


def _no_images(source: Path, matching: Matching) -> str:
    found = f"{len(matching.unpaired)} files are named as masks" if matching.unpaired else content_text(source)
    return f"No file in {source} is an image by the pattern '{matching.images}': {found}. Correct --images or --masks."


def _named(source: Path, images: list[Path], options: Options, before: Before) -> Names:
    top = Path(os.path.commonpath([image.parent for image in images])) if images else source
    are_volumes = options.form == "slices" or any(extension(image) in NIFTIS for image in images)
    kept = {source / path: name for path, name in before.names.items()}
    return names_of(images, top, are_volumes=are_volumes, kept=kept)


def _advice(items: tuple[Item, ...], named: Names, reading: Reading | None) -> tuple[str, ...]:
    advice = []
    if reading is not None and reading.convention.kind == "instances":
        advice.append("--mask-values instances")
    if named.are_of_subjects:
        advice.append(f"--group-pattern '{IMAGES_OF_ONE}'")
    elif any(not item.is_one_file for item in items):
        advice.append(f"--group-pattern '{SLICES_OF_ONE}'")
    return tuple(advice)


def _notices(matching: Matching, mask_like: Sequence[Path], reading: Reading | None) -> tuple[str, ...]:
    unpaired = (
        f"Named as masks but found with no image, and so imported as images: {names_text(mask_like)}. If they are "
        "masks, say how they are named with --masks.",
    )
    rest = unpaired if mask_like else ()
    if matching.masks is None:
        return (
            "No masks were found by the usual names; say where they are with --masks, such as 'masks/{name}_seg.png'.",
            *rest,
        )
    named = (
        "" if NAME not in matching.images or matching.images == f"{NAME}.*" else f", of the images {matching.images}"
    )
    first = f"Masks: {matching.masks}{named}; {matching.annotated} of {len(matching.pairs)} images have one."
    read = () if reading is None else (*reading.convention.notices, *reading.notices.values(), *reading.hints)
    return (first, *read, *rest)


def _item(name: str, image: Path, mask: Path | None, options: Options, reading: Reading | None) -> Item:
    load = partial(_load, name, image, mask, options, reading)
    is_cut = options.form == "slices" and extension(image) in (*NIFTIS, *TIFFS)
    return Item(name if is_cut else f"{name}.tiff", image, mask, load)


def _load(name: str, image: Path, mask: Path | None, options: Options, reading: Reading | None) -> Loaded:
    picture = read_nifti(image, options.volume) if extension(image) in NIFTIS else read_picture(image)
    form = options.form
    whole: tuple[str, ...] = ()
    if form == "slices" and "T" in picture.axes:
        form = "stacks"
        whole = (f"{image.name} has times, the axes {picture.axes}, and was not cut; only Z stacks become slices.",)
    if mask is None or reading is None:
        return Loaded(sliced(name, f"{name}.tiff", picture, None, form), whole)
    values, notices = read_mask(mask, image, options, reading)
    require_size_of(mask, values, image, picture)
    return Loaded(sliced(name, f"{name}.tiff", picture, values, form), (*notices, *whole))
