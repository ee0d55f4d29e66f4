"""The images of a folder as a table: which of them are shown, and in which order.

Filtering and sorting are done here at once, not by a `QSortFilterProxyModel`: that one calls Python for each
comparison, which takes seconds for 10,000 images.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from napari_attnseg.annotation.folder.entries import ImageEntry, ImageState
from napari_attnseg.viewer.widgets.image_row import DIM_ROLE, STATE_ROLE

NAME, STATE, NOTE = range(3)
ENTRY_ROLE = int(Qt.ItemDataRole.UserRole)

_SHORT = {
    ImageState.NO_MASK: "no mask",
    ImageState.HAS_MASK: "mask",
    ImageState.UNSAVED: "not saved",
    ImageState.EDITED: "edited",
}
# what wants attention comes first
_STATE_ORDER = {
    state: number
    for number, state in enumerate((ImageState.UNSAVED, ImageState.EDITED, ImageState.NO_MASK, ImageState.HAS_MASK))
}
_NUMBERS = re.compile(r"(\d+)")

NaturalKey = tuple[tuple[str | int, ...], ...]


class SortBy(StrEnum):
    """What images are sorted by; the value is what the user reads."""

    NAME = "name"
    STATE = "state"
    MODIFIED = "newest"
    NOTE = "unsure"


def natural_key(name: str) -> NaturalKey:
    """Return a key that sorts names as people count: 'img2' before 'img10', whatever the case, folder by folder."""
    return tuple(
        # split() puts text at the even and digits at the odd places, so that like is compared with like
        tuple(int(part) if number % 2 else part for number, part in enumerate(_NUMBERS.split(folder)))
        for folder in folded(name).split("/")
    )


def folded(text: str) -> str:
    """Return a text as it is searched: without case, and accents joined to their letters (macOS stores them apart)."""
    return unicodedata.normalize("NFC", text).casefold()


class ImageTable(QAbstractTableModel):
    """Some of a list of `ImageEntry`, a row each: name with a dot for the state, state in a word, note.

    Which are shown, and where, changes on `arrange` only: an image that was just edited keeps its place, so that
    'next' still means the one below it.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries: list[ImageEntry] = []
        """All of them, in the order they were given."""
        self._name_keys: list[NaturalKey] = []
        self._folded_names: list[str] = []
        self._places: dict[Path, int] = {}
        self._shown: list[int] = []
        self._rows: dict[int, int] = {}

    def setEntries(self, entries: Sequence[ImageEntry]) -> None:
        """Take other images; `arrange` shows them."""
        self.beginResetModel()
        self.entries = list(entries)
        self._name_keys = [natural_key(entry.name) for entry in entries]
        self._folded_names = [folded(entry.name) for entry in entries]
        self._places = {entry.image: place for place, entry in enumerate(entries)}
        self._shown, self._rows = [], {}
        self.endResetModel()

    def updateEntry(self, entry: ImageEntry) -> bool:
        """Show what is new about one image; return False if it is not in the table."""
        place = self._places.get(entry.image)
        if place is None:
            return False
        self.entries[place] = entry
        self._name_keys[place], self._folded_names[place] = natural_key(entry.name), folded(entry.name)
        row = self._rows.get(place)
        if row is not None:
            self.dataChanged.emit(self.index(row, NAME), self.index(row, NOTE))
        return True

    def arrange(self, state: ImageState | None, text: str, order: SortBy, kept: Path | None) -> None:
        """Choose which images are shown, and sort them.

        Parameters
        ----------
        state
            Only images of this state are shown; None for all.
        text
            Only images whose name holds this are shown.
        order
            What they are sorted by.
        kept
            An image that is shown whatever its state: the one being worked on.
        """
        text = folded(text.strip())
        shown = [
            place
            for place, entry in enumerate(self.entries)
            if (state is None or entry.state is state or entry.image == kept) and text in self._folded_names[place]
        ]
        shown.sort(key=lambda place: self._key(place, order))
        if shown != self._shown:
            self.beginResetModel()
            self._shown, self._rows = shown, {place: row for row, place in enumerate(shown)}
            self.endResetModel()

    def __contains__(self, image: Path | None) -> bool:
        return image in self._places

    def entry(self, row: int) -> ImageEntry:
        """Return the image that is shown in a row."""
        return self.entries[self._shown[row]]

    def row_of(self, image: Path | None) -> int | None:
        """Return the row of an image, or None if it is not shown."""
        place = None if image is None else self._places.get(image)
        return None if place is None else self._rows.get(place)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 3

    def data(self, index: QModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        if not index.isValid():
            return None
        entry, column = self.entry(index.row()), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return (entry.name, _SHORT[entry.state], entry.note)[column]
        if role == ENTRY_ROLE:
            return entry
        if role == STATE_ROLE:
            return entry.state if column == NAME else None
        if role == DIM_ROLE:
            # the folders of a name, and all of the other columns
            return entry.name.rfind("/") + 1 if column == NAME else len(entry.note) + len(_SHORT[entry.state])
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return ": ".join((entry.name, ", ".join(filter(None, (entry.state.value, entry.note)))))
        return None

    def _key(self, place: int, order: SortBy) -> tuple[Any, ...]:
        entry, name = self.entries[place], self._name_keys[place]
        if order is SortBy.STATE:
            return _STATE_ORDER[entry.state], name
        if order is SortBy.MODIFIED:
            return entry.modified is None, -(entry.modified or 0.0), name
        if order is SortBy.NOTE:
            words = _NUMBERS.split(folded(entry.note))
            # the highest number first, such as the share of pixels that a model is unsure of; no note last
            return not entry.note, words[0], -int(words[1]) if len(words) > 1 else 0, name
        return (name,)
