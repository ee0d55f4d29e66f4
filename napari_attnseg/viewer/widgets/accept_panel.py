"""Taking a prediction over into the mask."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

HINT = "Shift-click an object to accept it."
_TIPS = {
    "all": "Make the mask of this plane what is predicted. One undo takes it back.",
    "empty": "Take over only what lies where the mask is empty.\nWhat was painted stays. One undo takes it back.",
    "next": "Accept all, save the mask, and open the next image.",
}
_OF_PART = {
    "all": "Make the part of the mask that is in view what is predicted. One undo takes it back.",
    "empty": "Take over only what lies where the mask is empty, of the part that is in view.\nOne undo takes it back.",
}
_NAMES = {"all": "Accept all", "empty": "Accept where empty", "next": "Accept and next"}
_NAMES_OF_PART = {"all": "Accept what is in view", "empty": "In view, where empty"}
_NO_NEXT = (
    "Of an image of this size what is in view is accepted, so that nothing else in the mask changes unseen;\n"
    "accept it part by part, save the mask, then open the next image."
)


class AcceptPanel(QWidget):
    """Three buttons and a hint."""

    acceptAllAsked = Signal()
    acceptEmptyAsked = Signal()
    acceptNextAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shortcuts: dict[str, str] = {}
        self._reason = ""
        self._part = False
        self.buttons = {name: QPushButton(text) for name, text in _NAMES.items()}
        self.buttons["all"].clicked.connect(lambda: self.acceptAllAsked.emit())
        self.buttons["empty"].clicked.connect(lambda: self.acceptEmptyAsked.emit())
        self.buttons["next"].clicked.connect(lambda: self.acceptNextAsked.emit())
        self.hint = QLabel(HINT)
        self.hint.setWordWrap(True)
        self.hint.setTextFormat(Qt.TextFormat.PlainText)  # whatever signs it holds
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.buttons["all"], 0, 0)
        grid.addWidget(self.buttons["empty"], 0, 1)
        grid.addWidget(self.buttons["next"], 1, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addWidget(self.hint)
        self.setReason("Predict first; then what was predicted can be accepted.")

    def setReason(self, reason: str) -> None:
        """Say in a sentence why nothing can be accepted; '' if it can."""
        self._reason = reason
        self._show()

    def setPart(self, part: bool) -> None:
        """Say whether only what is in view of an image is accepted, because it is large."""
        self._part = part
        self._show()

    def reason(self) -> str:
        """Return why nothing can be accepted; '' if it can."""
        return self._reason

    def setShortcuts(self, shortcuts: dict[str, str]) -> None:
        """Name in the tooltips the keys of 'all', 'empty' and 'next'."""
        self._shortcuts = dict(shortcuts)
        self._show_tips()

    def _show(self) -> None:
        for name, button in self.buttons.items():
            button.setText(_NAMES_OF_PART.get(name, _NAMES[name]) if self._part else _NAMES[name])
            button.setEnabled(not self._reason and not (self._part and name == "next"))
        self.hint.setText(self._reason or HINT)
        self._show_tips()

    def _show_tips(self) -> None:
        tips = {**_TIPS, **_OF_PART, "next": _NO_NEXT} if self._part else _TIPS
        for name, button in self.buttons.items():
            key = self._shortcuts.get(name)
            tip = tips[name] + (f"\nKey: {key}" if key else "")
            button.setToolTip(self._reason or tip)
