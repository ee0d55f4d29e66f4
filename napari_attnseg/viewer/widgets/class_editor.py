"""The classes: choose the one to paint with, name them, colour them, add one."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QButtonGroup,
    QColorDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_attnseg.annotation.folder.class_edits import with_colour, with_name, with_new_class
from napari_attnseg.data.classes import MOST_CLASSES, ClassEntry, Classes, default_colour
from napari_attnseg.errors import DataError
from napari_attnseg.viewer.widgets.class_row import ClassRow

ROWS_SEEN = 6
_TWO = Classes((ClassEntry(0, "background", default_colour(0), 0), ClassEntry(1, "foreground", default_colour(1), 255)))


class ClassEditor(QWidget):
    """A row for each class but the background; for numbered objects, a button that starts a new one."""

    changed = Signal(object)
    """The classes (`Classes`) after the user named, coloured or added one."""
    chosen = Signal(int)
    """The class that the user chose to paint with."""
    removeAsked = Signal(int)
    """The last class, which the user wants to be rid of; whoever listens knows whether a mask holds it."""
    newObjectAsked = Signal()
    """The user wants to paint a further object."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._classes = _TWO
        self._chosen = 1
        self._shortcuts: dict[int, str] = {}
        self._rows: list[ClassRow] = []
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self._choose)
        self._make_list()
        self._make_buttons()
        self._make_objects()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._class_part)
        layout.addWidget(self._object_part)
        self.setObjects(False)
        self._show()

    def value(self) -> Classes:
        """Return the classes, the background included."""
        return self._classes

    def setValue(self, classes: Classes) -> None:
        """Show other classes; a chosen class that is not among them gives way to the first."""
        self._classes = classes
        self._say("")
        if self._chosen >= len(classes):
            self._chosen = 1
        self._show()

    def chosenId(self) -> int:
        """Return the class to paint with; 0, the background, erases."""
        return self._chosen

    def setChosen(self, class_id: int) -> None:
        """Mark the class to paint with; 0, or a class that is not there, marks none."""
        self._chosen = class_id if 0 < class_id < len(self._classes) else 0
        self._mark()

    def setShortcuts(self, shortcuts: Mapping[int, str]) -> None:
        """Show in the tooltips which key chooses which class."""
        self._shortcuts = dict(shortcuts)
        self._show()

    def setObjects(self, numbered: bool) -> None:
        """Show what masks of numbered objects need, instead of classes."""
        self._class_part.setVisible(not numbered)
        self._object_part.setVisible(numbered)

    def setObjectNumber(self, number: int) -> None:
        """Show the number of the object that is being painted; 0 for none."""
        self._object_label.setText(f"Each object has its own number. Painting: {number or 'none'}")

    def _make_list(self) -> None:
        body = QWidget()
        self._grid = QGridLayout(body)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self._grid.setColumnStretch(2, 1)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setWidget(body)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def _make_buttons(self) -> None:
        self.add_button = QPushButton("Add class")
        self.add_button.setToolTip("Add one more kind of thing to tell apart.")
        self.add_button.clicked.connect(self._add)
        self.remove_button = QPushButton("Remove last")
        self.remove_button.clicked.connect(lambda: self.removeAsked.emit(len(self._classes) - 1))
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.problem.hide()
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.remove_button)
        buttons.addStretch(1)
        self._class_part = QWidget()
        layout = QVBoxLayout(self._class_part)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._area)
        layout.addWidget(self.problem)
        layout.addLayout(buttons)

    def _make_objects(self) -> None:
        self._object_label = QLabel("Each object has its own number.")
        self._object_label.setWordWrap(True)
        self.object_button = QPushButton("New object")
        self.object_button.setToolTip("Paint the next object, with a number that no other object has.")
        self.object_button.clicked.connect(lambda: self.newObjectAsked.emit())
        self._object_part = QWidget()
        layout = QHBoxLayout(self._object_part)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._object_label, 1)
        layout.addWidget(self.object_button)

    def _show(self) -> None:
        entries = self._classes.entries[1:]
        while len(self._rows) > len(entries):
            self._remove_row(self._rows.pop())
        for entry in entries[len(self._rows) :]:
            self._rows.append(self._new_row(entry.id))
        for row, entry in zip(self._rows, entries, strict=True):
            row.show_entry(entry, self._shortcuts.get(entry.id, ""))
        height = max(row.height() for row in self._rows) + self._grid.spacing()
        self._area.setFixedHeight(height * min(len(entries), ROWS_SEEN) + 2)
        self.add_button.setEnabled(len(self._classes) < MOST_CLASSES)
        last = entries[-1].name
        self.remove_button.setEnabled(len(entries) > 1)
        self.remove_button.setToolTip(
            f"Remove '{last}', if no mask holds it." if len(entries) > 1 else f"'{last}' is the only class."
        )
        self._mark()

    def _new_row(self, class_id: int) -> ClassRow:
        row = ClassRow(class_id)
        row.named.connect(lambda name: self._rename(class_id, name))
        row.colourAsked.connect(lambda: self._recolour(class_id))
        self._group.addButton(row.radio, class_id)
        for column, widget in enumerate(row.widgets):
            self._grid.addWidget(widget, class_id - 1, column)
        return row

    def _remove_row(self, row: ClassRow) -> None:
        self._group.removeButton(row.radio)
        for widget in row.widgets:
            self._grid.removeWidget(widget)
            widget.setParent(None)
            widget.deleteLater()
        row.deleteLater()

    def _mark(self) -> None:
        # an exclusive group does not let its last mark go
        self._group.setExclusive(False)
        for row in self._rows:
            row.radio.setChecked(row.class_id == self._chosen)
        self._group.setExclusive(True)

    def _choose(self, class_id: int) -> None:
        self._chosen = class_id
        self.chosen.emit(class_id)

    def _rename(self, class_id: int, name: str) -> None:
        try:
            classes = with_name(self._classes, class_id, name)
        except DataError as error:
            self._show()
            self._say(str(error))
            return
        self._take(classes)

    def _recolour(self, class_id: int) -> None:
        entry = self._classes.entries[class_id]
        colour = QColorDialog.getColor(QColor(entry.colour), self, f"Colour of {entry.name}")
        if colour.isValid():
            self._take(with_colour(self._classes, class_id, colour.name()))

    def _add(self) -> None:
        self._take(with_new_class(self._classes))
        row = self._rows[-1]
        self._choose(row.class_id)
        self._mark()
        # the name is what comes next; a field that is not seen yet would drop the selection when it gets the focus
        row.name_field.show()
        row.name_field.setFocus()
        row.name_field.selectAll()
        self._area.ensureWidgetVisible(row.name_field)

    def _take(self, classes: Classes) -> None:
        different = classes != self._classes
        self._classes = classes
        self._say("")
        self._show()
        if different:
            self.changed.emit(classes)

    def _say(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))

    def sizeHint(self) -> QSize:
        return QSize(320, super().sizeHint().height())
