"""The masks of the CHAOS challenge: which belongs to which slice, and what their greys mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.classes import ClassEntry, Classes, default_colour
from napari_attnseg.data.convention import MaskConvention, values_text
from napari_attnseg.data.importers.item import Picture
from napari_attnseg.data.importers.listing import natural
from napari_attnseg.data.importers.nifti import read_nifti_mask
from napari_attnseg.data.importers.pictures import read_together, require_size_of
from napari_attnseg.data.mask_values import distinct
from napari_attnseg.data.report import names_text
from napari_attnseg.errors import DataError
from napari_attnseg.wording import counted

Array = np.ndarray[Any, Any]

NAMES = ("background", "liver", "right kidney", "left kidney", "spleen")
LIVER = 255
"""What the masks of CT hold."""
# 63, 126, 189 and 252, with the room that the challenge gives them
_GREYS = ((55, 70, 1), (110, 135, 2), (175, 200, 3), (240, 255, 4))


def masks_of_slices(
    slices: Sequence[Path], grounds: Sequence[Path], picture: Picture, is_ct: bool
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
    is_ct
        Every value but 0 is liver, and becomes 255; else greys become the classes 1 to 4.

    Returns
    -------
    tuple
        A mask uint8 (y, x) for each plane, or None, and sentences for the user.

    Raises
    ------
    DataError
        A PNG is damaged, of another size than its slice, or holds a grey without a meaning, or palettes differ.
    """
    found, notices = _pair(slices, grounds)
    read = read_together(found.values())
    masks: list[Array | None] = []
    for z, path in enumerate(slices):
        ground = found.get(path)
        if ground is None:
            masks.append(None)
            continue
        values = read[ground]
        require_size_of(ground, values, path, Picture(picture.pixels[z], "YX"))
        masks.append(np.where(values[0], LIVER, 0).astype(np.uint8) if is_ct else _organs(values[0], ground))
    return masks, notices


def labels_of_volume(mask: Path, image: Path, is_ct: bool, volume: int | None = None) -> tuple[Array, tuple[str, ...]]:
    """Read a NIfTI mask as the values that are written, uint8 (plane, y, x), and sentences for the user.

    These are 0 and 255 of CT, else class numbers. `volume`: see `read_nifti`.

    Raises
    ------
    DataError
        See `read_nifti_mask`; also a grey without a meaning, and several organs in CT.
    """
    values, notices = read_nifti_mask(mask, image, volume)
    if not is_ct:
        return _organs(values, mask), notices
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


def meaning_of(*, is_ct: bool) -> MaskConvention:
    """Return what the values of masks that are written mean."""
    classes = classes_of(is_ct=is_ct)
    return MaskConvention("binary" if is_ct else "classes", classes.values, classes.names)


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


def _organs(values: Array, path: Path) -> Array:
    """Turn class numbers, or greys, into class numbers (uint8)."""
    present = [int(value) for value in np.unique(values)]
    if present and present[-1] < len(NAMES):
        return values.astype(np.uint8)
    known = {value: number for low, high, number in _GREYS for value in range(low, high + 1)} | {0: 0}
    unknown = [value for value in present if value not in known]
    if unknown:
        raise DataError(
            f"The mask {path.name} holds {values_text(unknown)}; 63 (liver), 126 (right kidney), 189 (left kidney) and "
            f"252 (spleen) were expected, or 0 to 4 ({path})."
        )
    lookup = np.zeros(256, np.uint8)
    for value, number in known.items():
        lookup[value] = number
    return np.asarray(lookup[values])
