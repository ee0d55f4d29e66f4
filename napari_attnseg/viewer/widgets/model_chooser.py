"""Which model predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_attnseg.viewer.widgets.elided_box import ElidedBox

NO_MODEL = "No model yet: choose one from the list, or train one in the Train dock."
A_FILE = "a file…"


@dataclass(frozen=True)
class ModelOption:
    """A model that can be chosen."""

    label: str
    """Tells it from the others, such as 'today 10:12, F1 0.88'."""
    path: Path
    group: str = ""
    """The heading it stands under: 'Trained here' or 'Recent'; '' for none, and before those that have one."""
    tooltip: str = ""
    details: str = ""
    """Its classes, its score and when it was trained, for the line below."""
    is_natural: bool = False
    """Whether a training starts from it unless the user says otherwise."""


class ModelChooser(QWidget):
    """A list of models under headings, with what is known of the chosen one below."""

    chosen = Signal(object)
    """The model file (Path) that the user picked; not emitted by `setValue`."""
    fileAsked = Signal()
    """The user wants to choose a file."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options: tuple[ModelOption, ...] = ()
        self._value: Path | None = None
        self.box = ElidedBox("The model that predicts")
        self.box.activated.connect(self._on_activated)
        self.details = QLabel()
        self.details.setWordWrap(True)
        self.details.setTextFormat(Qt.TextFormat.PlainText)  # whatever signs it holds
        label = QLabel("Model")
        label.setBuddy(self.box)
        row = QHBoxLayout()
        row.addWidget(label)
        row.addWidget(self.box, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.details)
        self.setChoices(())

    def setChoices(self, options: Sequence[ModelOption]) -> None:
        """Offer these models; those of a group one after the other. The chosen one stays if it is among them."""
        self._options = tuple(options)
        if self._value not in [option.path for option in options]:
            self._value = None
        self._show()

    def choices(self) -> tuple[ModelOption, ...]:
        """Return the models that are offered."""
        return self._options

    def value(self) -> Path | None:
        """Return the model that is chosen."""
        return self._value

    def setValue(self, path: Path | None) -> None:
        """Choose a model; one that is not offered is none."""
        self._value = path if path in [option.path for option in self._options] else None
        self._show()

    def _on_activated(self, row: int) -> None:
        path = self.box.itemData(row)
        self._show()  # the row that asks for a file is not chosen by that
        if isinstance(path, Path):
            self.setValue(path)
            self.chosen.emit(path)
        elif self.box.itemText(row) == A_FILE:
            self.fileAsked.emit()

    def _show(self) -> None:
        self.box.clear()
        if self._value is None:
            self.box.addItem("choose a model" if self._options else "none")
            self.box.model().item(0).setEnabled(False)
        add_models(self.box, self._options)
        self.box.insertSeparator(self.box.count())
        self.box.addItem(A_FILE)
        self.box.setItemData(self.box.count() - 1, "Choose a model file (.safetensors).", Qt.ItemDataRole.ToolTipRole)
        chosen = next((option for option in self._options if option.path == self._value), None)
        self.box.setCurrentIndex(0 if chosen is None else find_model(self.box, chosen.path))
        self.box.setToolTip(f"{chosen.label}\n{chosen.tooltip}".strip() if chosen else "The model that predicts.")
        self.details.setText(chosen.details if chosen else NO_MODEL)
        self.details.setVisible(bool(self.details.text()))


def add_models(box: QComboBox, options: Sequence[ModelOption]) -> None:
    """Add models under their headings, which cannot be chosen."""
    heading = ""
    for option in options:
        if option.group != heading:
            heading = option.group
            if heading:
                box.addItem(heading)
                box.model().item(box.count() - 1).setEnabled(False)
        box.addItem(option.label, option.path)
        box.setItemData(box.count() - 1, option.tooltip or str(option.path), Qt.ItemDataRole.ToolTipRole)


def find_model(box: QComboBox, path: Path) -> int:
    """Return the row of a model; -1 if it is not there."""
    # findData compares objects as Qt does, which is not by value for paths
    return next((row for row in range(box.count()) if box.itemData(row) == path), -1)
