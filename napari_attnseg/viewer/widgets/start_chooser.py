"""Where a training starts from, and for how long it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSpinBox, QWidget

from napari_attnseg.viewer.widgets.elided_box import ElidedBox
from napari_attnseg.viewer.widgets.model_chooser import A_FILE, ModelOption, add_models, find_model

NEW = "a new model"
_TIMES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 480.0)
_EPOCHS = "epochs:"


@dataclass(frozen=True)
class StartChoice:
    """What is chosen: one of `minutes` and `epochs` is None."""

    start: Path | None = None
    """The model to start from; None for a new one."""
    minutes: float | None = 5.0
    epochs: int | None = None


class StartChooser(QWidget):
    """Two rows: 'Start from' and 'For'."""

    changed = Signal(object)
    """The user chose something else: a StartChoice."""
    fileAsked = Signal()
    """The user wants to choose a model file."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._options: tuple[ModelOption, ...] = ()
        self._files: tuple[ModelOption, ...] = ()
        self._in_use: Path | None = None
        self._start: Path | None = None
        self._is_chosen = False
        """Whether somebody chose the start; else it is the first model that is natural for the images."""
        self.start_box = ElidedBox("What the training starts from")
        self.start_box.activated.connect(self._on_start)
        self._make_times()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.setColumnStretch(1, 1)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.time_box, 1)
        row.addWidget(self.epochs_box)
        for number, (text, box) in enumerate((("Start from", self.start_box), ("For", self.time_box))):
            label = QLabel(text)
            label.setBuddy(box)
            grid.addWidget(label, number, 0)
        grid.addWidget(self.start_box, 0, 1)
        grid.addLayout(row, 1, 1)
        self._show_starts()
        self.setValue(StartChoice())
        self._is_chosen = False

    def value(self) -> StartChoice:
        """Return what is chosen."""
        minutes = self.time_box.currentData()
        epochs = int(self.epochs_box.value()) if minutes is None else None
        return StartChoice(self._start, minutes, epochs)

    def setValue(self, choice: StartChoice) -> None:
        """Choose everything at once; a starting model that is not offered is offered from now on. Emits nothing."""
        self._start, self._is_chosen = choice.start, True
        if choice.start is not None and choice.start not in self._paths():
            self._files += (ModelOption(choice.start.name, choice.start, "From a file", str(choice.start)),)
        self._show_starts()
        if choice.minutes is not None:
            self._choose_minutes(choice.minutes)
        elif choice.epochs is not None:
            self.time_box.setCurrentIndex(self.time_box.findText(_EPOCHS))
            self.epochs_box.blockSignals(True)
            self.epochs_box.setValue(choice.epochs)
            self.epochs_box.blockSignals(False)
        self._show_epochs()

    def setChoices(self, options: Sequence[ModelOption], in_use: Path | None = None) -> None:
        """Offer models to start from, besides files that were chosen by `setValue`.

        What is natural for the images comes first and is chosen as long as nobody has chosen anything, then a new
        model, then the model in use and the others. A model that is no longer offered is not started from.
        """
        self._options, self._in_use = tuple(options), in_use
        if self._start is not None and self._start not in self._paths():
            self._is_chosen = False
        if not self._is_chosen:
            self._start = next((option.path for option in options if option.is_natural), None)
        self._show_starts()

    def _paths(self) -> list[Path]:
        return [option.path for option in (*self._options, *self._files)]

    def _make_times(self) -> None:
        self.time_box = ElidedBox("How long to train")
        self.time_box.setToolTip("How long to train. It can be stopped at any time, and the best model is kept.")
        self.time_box.setMinimumContentsLength(5)
        for minutes in _TIMES:
            self.time_box.addItem(_time_text(minutes), minutes)
        self.time_box.addItem(_EPOCHS)
        self.time_box.activated.connect(lambda _: self._on_time())
        self.epochs_box = QSpinBox()
        # napari's own width leaves too little for the times beside it
        self.epochs_box.setStyleSheet("QSpinBox { min-width: 74px; }")
        self.epochs_box.setRange(1, 100_000)
        self.epochs_box.setValue(100)
        self.epochs_box.setToolTip("Rounds of training; after each the held-out images are scored.")
        self.epochs_box.setAccessibleName("Number of epochs")
        self.epochs_box.valueChanged.connect(lambda _: self.changed.emit(self.value()))

    def _choose_minutes(self, minutes: float) -> None:
        times = [self.time_box.itemData(row) for row in range(self.time_box.count() - 1)]
        if minutes not in times:
            place = sum(time < minutes for time in times)
            self.time_box.insertItem(place, _time_text(minutes), minutes)
            times.insert(place, minutes)
        self.time_box.setCurrentIndex(times.index(minutes))

    def _on_time(self) -> None:
        self._show_epochs()
        self.changed.emit(self.value())

    def _show_epochs(self) -> None:
        self.epochs_box.setVisible(self.time_box.currentText() == _EPOCHS)

    def _on_start(self, row: int) -> None:
        if self.start_box.itemText(row) == A_FILE:
            self._show_starts()  # what was chosen stays until there is a file
            self.fileAsked.emit()
            return
        self._start, self._is_chosen = self.start_box.itemData(row), True
        self._show_starts()
        self.changed.emit(self.value())

    def _show_starts(self) -> None:
        box = self.start_box
        box.clear()
        first = [option for option in self._options if option.is_natural]
        add_models(box, first)
        box.addItem(NEW)
        new = box.count() - 1
        box.setItemData(new, "Knows nothing yet, and takes the longest.", Qt.ItemDataRole.ToolTipRole)
        listed = [option.path for option in self._options]
        others = [*self._options, *(option for option in self._files if option.path not in listed)]
        others = [option for option in others if not option.is_natural]
        used = [option for option in others if option.path == self._in_use]
        named = [replace(option, label=f"in use: {option.label}", group="") for option in used]
        add_models(box, [*named, *(option for option in others if option.path != self._in_use)])
        box.insertSeparator(box.count())
        box.addItem(A_FILE)
        box.setItemData(box.count() - 1, "Choose a model file (.safetensors).", Qt.ItemDataRole.ToolTipRole)
        box.setCurrentIndex(new if self._start is None else find_model(box, self._start))
        box.setToolTip(f"{box.currentText()}\nA model that knows similar images learns the new ones sooner.")


def _time_text(minutes: float) -> str:
    value, unit = (minutes / 60, "hour") if minutes >= 60 else (minutes, "minute")
    return f"{value:g} {unit}{'' if value == 1 else 's'}"
