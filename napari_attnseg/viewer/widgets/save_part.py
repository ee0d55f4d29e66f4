"""Save, save all, and what has become of the mask."""

from __future__ import annotations

import time
from collections.abc import Sequence

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_attnseg.wording import counted

REFRESH = 5000  # milliseconds


class SavePart(QWidget):
    """Two buttons and a line: 'not saved yet', or how long ago it was."""

    saveAsked = Signal()
    saveAllAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._modified: str | None = None
        self._elsewhere: tuple[str, ...] = ()
        self._saved: tuple[str, float] | None = None
        self.save_button = QPushButton("Save  Ctrl+S")
        self.save_button.setToolTip("Write this mask beside its image, as a _MASK file.")
        self.save_button.clicked.connect(lambda: self.saveAsked.emit())
        self.save_all_button = QPushButton("Save all")
        self.save_all_button.setToolTip("Write all masks that are not saved yet.")
        self.save_all_button.clicked.connect(lambda: self.saveAllAsked.emit())
        self.line = QElidingLabel()
        self.line.setElideMode(Qt.TextElideMode.ElideMiddle)
        buttons = QHBoxLayout()
        buttons.addWidget(self.save_button)
        buttons.addWidget(self.save_all_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(buttons)
        layout.addWidget(self.line)
        self._clock = QTimer(self)
        self._clock.timeout.connect(self._show)
        self._clock.start(REFRESH)
        self.setState(None, 0)

    def setState(self, modified: str | None, unsaved: int, elsewhere: Sequence[str] = ()) -> None:
        """Say what is not saved.

        Parameters
        ----------
        modified
            The name of the mask that is shown if it has edits that are not saved, else None.
        unsaved
            How many masks have such edits, this one included.
        elsewhere
            The names of those that the list of images does not show, because another folder was opened since.
        """
        self._modified, self._elsewhere = modified, tuple(elsewhere)
        self.save_button.setEnabled(modified is not None)
        self.save_all_button.setText(f"Save all ({unsaved})" if unsaved > 1 else "Save all")
        self.save_all_button.setEnabled(unsaved > 0)
        self._show()

    def noteSaved(self, name: str) -> None:
        """Say that a mask has just been written."""
        self._saved = name, time.monotonic()
        self._show()

    def _show(self) -> None:
        text = ""
        if self._modified is not None:
            text = f"{self._modified}: not saved yet"
        elif self._elsewhere:
            which = self._elsewhere[0] if len(self._elsewhere) == 1 else counted(len(self._elsewhere), "mask")
            text = f"{which} of another folder: not saved yet"
        elif self._saved is not None:
            name, at = self._saved
            text = f"{name}: saved {_ago(time.monotonic() - at)}"
        self.line.setText(text)
        self.line.setVisible(bool(text))


def _ago(seconds: float) -> str:
    if seconds < 5:
        return "just now"
    if seconds < 60:
        return f"{int(seconds)} s ago"
    return f"{int(seconds // 60)} min ago"
