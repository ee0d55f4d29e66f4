"""How far the search for objects is, and what came of it."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

_STEPS = 1000


class ObjectProgress(QWidget):
    """A bar with a button to stop while it works, else a sentence."""

    stopAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("How far the objects are")
        self.bar.setTextVisible(False)
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("Give up; the objects that were shown before stay.")
        self.stop_button.clicked.connect(lambda: self.stopAsked.emit())
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.line.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.bar, 1)
        row.addWidget(self.stop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.line)
        self.setIdle("")

    def setProgress(self, done: float) -> None:
        """Show a share from 0 to 1; at 0 the bar moves to and fro."""
        self.bar.setRange(0, _STEPS if done > 0 else 0)
        self.bar.setValue(round(_STEPS * done))
        self._show(busy=True)

    def setIdle(self, sentence: str) -> None:
        """Show that nothing is being done, and a sentence."""
        self.line.setText(sentence)
        self._show(busy=False)

    def _show(self, *, busy: bool) -> None:
        self.bar.setVisible(busy)
        self.stop_button.setVisible(busy)
        self.line.setVisible(not busy and bool(self.line.text()))
