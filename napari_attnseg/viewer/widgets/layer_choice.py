"""Which of the things that a model gives are shown as layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QWidget

from napari_attnseg.viewer.widgets.elided_box import ElidedBox

_TIPS = {
    "prediction": "The objects that the model found.",
    "probability": "How probable it is at each pixel, from 0 to 1.",
    "attention": "The areas the model looks at, by level: the first is the coarsest.",
    "uncertainty": "Where the model is not sure: look there first.",
}
_NO_GATES = "This model has no attention gates, which are what shows the areas a model looks at."


@dataclass(frozen=True)
class ShownLayers:
    """What is chosen in a `LayerChoice`."""

    prediction: bool = True
    probability: bool = False
    probability_class: int = 0
    """Index among the model's classes as they were given."""
    attention: bool = False
    level: int = 0
    """Index of the attention gate, the deepest and coarsest first."""
    uncertainty: bool = False


class LayerChoice(QWidget):
    """A tick for each kind of layer, with a list of classes and one of levels."""

    changed = Signal(object)
    """ShownLayers; not emitted by `setValue`, `setClasses` and `setLevels`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._setting = False
        self.boxes = {name: _tick(name, tip) for name, tip in _TIPS.items()}
        self.class_box = _list("Class whose probability is shown")
        self.level_box = _list("Level of attention that is shown")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self.boxes["prediction"], 0, 0)
        grid.addWidget(self.boxes["uncertainty"], 0, 1)
        grid.addWidget(self.boxes["probability"], 1, 0)
        grid.addWidget(self.class_box, 1, 1)
        grid.addWidget(self.boxes["attention"], 2, 0)
        grid.addWidget(self.level_box, 2, 1)
        for box in self.boxes.values():
            box.toggled.connect(lambda _: self._tell())
        for chooser in (self.class_box, self.level_box):
            chooser.currentIndexChanged.connect(lambda _: self._tell())
        self.setClasses(())
        self.setLevels(0)
        self.setValue(ShownLayers())

    def value(self) -> ShownLayers:
        """Return what is chosen; attention is off where the model has no gates."""
        ticked = {name: bool(box.isChecked()) for name, box in self.boxes.items()}
        ticked["attention"] &= self.level_box.count() > 0
        return ShownLayers(
            **ticked,
            probability_class=max(int(self.class_box.currentIndex()), 0),
            level=max(int(self.level_box.currentIndex()), 0),
        )

    def setValue(self, shown: ShownLayers) -> None:
        """Choose everything at once; a class or level that is not there leaves the one that was chosen."""
        self._setting = True
        for name, box in self.boxes.items():
            box.setChecked(getattr(shown, name))
        for chooser, row in ((self.class_box, shown.probability_class), (self.level_box, shown.level)):
            if 0 <= row < chooser.count():
                chooser.setCurrentIndex(row)
        self._setting = False
        self._enable()

    def setClasses(self, names: Sequence[str]) -> None:
        """Offer the classes of the model; a single one needs no list. The one that was chosen stays by its name."""
        self._offer(self.class_box, list(names))
        self.class_box.setVisible(len(names) > 1)

    def setLevels(self, count: int) -> None:
        """Offer the levels of attention, the coarsest first; 0 for a model without gates.

        Where their number changes the finest one is chosen.
        """
        names = [f"level {number}" for number in range(1, count + 1)]
        if count > 1:
            names[0] += " (coarsest)"
            names[-1] += " (finest)"
        same = self.level_box.count() == count
        self._offer(self.level_box, names)
        if not same:
            self._setting = True
            self.level_box.setCurrentIndex(count - 1)
            self._setting = False
        self._enable()

    def _offer(self, chooser: QComboBox, names: list[str]) -> None:
        before = chooser.currentText()
        self._setting = True
        chooser.clear()
        chooser.addItems(names)
        chooser.setCurrentIndex(names.index(before) if before in names else min(0, len(names) - 1))
        self._setting = False

    def _enable(self) -> None:
        has_levels = self.level_box.count() > 0
        self.boxes["attention"].setEnabled(has_levels)
        self.boxes["attention"].setToolTip(_TIPS["attention"] if has_levels else _NO_GATES)
        self.level_box.setVisible(has_levels)
        self.class_box.setEnabled(self.boxes["probability"].isChecked())
        self.level_box.setEnabled(self.boxes["attention"].isChecked())

    def _tell(self) -> None:
        if not self._setting:
            self._enable()
            self.changed.emit(self.value())


def _tick(name: str, tip: str) -> QCheckBox:
    box = QCheckBox(name.capitalize())
    box.setToolTip(tip)
    return box


def _list(name: str) -> QComboBox:
    box = ElidedBox(name)
    box.setToolTip(f"{name}.")
    return box
