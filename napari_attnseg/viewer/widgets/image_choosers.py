"""The row above the image list: which images are listed, and in which order."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QSizePolicy, QWidget

from napari_attnseg.annotation.folder.entries import ImageState
from napari_attnseg.viewer.widgets.image_table import SortBy

_FILTERS: tuple[tuple[str, ImageState | None], ...] = (
    ("all", None),
    ("no mask", ImageState.NO_MASK),
    ("has mask", ImageState.HAS_MASK),
    ("not saved", ImageState.UNSAVED),
    ("edited", ImageState.EDITED),
)


class ImageChoosers(QWidget):
    """A filter by state, a search field and an order."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.filter_box = _narrow_box("Which images to list, by how far their annotation has got.")
        for text, state in _FILTERS:
            self.filter_box.addItem(text)
            tip = "every image" if state is None else state.value
            self.filter_box.setItemData(self.filter_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.sort_box = _narrow_box("How to sort the images; 2 comes before 10.")
        self.sort_box.addItems([order.value for order in SortBy if order is not SortBy.NOTE])
        for box in (self.filter_box, self.sort_box):
            box.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.search_field = QLineEdit()
        self.search_field.setPlaceholderText("search")
        self.search_field.setClearButtonEnabled(True)
        self.search_field.setToolTip("List only images with these letters in their name or folder.")
        self.search_field.setMinimumWidth(70)
        self.search_field.textChanged.connect(lambda _: self.changed.emit())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.filter_box)
        layout.addWidget(self.search_field, 1)
        layout.addWidget(self.sort_box)

    def state(self) -> ImageState | None:
        """Return the state that images must have; None for any."""
        return _FILTERS[int(self.filter_box.currentIndex())][1]

    def setState(self, state: ImageState | None) -> None:
        """Choose the state that images must have; None for any."""
        self.filter_box.setCurrentIndex([value for _, value in _FILTERS].index(state))

    def text(self) -> str:
        """Return what names must hold."""
        return str(self.search_field.text())

    def setText(self, text: str) -> None:
        """Choose what names must hold; '' for anything."""
        self.search_field.setText(text)

    def order(self) -> SortBy:
        """Return what images are sorted by."""
        return SortBy(self.sort_box.currentText())

    def setOrder(self, order: SortBy) -> None:
        """Choose what images are sorted by; an order that is not offered changes nothing."""
        row = self.sort_box.findText(order.value)
        if row >= 0:
            self.sort_box.setCurrentIndex(row)

    def offerNotes(self, there_are_notes: bool) -> None:
        """Offer to sort by notes, or no longer."""
        row = self.sort_box.findText(SortBy.NOTE.value)
        if there_are_notes and row < 0:
            self.sort_box.addItem(SortBy.NOTE.value)
        elif not there_are_notes and row >= 0:
            self.sort_box.removeItem(row)


def _narrow_box(tip: str) -> QComboBox:
    box = QComboBox()
    box.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    box.setToolTip(tip)
    box.setAccessibleName(tip)
    return box
