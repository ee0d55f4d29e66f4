"""Predicting one image, or many."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMenu, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_attnseg.viewer.widgets.time_text import share, time_left
from napari_attnseg.viewer.widgets.tips import wrapped

_WRITTEN = "Predictions are written as _PRED files to the folder attnseg_predictions, beside the images."
_STEPS = 1000  # of the bar
_PATIENCE = 500  # milliseconds that a prediction may take before its progress is shown


class PredictButtons(QWidget):
    """A button for what is shown, a menu for what is in the folder, and the progress of a prediction."""

    predictAsked = Signal(str)
    """What to predict: 'image' (the image or the whole stack that is shown), 'plane' (of the stack), 'all' or
    'unmasked' (all images without a mask)."""
    cancelAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._reason = ""
        self._busy = self._stack = self._running = False
        self._counts = (0, 0)
        self.image_button = QPushButton()
        self.image_button.clicked.connect(lambda: self.predictAsked.emit("image"))
        self.more_button = QPushButton("More ▾")
        self.more_button.setStyleSheet("QPushButton::menu-indicator { image: none; width: 0px; }")
        self._make_menu()
        self.bar = QProgressBar()
        self.bar.setAccessibleName("How far the prediction is")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop predicting; what is predicted already is kept.")
        self.cancel_button.clicked.connect(lambda: self.cancelAsked.emit())
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.line.setTextFormat(Qt.TextFormat.PlainText)  # whatever signs it holds
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE)
        self._patience.timeout.connect(self._show)
        self._lay_out()
        self._show()

    def setReason(self, reason: str) -> None:
        """Say in a sentence why nothing can be predicted, such as that there is no model; '' if it can."""
        self._reason = reason
        self._show()

    def setStack(self, stack: bool) -> None:
        """Say whether a stack of planes is shown, or a single image."""
        self._stack = stack
        self._show()

    def setRunning(self, running: bool) -> None:
        """Say whether the image that is shown is being predicted already, beside what else is done."""
        self._running = running
        self._show()

    def setCounts(self, images: int, unmasked: int) -> None:
        """Say how many images the folder has, and how many of them have no mask."""
        self._counts = images, unmasked
        self._show()

    def setProgress(self, done: float, text: str = "", seconds_left: float | None = None) -> None:
        """Show how far a prediction is: a share from 0 to 1, and words such as '12 of 40 images'.

        One that is over in a moment shows nothing of it: a bar that comes and goes only makes the dock jump, and where
        the window is drawn by the CPU its movement takes a good part of what the prediction needs.
        """
        if not self._busy:
            self._patience.start()
        self._busy = True
        self.bar.setRange(0, _STEPS if done > 0 else 0)  # moves to and fro before anything is done
        self.bar.setValue(round(_STEPS * done))
        self.bar.setFormat(share(done))
        parts = [text, "" if seconds_left is None else time_left(seconds_left)]
        self.line.setText(" · ".join(filter(None, parts)))
        self._show()

    def setIdle(self, sentence: str = "") -> None:
        """Show that nothing is being predicted, and how the last prediction ended."""
        self._busy = False
        self._patience.stop()
        self.line.setText(sentence)
        self._show()

    def isBusy(self) -> bool:
        """Whether a prediction is shown to be going on."""
        return self._busy

    def _make_menu(self) -> None:
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.actions_by_name: dict[str, QAction] = {}
        for name in ("plane", "unmasked", "all"):
            action = self.actions_by_name[name] = self.menu.addAction("")
            action.triggered.connect(lambda _=False, name=name: self.predictAsked.emit(name))
        self.more_button.setMenu(self.menu)

    def _lay_out(self) -> None:
        self.image_button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.image_button, 1)
        buttons.addWidget(self.more_button)
        progress = QHBoxLayout()
        progress.setSpacing(4)
        progress.addWidget(self.bar, 1)
        progress.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addLayout(progress)
        layout.addWidget(self.line)

    def _show(self) -> None:
        images, unmasked = self._counts
        what = "stack" if self._stack else "image"
        self.image_button.setText(f"Predict this {what}")
        self.image_button.setEnabled(not self._reason and not self._busy and not self._running)
        tip = "Predict all planes of the stack that is shown." if self._stack else "Predict the image that is shown."
        running = f"This {what} is being predicted." if self._running else ""
        self.image_button.setToolTip(self._reason or running or f"{tip}\nThe mask stays as it is until you accept.")
        actions = self.actions_by_name
        actions["plane"].setText("Predict this plane only")
        actions["plane"].setVisible(self._stack)
        actions["unmasked"].setText(f"Predict all images without a mask ({unmasked})")
        actions["unmasked"].setEnabled(unmasked > 0)
        actions["all"].setText(f"Predict all images ({images})")
        actions["all"].setEnabled(images > 0)
        for name in ("all", "unmasked"):
            actions[name].setToolTip(wrapped(_WRITTEN))
        self.more_button.setToolTip(self._reason or "Predict more than what is shown, or less of it.")
        self.more_button.setEnabled(not self._reason and not self._busy and (images > 0 or self._stack))
        is_long = self._busy and not self._patience.isActive()
        self.bar.setVisible(is_long)
        self.cancel_button.setVisible(is_long)
        self.line.setVisible(bool(self.line.text()) and (is_long or not self._busy))
