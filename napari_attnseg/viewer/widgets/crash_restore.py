"""After a crash: what was painted and not saved, and what to do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

Array = np.ndarray[Any, Any]

ADDED, REMOVED, OTHER = (0, 200, 80), (230, 0, 200), (240, 200, 0)
STRENGTH = 0.65
PREVIEW = 300


class Decision(StrEnum):
    """What to do with unsaved work; the value is what the user reads."""

    RESTORE = "Restore"
    DISCARD = "Discard"
    LATER = "Later"


@dataclass(frozen=True)
class UnsavedWork:
    """Work on one mask that a crash left unsaved."""

    name: str
    """The image's name, as the user knows it."""
    image: Path
    pixels: int
    """How many pixels were painted or erased."""
    last_stroke: float
    """When it was last painted, in seconds since 1970."""
    damaged: bool = False
    """Whether the end of the journal is missing."""
    mask_changed: bool = False
    """Whether the mask on disk was written since, by another program."""
    elsewhere: str = ""
    """The computer that it was painted on, if that is another one where it may still be open."""


class RestoreDialog(QDialog):
    """Shows unsaved work, a row each, with a preview of the one that is selected."""

    previewAsked = Signal(int)
    """The number of the work whose preview is to be given with `setPreview`."""

    def __init__(self, work: Sequence[UnsavedWork], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._work = tuple(work)
        self._previews: dict[int, QImage] = {}
        self.setWindowTitle("Unsaved masks")
        what = "a mask was" if len(work) == 1 else f"{len(work)} masks were"
        self.intro = _sentence(f"napari ended before {what} saved. What was painted is kept here:")
        self.details = _sentence("")
        self.picture = QLabel("Loading the preview…")
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setMinimumHeight(PREVIEW)
        self.picture.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        legend = _sentence("Green: painted. Magenta: erased. Yellow: painted as another class.")
        self._make_table()
        layout = QVBoxLayout(self)
        for widget in (self.intro, self.table, self.details, self.picture, legend, self._make_buttons()):
            layout.addWidget(widget)
        self.resize(560, 620)
        self.table.currentCellChanged.connect(lambda row, *_: self._show(row))

    def decisions(self) -> tuple[Decision, ...]:
        """Return what to do with each work, in the order given; all are for later once the dialog was dismissed."""
        return tuple(Decision(box.currentText()) for box in self.boxes)

    def setDecisions(self, decisions: Sequence[Decision]) -> None:
        """Choose what to do with each work, in the order given."""
        for box, decision in zip(self.boxes, decisions, strict=True):
            box.setCurrentText(decision.value)

    def setPreview(self, number: int, picture: QImage | None) -> None:
        """Show what a work looks like; None if its image cannot be read."""
        self._previews[number] = QImage() if picture is None else picture
        if number == self.table.currentRow():
            self._draw(number)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        # not before: whoever gives the previews has to have been connected
        if self._work and self.table.currentRow() < 0:
            self.table.setCurrentCell(0, 0)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._draw(self.table.currentRow())

    def reject(self) -> None:
        """Leave everything for later: to dismiss the dialog must lose nothing."""
        self.setDecisions([Decision.LATER] * len(self._work))
        super().reject()

    def _make_table(self) -> None:
        self.table = QTableWidget(len(self._work), 3)
        self.table.setHorizontalHeaderLabels(["Image", "Last stroke", "What to do"])
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setTabKeyNavigation(False)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.boxes: list[QComboBox] = []
        for row, work in enumerate(self._work):
            name, time = QTableWidgetItem(work.name), QTableWidgetItem(time_text(work.last_stroke))
            name.setToolTip(str(work.image))
            self.table.setItem(row, 0, name)
            self.table.setItem(row, 1, time)
            self.boxes.append(_decision_box(work))
            self.table.setCellWidget(row, 2, self.boxes[-1])
        columns = self.table.horizontalHeader()
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        row_height = max([box.sizeHint().height() for box in self.boxes], default=24) + 4
        self.table.verticalHeader().setDefaultSectionSize(row_height)
        self.table.setFixedHeight(row_height * min(max(len(self._work), 1), 4) + columns.sizeHint().height() + 6)

    def _make_buttons(self) -> QDialogButtonBox:
        buttons = QDialogButtonBox()
        self.done_button = buttons.addButton("Continue", QDialogButtonBox.ButtonRole.AcceptRole)
        self.done_button.setToolTip("Do with each mask what is chosen above. A restored mask is not saved yet.")
        self.later_button = buttons.addButton("Not now", QDialogButtonBox.ButtonRole.RejectRole)
        self.later_button.setToolTip("Keep everything and ask again at the next start.")
        self.done_button.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        return buttons

    def _show(self, number: int) -> None:
        if not 0 <= number < len(self._work):
            return
        self.details.setText(details_text(self._work[number]))
        if number not in self._previews:
            self.picture.setText("Loading the preview…")
            self.previewAsked.emit(number)
        self._draw(number)

    def _draw(self, number: int) -> None:
        picture = self._previews.get(number)
        if picture is None:
            return
        if picture.isNull():
            self.picture.setText("There is no preview: the image cannot be read.")
            return
        keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        self.picture.setPixmap(QPixmap.fromImage(picture.scaled(self.picture.size(), keep, smooth)))


def preview(image: Array, before: Array, after: Array) -> QImage:
    """Paint over an image what differs between two masks.

    Parameters
    ----------
    image
        (y, x, 3), uint8.
    before, after
        Class ids or object numbers (y, x): the mask on disk, and as it would be restored.

    Returns
    -------
    QImage
        What was added in green, what was removed in magenta, what changed its class in yellow; a copy.
    """
    pixels = np.array(image, dtype=np.uint8, order="C")
    changed = before != after
    for where, colour in (
        (changed & (before == 0), ADDED),
        (changed & (after == 0), REMOVED),
        (changed & (before != 0) & (after != 0), OTHER),
    ):
        pixels[where] = (pixels[where] * (1 - STRENGTH) + np.array(colour) * STRENGTH).round().astype(np.uint8)
    height, width = pixels.shape[:2]
    return QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def details_text(work: UnsavedWork) -> str:
    """Say in a few sentences what would be restored."""
    changed = f"{work.pixels:,} pixel{'' if work.pixels == 1 else 's'} painted or erased."
    if work.damaged:
        changed += " The last moments before the crash could not be recovered."
    if work.mask_changed:
        changed += " The mask on disk was changed by another program since: compare before you save."
    if work.elsewhere:
        changed += (
            f" It was painted on the computer '{work.elsewhere}', or this one was called so then: restore it if napari "
            "is closed there."
        )
    return changed


def time_text(seconds: float) -> str:
    """Return a time as '14:02' today, else with its date."""
    when, now = datetime.fromtimestamp(seconds), datetime.now()
    return when.strftime("%H:%M" if when.date() == now.date() else "%Y-%m-%d %H:%M")


def _decision_box(work: UnsavedWork) -> QComboBox:
    box = QComboBox()
    box.addItems([decision.value for decision in Decision])
    box.setToolTip(
        "Restore: bring the strokes back, to be saved by you.\nDiscard: go on with the mask as it is on disk.\n"
        "Later: keep them and ask again at the next start."
    )
    box.setAccessibleName(f"What to do with {work.name}")
    if work.elsewhere:  # it may be in use there
        box.setCurrentText(Decision.LATER.value)
    return box


def _sentence(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    return label
