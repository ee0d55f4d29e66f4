"""How much correction predictions needed: the honest measure of what is left to do by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_attnseg.viewer.widgets.plots import BLUE, GREY, TOP, colour_plot, make_plot, pyqtgraph, set_whole_ticks

NOTHING = "Save a mask that you made from a prediction to see here how much correction it needed."
_RECENT = 10
_LITTLE, _SOME = 0.9, 0.7  # Dice from which on little, or some, correction was needed
_HEIGHT = 90


class EffortPlot(QWidget):
    """Dice between what was predicted and what was saved, image by image, with a sentence on the latest ones."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dice: tuple[float, ...] = ()
        self._names: tuple[str, ...] = ()
        self.plot: Any = None
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addWidget(self.sentence)
        self.setValue(())

    def value(self) -> tuple[float, ...]:
        """Return what is shown."""
        return self._dice

    def setValue(self, dice: Sequence[float], names: Sequence[str] = ()) -> None:
        """Show the Dice (0 to 1) of each image that was corrected, the oldest first, and their names in the tooltip."""
        self._dice, self._names = tuple(dice), tuple(names)
        self.sentence.setText(effort_text(self._dice))
        if self._dice and self.plot is None:
            self.plot = make_plot(_HEIGHT, "How much correction each image needed")
            self._column.addWidget(self.plot)
            colour_plot(self.plot, self)
        if self.plot is not None:
            self.plot.setVisible(bool(self._dice))
            self._draw()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        changes = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
        if event is not None and event.type() in changes and getattr(self, "plot", None) is not None:
            colour_plot(self.plot, self)

    def _draw(self) -> None:
        pg, count = pyqtgraph(), len(self._dice)
        numbers = list(range(1, count + 1))
        item = self.plot.getPlotItem()
        item.clear()
        item.plot(numbers, list(self._dice), pen=None, symbol="o", symbolSize=5, symbolBrush=BLUE, symbolPen=None)
        item.plot(numbers, _running_mean(self._dice), pen=pg.mkPen(BLUE, width=2))
        dashed = pg.mkPen(GREY, width=1, style=Qt.PenStyle.DashLine)
        item.addItem(pg.InfiniteLine(1.0, angle=0, pen=dashed))
        item.setXRange(0.5, count + 0.5, padding=0)
        item.setYRange(0, TOP, padding=0)
        set_whole_ticks(self.plot, count)
        last = [f"{name}: {dice:.2f}" for name, dice in zip(self._names, self._dice, strict=False)][-_RECENT:]
        tip = "Each dot is an image that was corrected and saved; 1 needed no correction. The line is the mean of ten."
        self.plot.setToolTip("\n".join([tip.replace(". ", ".\n"), *last]))


def effort_text(dice: Sequence[float]) -> str:
    """Say in a sentence how much correction the latest images needed."""
    if not dice:
        return NOTHING
    recent = list(dice)[-_RECENT:]
    mean = sum(recent) / len(recent)
    which = "The last image" if len(recent) == 1 else f"The last {len(recent)} images"
    need = "little" if mean >= _LITTLE else "some" if mean >= _SOME else "much"
    return f"{which} needed {need} correction: Dice {mean:.2f}."


def _running_mean(values: Sequence[float]) -> list[float]:
    windows = [values[max(end - _RECENT, 0) : end] for end in range(1, len(values) + 1)]
    return [sum(window) / len(window) for window in windows]
