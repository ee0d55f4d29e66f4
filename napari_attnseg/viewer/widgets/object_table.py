"""A table of thousands of objects: sorted here at once, because a proxy calls Python for each comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

LOWEST = 180  # pixels
_PADDING = 32  # of a column, with the arrow that shows what is sorted by
_SAMPLED = 50  # rows that a column's width is taken from
_TIPS = {
    "Object": "The object's number, which is its value in the layer of objects.",
    "Pixels": "How many pixels the object has, on all planes together.",
    "Equivalent": "The diameter of a disc (in a volume: of a ball) of the same size.",
    "Eccentricity": "0 for a disc, near 1 for a rod.",
    "Solidity": "The share of its convex outline that the object fills: 1 if it has no dents.",
    "SD": "Standard deviation: how much the intensities in the object differ.",
    "Centre": "The middle of the object's pixels, counted from 0 at the top left.",
    "First": "The first plane that the object is on, counted from 0 as in the slider.",
    "Last": "The last plane that the object is on, counted from 0 as in the slider.",
}

Columns = Mapping[str, np.ndarray[Any, Any]]


class ObjectTable(QAbstractTableModel):
    """A row an object; `Object` is its number."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._titles: list[str] = []
        self._columns: list[np.ndarray[Any, Any]] = []
        self._numbers = np.zeros(0, np.int64)
        self._order = np.zeros(0, np.int64)
        self._rows: dict[int, int] = {}
        self._sorted: tuple[str, Qt.SortOrder] | None = None

    def setColumns(self, columns: Columns) -> None:
        """Show other objects; the order by a column stays if there is one of that title."""
        self.beginResetModel()
        self._titles = list(columns)
        self._columns = [np.asarray(column) for column in columns.values()]
        self._numbers = np.asarray(columns.get("Object", np.zeros(0)), np.int64)
        self._arrange()
        self.endResetModel()

    @property
    def titles(self) -> list[str]:
        """The titles of the columns."""
        return self._titles

    def number(self, row: int) -> int:
        """Return the number of the object in a row."""
        return int(self._numbers[self._order[row]])

    def row_of(self, number: int) -> int | None:
        """Return the row of an object; None if there is none of this number."""
        return self._rows.get(number)

    def values(self, number: int) -> dict[str, Any]:
        """Return what is known of an object, by title."""
        place = self._order[self._rows[number]]
        return {title: column[place] for title, column in zip(self._titles, self._columns, strict=True)}

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        if not index.isValid():
            return None
        value = self._columns[index.column()][self._order[index.row()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return shown(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if isinstance(value, str) else Qt.AlignmentFlag.AlignRight
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = int(Qt.ItemDataRole.DisplayRole)
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._titles):
            return None
        title = self._titles[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return _in_two_lines(title)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS.get(title.split(" ")[0], f"{title}. Click to sort.")
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; what is not known comes last."""
        if not 0 <= column < len(self._titles):
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        numbers = [self.number(index.row()) for index in before]
        self._sorted = (self._titles[column], order)
        self._arrange()
        after = [self.index(self._rows[number], index.column()) for number, index in zip(numbers, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _arrange(self) -> None:
        places = np.arange(len(self._numbers))
        if self._sorted is not None and self._sorted[0] in self._titles:
            column = self._columns[self._titles.index(self._sorted[0])]
            text = column.dtype == object
            known = np.ones(len(places), bool) if text else np.isfinite(column.astype(float))
            places = np.flatnonzero(known)[np.argsort(column[known].astype(str if text else float), kind="stable")]
            if self._sorted[1] == Qt.SortOrder.DescendingOrder:
                places = places[::-1]
            places = np.concatenate([places, np.flatnonzero(~known)])
        self._order = places
        self._rows = {int(number): row for row, number in enumerate(self._numbers[places])}


class ObjectView(QTableView):
    """The table on the screen; one object can be chosen."""

    chosen = Signal(int)
    """The number of the object that the user chose; not emitted by `choose`."""

    def __init__(self, table: ObjectTable) -> None:
        super().__init__()
        self._table = table
        self._choosing = False
        self.setModel(table)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setMinimumHeight(LOWEST)
        self.setAccessibleName("Objects of the image")
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 6)
        rows.hide()
        columns.setHighlightSections(False)
        columns.setMinimumSectionSize(40)
        columns.setSortIndicator(0, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)
        self.selectionModel().currentRowChanged.connect(self._on_row)

    def setColumns(self, columns: Columns) -> None:
        """Show other objects."""
        self._choosing = True
        self._table.setColumns(columns)
        self._choosing = False
        metrics = self.horizontalHeader().fontMetrics()
        for section, title in enumerate(self._table.titles):
            texts = [*_in_two_lines(title).split("\n"), *self._some(section)]
            self.setColumnWidth(section, max(metrics.horizontalAdvance(text) for text in texts) + _PADDING)

    def choose(self, number: int) -> None:
        """Mark an object and bring it into sight; one that is not there unmarks all."""
        row = self._table.row_of(number)
        self._choosing = True
        if row is None:
            self.clearSelection()
            self.setCurrentIndex(QModelIndex())
        elif self.currentIndex().row() != row or not self.selectionModel().hasSelection():
            self.selectRow(row)
            self.scrollTo(self._table.index(row, max(self.currentIndex().column(), 0)))
        self._choosing = False

    def _some(self, section: int) -> list[str]:
        rows = np.linspace(0, self._table.rowCount() - 1, min(self._table.rowCount(), _SAMPLED)).astype(int)
        return [str(self._table.data(self._table.index(int(row), section))) for row in rows]

    def _on_row(self, current: QModelIndex, before: QModelIndex) -> None:
        if current.isValid() and not self._choosing:
            self.chosen.emit(self._table.number(current.row()))


def shown(value: Any) -> str:
    """Return a value for a cell: fractions with four digits, a dash for what is not known."""
    if isinstance(value, str | int | np.integer):
        return str(value)
    if not np.isfinite(value):
        return "–"  # noqa: RUF001
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _in_two_lines(title: str) -> str:
    """Break a title before its unit, else at its first space; the tooltip says which diameter is meant."""
    title = title.replace("Equivalent diameter", "Diameter")
    at = title.find(" (") if " (" in title else title.find(" ")
    return title if at < 0 else f"{title[:at]}\n{title[at + 1 :]}"
