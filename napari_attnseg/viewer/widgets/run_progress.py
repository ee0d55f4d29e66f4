"""How far a training is, and what can be done to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_attnseg.viewer.widgets.time_text import memory, share, speed, time_left

RunState = Literal["idle", "starting", "running", "paused", "stopping", "finished", "cancelled", "failed"]

_ALIVE = ("starting", "running", "paused", "stopping")
_LINES = {"starting": "Starting…", "stopping": "Stopping; what was learnt is being saved…"}
_STEPS = 1000  # of the bar


class RunProgress(QWidget):
    """A bar, a line of figures, buttons, and sentences on what happened."""

    pauseAsked = Signal()
    goOnAsked = Signal()
    stopAsked = Signal()
    previewToggled = Signal(bool)
    """Whether the prediction of the image that is shown is to be made anew with each better model."""
    logAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state: RunState = "idle"
        self._figures = ""
        self._notices: list[str] = []
        self.bar = QProgressBar()
        self.bar.setAccessibleName("How far the training is")
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.line.setToolTip("Patches are the squares that images are cut into to learn from.")
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)  # whatever signs it holds
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._make_buttons()
        self._lay_out()
        self.setState("idle")

    def state(self) -> RunState:
        """Return what the run does."""
        return self._state

    def setState(self, state: RunState, sentence: str = "") -> None:
        """Say what the run does, and how it ended; at 'idle' and 'starting' what is known of an earlier run goes."""
        if state in ("idle", "starting"):
            self._figures = ""
            self._notices.clear()
        if state == "starting":
            self.bar.setRange(0, 0)  # moves to and fro
        self._state = state
        self._sentence = sentence
        if state == "stopping":
            self.bar.setRange(0, 0)
        elif self.bar.maximum() == 0 and state in ("paused", "running"):
            self.bar.setRange(0, _STEPS)
        self._show()

    def setProgress(
        self,
        done: float,
        details: Mapping[str, Any],
        seconds_left: float | None = None,
        images_per_second: float | None = None,
    ) -> None:
        """Show how far the run is.

        Parameters
        ----------
        done
            Share of the whole, 0 to 1.
        details
            'epoch', 'epochs', 'batch', 'batches' and 'memory' (bytes), as far as they are known.
        """
        if self._state != "stopping":
            self.bar.setRange(0, _STEPS)
        self.bar.setValue(round(_STEPS * done))
        self.bar.setFormat(share(done))
        parts = [_count("epoch", details, "epochs"), _count("batch", details, "batches")]
        parts.append("" if seconds_left is None else time_left(seconds_left))
        parts.append(speed(images_per_second) if images_per_second else "")
        parts.append(memory(details["memory"]) if details.get("memory") else "")
        self._figures = " · ".join(_unbroken(part) for part in parts if part)
        self._show()

    def addNotice(self, sentence: str) -> None:
        """Show what the run reports; it goes on."""
        if sentence not in self._notices:
            self._notices.append(sentence)
        self._show()

    def preview(self) -> bool:
        """Return whether one wants to see what the model predicts while it learns."""
        return bool(self.preview_box.isChecked())

    def setPreview(self, on: bool) -> None:
        """Set the tick; `previewToggled` is emitted if that changes it."""
        self.preview_box.setChecked(on)

    def _make_buttons(self) -> None:
        self.pause_button = QPushButton("Pause")
        self.pause_button.clicked.connect(self._on_pause)
        self.stop_button = QPushButton("Stop and keep")
        self.stop_button.setToolTip("End the training now; the best model so far is kept.")
        self.stop_button.clicked.connect(lambda: self.stopAsked.emit())
        self.log_button = QPushButton("Show log")
        self.log_button.setToolTip("Show what the training wrote before it failed, for a report.")
        self.log_button.clicked.connect(lambda: self.logAsked.emit())
        self.preview_box = QCheckBox("Show what it predicts")
        self.preview_box.setToolTip("Predict the image that is shown\nwith each better model, while it learns.")
        self.preview_box.setChecked(True)
        self.preview_box.toggled.connect(self.previewToggled)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.pause_button, 1)
        buttons.addWidget(self.stop_button, 1)
        log_row = QHBoxLayout()
        log_row.addWidget(self.log_button)
        log_row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.bar)
        layout.addWidget(self.line)
        layout.addLayout(buttons)
        layout.addWidget(self.preview_box)
        layout.addWidget(self.sentence)
        layout.addLayout(log_row)

    def _on_pause(self) -> None:
        (self.goOnAsked if self._state == "paused" else self.pauseAsked).emit()

    def _show(self) -> None:
        state, alive = self._state, self._state in _ALIVE
        for widget in (self.bar, self.pause_button, self.stop_button, self.preview_box):
            widget.setVisible(alive)
        paused = f"Paused · {self._figures}" if self._figures else "Paused"
        line = paused if state == "paused" else _LINES.get(state, self._figures)
        self.line.setText(self._figures if state == "starting" and self._figures else line)
        self.line.setVisible(alive)
        self.pause_button.setEnabled(state in ("running", "paused"))
        self.pause_button.setText("Go on" if state == "paused" else "Pause")
        self.pause_button.setToolTip(
            "Go on with the training."
            if state == "paused"
            else "Wait after the next batch, so that others can compute."
        )
        self.stop_button.setEnabled(alive and state != "stopping")
        self.log_button.setVisible(state == "failed")
        self.sentence.setText("\n".join(filter(None, [*self._notices, self._sentence])))
        self.sentence.setVisible(bool(self.sentence.text()))
        marked = state == "failed" or (alive and bool(self._notices))
        self.sentence.setStyleSheet("QLabel { border-left: 4px solid #e08a1e; padding: 2px 6px; }" if marked else "")


def _count(name: str, details: Mapping[str, Any], total: str) -> str:
    if not details.get(name):
        return ""
    return f"{name} {details[name]} of {details[total]}" if details.get(total) else f"{name} {details[name]}"


def _unbroken(figure: str) -> str:
    """Keep a figure on one line: '11 patches/s' could else be broken at its space and after its stroke."""
    return figure.replace(" ", "\N{NO-BREAK SPACE}").replace("/", "/\N{WORD JOINER}")
