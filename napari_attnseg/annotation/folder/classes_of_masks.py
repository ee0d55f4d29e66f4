"""The classes of a folder that has no `classes.json`: as its masks have them."""

from __future__ import annotations

from pathlib import Path

from napari_attnseg.data.classes import FILE_NAME, ClassEntry, Classes, default_colour, make_classes
from napari_attnseg.data.convention import MaskConvention


def classes_of_masks(convention: MaskConvention, root: Path, *, any_mask: bool) -> Classes:
    """Return classes with the usual colours.

    Parameters
    ----------
    convention
        What the values of the masks mean.
    root
        The folder.
    any_mask
        Whether there are masks; numbers on disk are the ids, unless masks with other values are there already.
    """
    if convention.kind == "instances":
        return make_classes([ClassEntry(1, "object", default_colour(1), 1)], root / FILE_NAME)
    values = {number: value for value, number in convention.values.items()}
    by_value = any_mask or convention.kind != "binary"
    entries = [
        ClassEntry(number, name, default_colour(number), values.get(number, number) if by_value else number)
        for number, name in enumerate(convention.class_names)
    ]
    return make_classes(entries, root / FILE_NAME)
