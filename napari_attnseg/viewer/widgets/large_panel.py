"""A large image that is predicted into files: a sentence on it, how far it is, and a button that stops it."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_attnseg.viewer.widgets.time_text import share, time_left
from napari_attnseg.viewer.widgets.tips import wrapped

_STEPS = 1000  # of the bar


class LargePanel(QWidget):
    """Hidden while there is nothing to say."""

    cancelAsked = Signal()
    logAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._busy = self._has_log = False
        self.sentence = _text()
        self.line = _text()
        self.bar = QProgressBar()
        self.bar.setAccessibleName("How far the prediction of the large image is")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip(
            wrapped("Stop predicting. Finished rows are kept, and Predict goes on after them.")
        )
        self.cancel_button.clicked.connect(lambda: self.cancelAsked.emit())
        self.log_button = QPushButton("Show log")
        self.log_button.setToolTip("Show what the prediction wrote before it failed, for a report.")
        self.log_button.clicked.connect(lambda: self.logAsked.emit())
        self._lay_out()
        self._show()

    def setSentence(self, sentence: str, *, log: bool = False) -> None:
        """Say something on the image that is shown or was predicted; with a button for the log if it failed."""
        self.sentence.setText(sentence)
        self._has_log = log
        self._show()

    def setProgress(self, name: str, done: float, text: str, seconds_left: float | None = None) -> None:
        """Show how far an image is: its name, a share from 0 to 1, and words such as 'row 3 of 18'."""
        self._busy = True
        self.cancel_button.setEnabled(True)
        self.bar.setRange(0, _STEPS if done > 0 else 0)  # moves to and fro before anything is done
        self.bar.setValue(round(_STEPS * done))
        self.bar.setFormat(share(done))
        parts = [name, text, "" if seconds_left is None else time_left(seconds_left)]
        self.line.setText(" · ".join(filter(None, parts)))
        self._show()

    def setStopping(self) -> None:
        """Show that it is being stopped."""
        self.cancel_button.setEnabled(False)
        self.bar.setRange(0, 0)

    def setIdle(self) -> None:
        """Show that nothing is being predicted."""
        self._busy = False
        self._show()

    def isBusy(self) -> bool:
        """Whether a prediction is shown to be going on."""
        return self._busy

    def _lay_out(self) -> None:
        progress = QHBoxLayout()
        progress.setSpacing(4)
        progress.addWidget(self.bar, 1)
        progress.addWidget(self.cancel_button)
        log_row = QHBoxLayout()
        log_row.addWidget(self.log_button)
        log_row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.sentence)
        layout.addLayout(log_row)
        layout.addLayout(progress)
        layout.addWidget(self.line)

    def _show(self) -> None:
        for widget in (self.bar, self.cancel_button, self.line):
            widget.setVisible(self._busy)
        self.sentence.setVisible(bool(self.sentence.text()))
        self.log_button.setVisible(self._has_log)
        self.setVisible(self._busy or bool(self.sentence.text()))


def _text() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)  # whatever signs it holds
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
