"""The folder's images: find one, see how far the work has got, go to the next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from qtpy.QtCore import QModelIndex, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_attnseg.annotation.folder.entries import ImageEntry, ImageState
from napari_attnseg.viewer.widgets.image_choosers import ImageChoosers
from napari_attnseg.viewer.widgets.image_table import ENTRY_ROLE, NAME, NOTE, STATE, ImageTable
from napari_attnseg.viewer.widgets.image_view import ImageView

NO_FOLDER = "Drop a folder of TIFF images here, or open one."
NO_MATCH = "No image matches the search."
NO_STATE = "No image is in this state."
SETTLE_MS = 200


class ImageList(QWidget):
    """Lists images with their states, filtered, searched and sorted."""

    opened = Signal(object)
    """Another image (Path) that the user picked; not emitted by `setCurrent`."""
    picked = Signal(object)
    """The image (Path) whose row was clicked or entered, the current one too."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._current: Path | None = None
        self._refreshing = False
        self.table = ImageTable(self)
        self.choosers = ImageChoosers()
        self.choosers.changed.connect(self._refresh)
        self.view = ImageView(self.table)
        self.view.selectionModel().currentRowChanged.connect(self._on_row)
        self.view.clicked.connect(self._on_picked)
        self.view.activated.connect(self._on_picked)
        self.progress = QProgressBar()
        self._make_pages()
        buttons = self._make_buttons()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.progress)
        layout.addWidget(self.choosers)
        layout.addWidget(self.pages, 1)
        layout.addLayout(buttons)
        # many images may change at once, such as after a prediction
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SETTLE_MS)
        self._later.timeout.connect(self._refresh)
        self.setEntries([])

    def setEntries(self, entries: Sequence[ImageEntry]) -> None:
        """Show the images of a folder; the current one stays current if it is among them."""
        self.table.setEntries(entries)
        if self._current not in self.table:
            self._current = None
        self._show_notes()
        self._show_progress()
        self._refresh()

    def updateEntry(self, entry: ImageEntry) -> None:
        """Show what is new about one image; it keeps its place while it is the current one."""
        if not self.table.updateEntry(entry):
            return
        self._show_notes()
        self._show_progress()
        self._update_buttons()
        if entry.image != self._current:
            self._later.start()

    def entries(self) -> list[ImageEntry]:
        """Return all images, shown or not, in the order they were given."""
        return list(self.table.entries)

    def entries_shown(self) -> list[ImageEntry]:
        """Return the images that pass the filter and the search, from top to bottom."""
        return [self.table.entry(row) for row in range(self.table.rowCount())]

    def current(self) -> Path | None:
        """Return the image that is marked as the one being shown."""
        return self._current

    def setCurrent(self, image: Path | None) -> None:
        """Mark the image that is being shown; None, or one that is not listed, marks nothing."""
        self._current = image if image in self.table else None
        self._refresh()

    def step(self, by: int) -> None:
        """Open the image `by` rows below the current one, if there is one; the first if none is current."""
        row = self.table.row_of(self._current)
        self._open_row(0 if row is None else row + by)

    def nextWithoutMask(self) -> None:
        """Open the next image shown that has no mask, from the top again after the last."""
        row = self._next_without_mask()
        if row is not None:
            self._open_row(row)

    def _make_pages(self) -> None:
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message.setMargin(16)
        self.pages = QStackedWidget()
        # what it likes best is higher than what it needs, and in a dock with little room it has to give way
        self.pages.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.message)

    def _make_buttons(self) -> QHBoxLayout:
        self.previous_button = _arrow("←", "Previous image in the list")
        self.previous_button.clicked.connect(lambda: self.step(-1))
        self.next_button = _arrow("→", "Next image in the list")
        self.next_button.clicked.connect(lambda: self.step(1))
        self.unmasked_button = QPushButton("Next without a mask")
        self.unmasked_button.clicked.connect(lambda: self.nextWithoutMask())
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.previous_button)
        row.addWidget(self.next_button)
        row.addWidget(self.unmasked_button, 1)
        return row

    def _refresh(self) -> None:
        """Filter and sort again, and mark the current image if it is shown."""
        self._later.stop()
        choosers = self.choosers
        # marks that move here are no choice of the user's
        self._refreshing = True
        self.table.arrange(choosers.state(), choosers.text(), choosers.order(), self._current)
        row = self.table.row_of(self._current)
        if row is None:
            self.view.selectionModel().clear()
        else:
            self.view.setCurrentIndex(self.table.index(row, NAME))
        self._refreshing = False
        self.message.setText(self._reason_for_nothing())
        self.pages.setCurrentWidget(self.view if self.table.rowCount() else self.message)
        self._update_buttons()

    def _reason_for_nothing(self) -> str:
        if not self.table.entries:
            return NO_FOLDER
        return NO_MATCH if self.choosers.text().strip() else NO_STATE

    def _on_row(self, index: QModelIndex) -> None:
        entry = index.data(ENTRY_ROLE) if index.isValid() else None
        if self._refreshing or entry is None or entry.image == self._current:
            return
        self._current = entry.image
        self._update_buttons()
        self._later.start()  # the image that was left may have another state now, or no place in the list
        self.opened.emit(entry.image)

    def _on_picked(self, index: QModelIndex) -> None:
        entry = index.data(ENTRY_ROLE) if index.isValid() else None
        if entry is not None:
            self.picked.emit(entry.image)

    def _open_row(self, row: int) -> None:
        if 0 <= row < self.table.rowCount():
            self.view.setCurrentIndex(self.table.index(row, NAME))

    def _next_without_mask(self) -> int | None:
        row, count = self.table.row_of(self._current), self.table.rowCount()
        start = -1 if row is None else row
        around = chain(range(start + 1, count), range(max(start, 0)))
        return next((number for number in around if self.table.entry(number).state is ImageState.NO_MASK), None)

    def _show_notes(self) -> None:
        notes = {entry.note for entry in self.table.entries if entry.note}
        metrics = self.view.fontMetrics()
        self.view.setColumnWidth(STATE, metrics.horizontalAdvance("not saved") + 10)
        self.view.setColumnWidth(NOTE, max((metrics.horizontalAdvance(note) for note in notes), default=0) + 10)
        self.view.setColumnHidden(NOTE, not notes)
        self.choosers.offerNotes(bool(notes))

    def _show_progress(self) -> None:
        total = len(self.table.entries)
        done = sum(entry.mask is not None for entry in self.table.entries)
        unsaved = sum(entry.state is ImageState.UNSAVED for entry in self.table.entries)
        text = f"{done} of {total} {'has' if done == 1 else 'have'} a mask"
        self.progress.setVisible(total > 0)
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(done)
        self.progress.setFormat(text + (f" · {unsaved} not saved" if unsaved else ""))

    def _update_buttons(self) -> None:
        row, count = self.table.row_of(self._current), self.table.rowCount()
        self.previous_button.setEnabled(row is not None and row > 0)
        self.next_button.setEnabled(count > 0 and (row is None or row < count - 1))
        found = self._next_without_mask() is not None
        self.unmasked_button.setEnabled(found)
        self.unmasked_button.setToolTip(
            "Open the next image in the list that has no mask yet." if found else "No other image listed lacks a mask."
        )


def _arrow(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setFixedWidth(40)
    return button
