"""Names and colours of classes: the file `classes.json` beside the images.

Two forms are read: an object of names, `{"0": "background", "1": "liver"}`, and a list of classes, each a name or an
object with `name`, and optionally `id`, `color` ('#rrggbb') and `value` (what the masks hold if it is not the id). The
values of the first form may be such objects too. A list without ids counts from 0 if its first name is 'background',
else from 1.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_attnseg.data.atomic import write_json
from napari_attnseg.errors import DataError

FILE_NAME = "classes.json"
MOST_CLASSES = 255
# after Okabe and Ito, told apart with every kind of colour vision; the first is background
DEFAULT_COLOURS = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999",
)  # fmt: skip


@dataclass(frozen=True)
class ClassEntry:
    """One class."""

    id: int
    name: str
    colour: str
    """'#rrggbb'."""
    value: int
    """What masks on disk hold for this class."""


@dataclass(frozen=True)
class Classes:
    """The classes of a folder, ordered by id; 0 is the background and always there."""

    entries: tuple[ClassEntry, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names by id."""
        return tuple(entry.name for entry in self.entries)

    @property
    def colours(self) -> tuple[str, ...]:
        """Colours by id, as '#rrggbb'."""
        return tuple(entry.colour for entry in self.entries)

    @property
    def values(self) -> dict[int, int]:
        """Value on disk to class id."""
        return {entry.value: entry.id for entry in self.entries}

    def __len__(self) -> int:
        return len(self.entries)


def find_classes(folder: Path) -> Classes | None:
    """Read `classes.json` in `folder`, else in its parent (for DATA/train and DATA/val); None if there is none.

    Raises
    ------
    DataError
        See `read_classes`.
    """
    folder = folder if folder.is_dir() else folder.parent
    for place in (folder, folder.resolve().parent):
        path = place / FILE_NAME
        if path.is_file():
            return read_classes(path)
    return None


def read_classes(path: Path) -> Classes:
    """Read a file of classes.

    Raises
    ------
    DataError
        It is no JSON, or its ids, names, colours or values make no sense.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no valid JSON ({error}); correct it or remove it.") from error
    items = content.get("classes", content) if isinstance(content, dict) else content
    if isinstance(items, dict):
        pairs = [(_id_of(key, path), item) for key, item in items.items()]
    elif isinstance(items, list):
        first = 0 if items and _is_background(items[0]) else 1
        pairs = [(_listed_id(item, number, path), item) for number, item in enumerate(items, first)]
    else:
        raise _wrong(path, "an object or a list was expected")
    return make_classes([_entry(number, item, path) for number, item in pairs], path)


def make_classes(entries: list[ClassEntry], path: Path) -> Classes:
    """Order and check classes, adding the background if it is not named.

    Raises
    ------
    DataError
        Ids, names or values occur twice, ids have gaps, or there are too many.
    """
    if all(entry.id != 0 for entry in entries):
        entries = [ClassEntry(0, "background", DEFAULT_COLOURS[0], 0), *entries]
    entries = sorted(entries, key=lambda entry: entry.id)
    for what in ("id", "name", "value"):
        values = [getattr(entry, what) for entry in entries]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise _wrong(path, f"the {what} {twice!r} occurs twice")
    missing = next((number for number, entry in enumerate(entries) if entry.id != number), None)
    if missing is not None:
        raise _wrong(path, f"there is no class {missing}, but a class {entries[-1].id}")
    if not 2 <= len(entries) <= MOST_CLASSES:
        raise _wrong(path, f"it names {len(entries)} classes with the background; 2 to {MOST_CLASSES} are possible")
    return Classes(tuple(entries))


def write_classes(path: Path, classes: Classes) -> None:
    """Write a file of classes in the list form, at once.

    Raises
    ------
    SaveError
        The file cannot be written.
    """
    items: list[dict[str, Any]] = []
    for entry in classes.entries:
        item: dict[str, Any] = {"id": entry.id, "name": entry.name, "color": entry.colour}
        items.append(item | ({"value": entry.value} if entry.value != entry.id else {}))
    write_json(path, {"classes": items})


def default_colour(number: int) -> str:
    """Return a colour for the class `number`, '#rrggbb'; they repeat after the eighth."""
    return DEFAULT_COLOURS[0] if number == 0 else DEFAULT_COLOURS[1 + (number - 1) % (len(DEFAULT_COLOURS) - 1)]


def _id_of(key: Any, path: Path) -> int:
    try:
        number = int(key)
    except (TypeError, ValueError):
        number = -1
    if isinstance(key, bool | float) or not 0 <= number < MOST_CLASSES:
        raise _wrong(path, f"{key!r} is no class id, a whole number from 0 to {MOST_CLASSES - 1}")
    return number


def _is_background(item: Any) -> bool:
    """Whether a list begins with the background; else its first class has the id 1."""
    name = item.get("name") if isinstance(item, dict) else item
    return isinstance(name, str) and name.strip().lower() in ("background", "bg")


def _listed_id(item: Any, number: int, path: Path) -> int:
    return _id_of(item.get("id", number), path) if isinstance(item, dict) else number


def _entry(number: int, item: Any, path: Path) -> ClassEntry:
    values = item if isinstance(item, dict) else {"name": item}
    name = values.get("name")
    if not isinstance(name, str) or not name.strip():
        raise _wrong(path, f"class {number} has no name")
    colour = values.get("color", values.get("colour", default_colour(number)))
    if not isinstance(colour, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise _wrong(path, f"the colour {colour!r} of '{name}' is not written as '#rrggbb'")
    value = values.get("value", number)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(path, f"the value {value!r} of '{name}' is no whole number from 0 up")
    return ClassEntry(number, name.strip(), colour.lower(), value)


def _wrong(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} cannot be used: {what}. "
        'Write it like {"0": "background", "1": "nucleus"}, or remove it to go by the values of the masks.'
    )
