"""Changes to a folder's classes: each gives new classes, or says in a sentence why it cannot be."""

from __future__ import annotations

from dataclasses import replace

from napari_attnseg.data.classes import MOST_CLASSES, ClassEntry, Classes, default_colour
from napari_attnseg.errors import DataError


def with_name(classes: Classes, class_id: int, name: str) -> Classes:
    """Rename a class.

    Raises
    ------
    DataError
        The name is empty, or another class has it, if only in other letter case.
    """
    old, name = classes.entries[class_id].name, name.strip()
    if not name:
        raise DataError(f"A class needs a name; class {class_id} is still called '{old}'.")
    for entry in classes.entries:
        if entry.id != class_id and entry.name.casefold() == name.casefold():
            raise DataError(f"Class {entry.id} is called '{entry.name}' already; class {class_id} is still '{old}'.")
    return _with(classes, replace(classes.entries[class_id], name=name))


def with_colour(classes: Classes, class_id: int, colour: str) -> Classes:
    """Give a class another colour, '#rrggbb'."""
    return _with(classes, replace(classes.entries[class_id], colour=colour.lower()))


def with_new_class(classes: Classes) -> Classes:
    """Add a class with the next number, and a name, a colour and a value in masks that are free.

    Raises
    ------
    DataError
        There are as many classes as a mask can hold.
    """
    number = len(classes)
    if number >= MOST_CLASSES:
        raise DataError(f"There are {number - 1} classes, as many as a mask can hold.")
    taken = {name.casefold() for name in classes.names}
    name = next(text for text in (f"class {i}" for i in range(number, 2 * number + 1)) if text not in taken)
    entry = ClassEntry(number, name, default_colour(number), _free_value(classes))
    return Classes((*classes.entries, entry))


def without_last_class(classes: Classes) -> Classes:
    """Remove the class with the highest number; the caller has seen to it that no mask holds it.

    Raises
    ------
    DataError
        It is the only one beside the background.
    """
    if len(classes) <= 2:
        raise DataError(f"'{classes.names[-1]}' is the only class; rename it instead of removing it.")
    return Classes(classes.entries[:-1])


def _with(classes: Classes, changed: ClassEntry) -> Classes:
    return Classes(tuple(changed if entry.id == changed.id else entry for entry in classes.entries))


def _free_value(classes: Classes) -> int:
    """Continue evenly spaced greys, such as 63, 126, 189, while they fit into a byte; else the class's number."""
    number, taken = len(classes), set(classes.values)
    step = classes.entries[1].value
    evenly = all(entry.value == step * entry.id for entry in classes.entries)
    if evenly and step * number <= 255:
        return step * number
    return next(value for value in range(number, number + len(taken) + 1) if value not in taken)
