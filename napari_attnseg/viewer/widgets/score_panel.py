"""Whether the model got better: its scores on the held-out images, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_attnseg.wording import counted

NO_SCORE = "No model has been scored yet: train one, with some images held out."
_COLUMNS = {
    "f1": ("F1", "F1, which is Dice: overlap of prediction and mask, 1 is perfect."),
    "jaccard": ("Jaccard", "Jaccard, which is IoU: overlap divided by what either covers."),
    "recall": ("Recall", "Recall: share of the mask that was found."),
    "precision": ("Precision", "Precision: share of the prediction that is right."),
}
_NOTICEABLE = 0.005  # what rounds to no difference is called none


@dataclass(frozen=True)
class ScoreRow:
    """Scores from 0 to 1 of one class, or their mean; None where there is no figure."""

    name: str
    f1: float | None = None
    jaccard: float | None = None
    recall: float | None = None
    precision: float | None = None


@dataclass(frozen=True)
class ScoreChange:
    """What a model scores, and what the one it started from scored on the same images."""

    now: float | None = None
    was: float | None = None
    held_out: int = 0
    """How many images were held out."""
    name: str = "F1"
    """'F1', or 'Dice' for several classes."""


class ScorePanel(QWidget):
    """A sentence on the change, two buttons, and a table."""

    useAsked = Signal()
    """The new model is to be used."""
    rollBackAsked = Signal()
    """The model that was used before is to be used again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._change = ScoreChange()
        self._rows: tuple[ScoreRow, ...] = ()
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.use_button = QPushButton("Use")
        self.use_button.clicked.connect(lambda: self.useAsked.emit())
        self.back_button = QPushButton("Roll back")
        self.back_button.clicked.connect(lambda: self.rollBackAsked.emit())
        self.table = QLabel()
        self.table.setWordWrap(True)
        self.table.setTextFormat(Qt.TextFormat.RichText)
        self.table.setToolTip("\n".join(tip for _, tip in _COLUMNS.values()))
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.use_button)
        buttons.addWidget(self.back_button)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.sentence)
        layout.addLayout(buttons)
        layout.addWidget(self.table)
        self.setChange(ScoreChange())
        self.setRows(())
        self.setUsable(False)
        self.setRollBack("")

    def change(self) -> ScoreChange:
        """Return the scores that the sentence tells."""
        return self._change

    def setChange(self, change: ScoreChange) -> None:
        """Tell what the model scores now, and what the one before scored on the same images."""
        self._change = change
        self.sentence.setText(change_text(change))
        self.sentence.setToolTip("Held-out images are never trained on, so that they show what is new to the model.")

    def rows(self) -> tuple[ScoreRow, ...]:
        """Return what the table shows."""
        return self._rows

    def setRows(self, rows: Sequence[ScoreRow]) -> None:
        """Show scores in the table: their mean, then each class; columns without any figure are left out."""
        self._rows = tuple(rows)
        self.table.setText(_table(self._rows))
        self.table.setVisible(bool(rows))

    def setUsable(self, usable: bool) -> None:
        """Say whether the new model can be put to use, as it is not in use yet."""
        self.use_button.setVisible(usable)
        self.use_button.setToolTip("Predict with the new model from now on.")

    def setRollBack(self, name: str) -> None:
        """Name the model that 'Roll back' returns to; '' if there is none."""
        self.back_button.setEnabled(bool(name))
        self.back_button.setToolTip(
            f"Use the model from before again: {name}." if name else "There is no model before."
        )


def change_text(change: ScoreChange) -> str:
    """Say in a sentence what the model scores, and whether that is better than before."""
    if change.now is None:
        return NO_SCORE
    images = counted(change.held_out, "held-out image")
    if change.was is None:
        return f"{change.name} {change.now:.2f} on {images}"
    difference = change.now - change.was
    word = "better" if difference >= _NOTICEABLE else "worse" if difference <= -_NOTICEABLE else "about the same"
    return f"{change.name} was {change.was:.2f} → now {change.now:.2f} on {images}: {word}"


def _table(rows: Sequence[ScoreRow]) -> str:
    columns = [name for name in _COLUMNS if any(getattr(row, name) is not None for row in rows)]
    heads = "".join(f"<td align='right'>{_COLUMNS[name][0]}</td>" for name in columns)
    lines = [f"<tr><td></td>{heads}</tr>"]
    for row in rows:
        cells = "".join(f"<td align='right'>{_figure(getattr(row, name))}</td>" for name in columns)
        lines.append(f"<tr><td>{escape(row.name)}</td>{cells}</tr>")
    return f"<table width='100%' cellspacing='0' cellpadding='2'>{''.join(lines)}</table>"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
