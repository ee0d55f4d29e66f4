"""The curves of a training: the loss, and how well the held-out images are predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_attnseg.viewer.widgets.plots import (
    BLUE,
    GREY,
    ORANGE,
    TOP,
    colour_plot,
    key,
    make_plot,
    pyqtgraph,
    set_whole_ticks,
)

NOTHING = "The curves appear with the first batches."
NOT_HELD_OUT = "No image is held out, so there is no score."
_HEIGHT = 92
_DICE = "val_dice_"
_LONGEST = 28  # characters of a class name in the legend


class TrainingCurves(QWidget):
    """Two plots above each other: loss, and score on the held-out images from 0 to 1, by epoch."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[dict[str, float]] = []
        self._running: list[tuple[float, float]] = []
        self._start: float | None = None
        self._colours: dict[str, str] = {}
        self.loss_plot: Any = None
        self.score_plot: Any = None
        self.message = QLabel(NOTHING)
        self.message.setWordWrap(True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message.setEnabled(False)
        self.loss_text, self.score_text = _legend(), _legend()
        self.loss_text.setToolTip("What training makes smaller; on the held-out images it shows over-training.")
        self.score_text.setToolTip(
            "How well the held-out images are predicted, which are never trained on: 0 is all wrong, 1 is perfect."
        )
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(1)
        for widget in (self.message, self.loss_text, self.score_text):
            self._column.addWidget(widget)
        self._show()

    def setRows(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Show these epochs, with the columns of metrics.csv, and no running one."""
        self._rows = [dict(row) for row in rows]
        self._running.clear()
        self._show()

    def addRow(self, row: Mapping[str, float]) -> None:
        """Show one more epoch; one with the same number is replaced, as after a training that was taken up again."""
        self._rows = [old for old in self._rows if old["epoch"] < row["epoch"]] + [dict(row)]
        self._running.clear()
        self._show()

    def addLoss(self, step_share: float, loss: float) -> None:
        """Show the loss of a batch of the running epoch, `step_share` (0 to 1) of which is done."""
        self._running.append((step_share, loss))
        self._show()

    def rows(self) -> list[dict[str, float]]:
        """Return the epochs that are shown."""
        return [dict(row) for row in self._rows]

    def setStart(self, score: float | None) -> None:
        """Show what the starting model scored on the held-out images; None if there is none."""
        self._start = score
        self._show()

    def setClasses(self, names: Sequence[str], colours: Sequence[str]) -> None:
        """Give the classes' curves their colours, '#rrggbb'."""
        self._colours = dict(zip(names, colours, strict=True))
        self._show()

    def clear(self) -> None:
        """Show nothing, as before a training."""
        self._rows, self._running, self._start = [], [], None
        self._show()

    def best(self) -> tuple[int, float] | None:
        """Return the epoch with the highest score, and the score."""
        found = [(row["val_score"], -row["epoch"]) for row in self._rows if not _missing(row, "val_score")]
        return (round(-max(found)[1]), max(found)[0]) if found else None

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        changes = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
        if event is not None and event.type() in changes and getattr(self, "loss_plot", None) is not None:
            self._colour()

    def _show(self) -> None:
        some = bool(self._rows or self._running)
        if some and self.loss_plot is None:
            self._make_plots()
        self.message.setVisible(not some)
        for widget in (self.loss_text, self.loss_plot, self.score_text):
            if widget is not None:
                widget.setVisible(some)
        if some:
            self._draw_loss()
            self._draw_scores()
        elif self.score_plot is not None:  # with the curves of the run before
            self.score_plot.hide()

    def _make_plots(self) -> None:
        self.loss_plot = make_plot(_HEIGHT - 14, "Curve of the loss")
        self.loss_plot.getPlotItem().getAxis("bottom").setStyle(showValues=False)
        self.loss_plot.getPlotItem().getAxis("bottom").setHeight(2)
        self.score_plot = make_plot(_HEIGHT, "Curve of the scores on held-out images")
        self._column.insertWidget(2, self.loss_plot)
        self._column.addWidget(self.score_plot)
        self._colour()

    def _colour(self) -> None:
        for plot in (self.loss_plot, self.score_plot):
            colour_plot(plot, self)

    def _epochs(self) -> list[float]:
        return [row["epoch"] for row in self._rows]

    def _draw_loss(self) -> None:
        self.loss_plot.clear()
        last = self._epochs()[-1] if self._rows else 0.0
        running = [(last + share, loss) for share, loss in self._running]
        self._plot(self.loss_plot, [x for x, _ in running], [y for _, y in running], BLUE, faint=True)
        self._plot(self.loss_plot, self._epochs(), self._values("loss"), BLUE)
        keys = [key(BLUE, "training")]
        if self._has("val_loss"):
            self._plot(self.loss_plot, self._epochs(), self._values("val_loss"), ORANGE)
            keys.append(key(ORANGE, "held out"))
        self.loss_text.setText(f"<b>Loss</b> &nbsp; {' &nbsp; '.join(keys)}")
        values = [y for _, y in running] + self._values("loss") + self._values("val_loss")
        top = max((value for value in values if math.isfinite(value)), default=1.0) or 1.0
        self._set_range(self.loss_plot, 1.1 * top)

    def _draw_scores(self) -> None:
        self.score_plot.clear()
        held_out = self._has("val_score") or self._start is not None or not self._rows
        self.score_plot.setVisible(held_out)
        if not held_out:
            self.score_text.setText(NOT_HELD_OUT)
            return
        if not self._rows:
            keys = self._draw_marks() or ["after the first epoch"]
            self.score_text.setText(f"<b>Held out</b> &nbsp; {' &nbsp; '.join(keys)}")
            self._set_range(self.score_plot, TOP)
            return
        curves = self._curves()
        keys = []
        for column, (name, colour) in curves.items():
            self._plot(self.score_plot, self._epochs(), self._values(column), colour)
            keys.append(key(colour, _shortened(name)) if name else "")
        keys += self._draw_marks()
        kind = "Dice" if len(curves) > 1 or any(_DICE in column for column in curves) else "F1"
        self.score_text.setText(f"<b>Held-out {kind}</b> &nbsp; {' &nbsp; '.join(filter(None, keys))}")
        self._set_range(self.score_plot, TOP)

    def _draw_marks(self) -> list[str]:
        """Draw the starting model's score and the best epoch; return their entries of the legend."""
        pg, keys, best = pyqtgraph(), [], self.best()
        dashed = pg.mkPen(GREY, width=1.5, style=Qt.PenStyle.DashLine)
        if self._start is not None:
            self.score_plot.addItem(pg.InfiniteLine(self._start, angle=0, pen=dashed))
            keys.append(key(GREY, f"at the start {self._start:.2f}", dashed=True))
        if best is not None:
            epoch, score = best
            dots = pg.mkPen(GREY, style=Qt.PenStyle.DotLine)
            self.score_plot.addItem(pg.InfiniteLine(epoch, angle=90, pen=dots))
            self.score_plot.plot([epoch], [score], pen=None, symbol="star", symbolSize=13, symbolBrush=ORANGE)
            keys.append(f'<span style="color:{ORANGE}">★</span>&nbsp;best&nbsp;{score:.2f}, epoch&nbsp;{epoch}')
        return keys

    def _curves(self) -> dict[str, tuple[str, str]]:
        """Return the name and colour of each column to be drawn: F1 of a single class, else Dice of each class."""
        names = [name for name in self._rows[-1] if name.startswith(_DICE)][1:] if self._rows else []  # no background
        if not names:
            return {"val_f1" if self._has("val_f1") else "val_score": ("", BLUE)}
        pg = pyqtgraph()
        spare = [pg.intColor(number, len(names)).name() for number in range(len(names))]
        shown = [name.removeprefix(_DICE) for name in names]
        return {
            column: (name, self._colours.get(name, spare[number]))
            for number, (column, name) in enumerate(zip(names, shown, strict=True))
        }

    def _plot(self, plot: Any, x: Sequence[float], y: Sequence[float], colour: str, *, faint: bool = False) -> None:
        if not x:
            return
        pg = pyqtgraph()
        pen = pg.mkColor(colour)
        pen.setAlpha(120 if faint else 255)
        few = not faint and len(x) < 12  # one epoch alone makes no line
        marks = {"symbol": "o", "symbolSize": 5, "symbolBrush": colour, "symbolPen": None} if few else {}
        plot.plot(list(x), list(y), pen=pg.mkPen(pen, width=1 if faint else 2), connect="finite", **marks)

    def _set_range(self, plot: Any, top: float) -> None:
        right = (self._epochs()[-1] if self._rows else 0) + (1 if self._running else 0)
        plot.getPlotItem().setXRange(0, max(right, 1) * 1.02, padding=0)
        plot.getPlotItem().setYRange(0, top, padding=0)
        set_whole_ticks(plot, right)

    def _values(self, column: str) -> list[float]:
        return [float(row.get(column, math.nan)) for row in self._rows]

    def _has(self, column: str) -> bool:
        return any(not _missing(row, column) for row in self._rows)


def _missing(row: Mapping[str, float], column: str) -> bool:
    return math.isnan(float(row.get(column, math.nan)))


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _legend() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    return label
