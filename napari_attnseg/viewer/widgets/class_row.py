"""One class of the class editor: chosen or not, colour, name."""

from __future__ import annotations

from qtpy.QtCore import QObject, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QLineEdit, QRadioButton, QToolButton, QWidget
from superqt import QElidingLineEdit

from napari_attnseg.data.classes import ClassEntry

SWATCH = 18


class ClassRow(QObject):
    """The three widgets of a class, to be laid out in a grid."""

    named = Signal(str)
    """The user finished another name."""
    colourAsked = Signal()
    """The user clicked on the colour."""

    def __init__(self, class_id: int) -> None:
        super().__init__()
        self.class_id = class_id
        self._name = ""
        self.radio = QRadioButton(str(class_id))
        self.swatch = QToolButton()
        self.swatch.setIconSize(QSize(SWATCH, SWATCH))
        self.swatch.clicked.connect(lambda: self.colourAsked.emit())
        self.name_field = QElidingLineEdit()
        self.name_field.setEllipsesWidth(24)  # with the field's own margins
        self.name_field.setMaxLength(80)
        self.name_field.editingFinished.connect(self._finish)

    @property
    def widgets(self) -> tuple[QWidget, QWidget, QWidget]:
        """What to lay out, from left to right."""
        return self.radio, self.swatch, self.name_field

    def height(self) -> int:
        """Return how high the row wants to be."""
        return max(int(widget.sizeHint().height()) for widget in self.widgets)

    def show_entry(self, entry: ClassEntry, shortcut: str) -> None:
        """Show a class, and the key that chooses it."""
        self._name = entry.name
        if self.name_field.text() != entry.name:
            self.name_field.setText(entry.name)
            if self.name_field.hasFocus():  # then what is seen is the user's and has to be replaced by hand
                QLineEdit.setText(self.name_field, entry.name)
        self.swatch.setIcon(_square(entry.colour))
        paint = f"Paint '{entry.name}'{f' (key {shortcut})' if shortcut else ''}"
        self.radio.setToolTip(paint)
        self.radio.setAccessibleName(paint)
        self.swatch.setToolTip(f"Colour of '{entry.name}': click to change it")
        self.swatch.setAccessibleName(f"Colour of {entry.name}")
        self.name_field.setToolTip(f"Name of class {entry.id}: {entry.name}")

    def _finish(self) -> None:
        text = self.name_field.text()
        if text != self._name:
            self.named.emit(text)


def _square(colour: str) -> QIcon:
    pixmap = QPixmap(2 * SWATCH, 2 * SWATCH)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawRoundedRect(QRectF(0, 0, 2 * SWATCH, 2 * SWATCH), 6, 6)
    painter.end()
    return QIcon(pixmap)
