"""The masks of the CHAOS challenge: which belongs to which slice, and what is written for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.classes import ClassEntry, Classes, default_colour
from napari_attnseg.data.convention import MaskConvention, values_text
from napari_attnseg.data.importers.chaos_greys import NAMES, Greys, meaning_of_greys, organs, refusal
from napari_attnseg.data.importers.item import Picture
from napari_attnseg.data.importers.listing import natural
from napari_attnseg.data.importers.nifti import read_nifti_mask
from napari_attnseg.data.importers.pictures import read_together, require_size_of
from napari_attnseg.data.mask_values import distinct
from napari_attnseg.data.report import names_text
from napari_attnseg.errors import DataError
from napari_attnseg.wording import counted

Array = np.ndarray[Any, Any]

LIVER = 255
"""What the masks of CT hold."""


def masks_of_slices(
    slices: Sequence[Path], grounds: Sequence[Path], picture: Picture, greys: Greys | None
) -> tuple[list[Array | None], list[str]]:
    """Read the ground PNG of each slice.

    Parameters
    ----------
    slices
        The DICOM file of each plane of `picture`.
    grounds
        PNG files in natural order of their names.
    picture
        The volume, ZYX.
    greys
        What becomes the classes 1 to 4; None for CT: every value but 0 is liver, and becomes 255.

    Returns
    -------
    tuple
        A mask uint8 (y, x) for each plane, or None, and sentences for the user.

    Raises
    ------
    DataError
        A PNG is damaged, of another size than its slice, or holds a grey without a meaning, or palettes differ, or
        several greys of the slices would be one organ.
    """
    found, notices = _pair(slices, grounds)
    read = read_together(found.values())
    if greys is not None:
        _require_organs(read, greys)
    masks: list[Array | None] = []
    for z, path in enumerate(slices):
        ground = found.get(path)
        if ground is None:
            masks.append(None)
            continue
        values = read[ground]
        require_size_of(ground, values, path, Picture(picture.pixels[z], "YX"))
        masks.append(np.where(values[0], LIVER, 0).astype(np.uint8) if greys is None else organs(values[0], greys))
    return masks, notices


def values_of_slices(slices: Sequence[Path], grounds: Sequence[Path]) -> set[int]:
    """Return all values that the ground PNGs of these slices hold.

    Raises
    ------
    DataError
        A PNG is damaged, or palettes differ.
    """
    read = read_together(_pair(slices, grounds)[0].values())
    return {value for values in read.values() for value in distinct(values).tolist()}


def labels_of_volume(
    mask: Path, image: Path, greys: Greys | None, volume: int | None = None
) -> tuple[Array, tuple[str, ...]]:
    """Read a NIfTI mask as the values that are written, uint8 (plane, y, x), and sentences for the user.

    These are 0 and 255 of CT, for which `greys` is None, else class numbers. `volume`: see `read_nifti`.

    Raises
    ------
    DataError
        See `read_nifti_mask`; also a grey without a meaning, several that would be one organ, and several organs in CT.
    """
    values, notices = read_nifti_mask(mask, image, volume)
    if greys is not None:
        _require_organs({mask: values}, greys)
        return organs(values, greys), notices
    present = [int(value) for value in distinct(values) if value]
    if len(present) > 1:
        raise DataError(
            f"The mask {mask.name} holds {values_text(present)}, but only the liver is marked in CT, by one value; if "
            f"it is MR, choose another --sequence than ct ({mask})."
        )
    return np.where(values, LIVER, 0).astype(np.uint8), notices


def classes_of(*, is_ct: bool) -> Classes:
    """Return what classes.json says: the liver of CT by its value 255, or the organs of MR by their numbers."""
    values = {0: 0, 1: LIVER} if is_ct else {number: number for number in range(len(NAMES))}
    return Classes(
        tuple(ClassEntry(number, NAMES[number], default_colour(number), values[number]) for number in values)
    )


def meaning_of(greys: Greys | None) -> MaskConvention:
    """Return what a repeated import goes by; `greys` is None for CT."""
    if greys is not None:
        return meaning_of_greys(greys)
    classes = classes_of(is_ct=True)
    return MaskConvention("binary", classes.values, classes.names)


def _pair(slices: Sequence[Path], grounds: Sequence[Path]) -> tuple[dict[Path, Path], list[str]]:
    """Find the PNG of each slice, and say what is left over."""
    by_name = {path.stem.casefold(): path for path in grounds}
    found = {path: by_name[path.stem.casefold()] for path in slices if path.stem.casefold() in by_name}
    if not found and len(grounds) == len(slices):
        return dict(zip(sorted(slices, key=natural), grounds, strict=True)), []
    if not found and grounds:
        return {}, [
            f"No mask was taken: {counted(len(grounds), 'PNG')} (such as {grounds[0].name}) for "
            f"{counted(len(slices), 'slice')} (such as {slices[0].name}) are named neither alike nor as many."
        ]
    left = [path for path in grounds if path not in found.values()]
    if not left:
        return found, []
    plural = "has" if len(left) == 1 else "have"
    return found, [f"{counted(len(left), 'mask')} {plural} no image and {plural} been left out: {names_text(left)}."]


def _require_organs(read: Mapping[Path, Array], greys: Greys) -> None:
    """Refuse the masks of one volume if they hold what is no organ, or several greys that would be one."""
    values = {path: set(distinct(array).tolist()) for path, array in read.items()}
    wrong, expected = refusal(set().union(*values.values()), greys)
    if not wrong:
        return
    path = next(path for path, held in values.items() if held & set(wrong))
    named = f"The mask {path.name} holds" if values[path] >= set(wrong) else f"{path.name} and others hold"
    raise DataError(f"{named} {values_text(wrong)}; {expected} ({path}).")
