"""The keys of a dock, to be looked up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget


class _Key(Protocol):
    @property
    def sequence(self) -> str: ...

    @property
    def what(self) -> str: ...


class KeyList(QWidget):
    """A line for each key: what is pressed, and what it does."""

    def __init__(self, keys: Iterable[_Key], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(2)
        for key in keys:
            pressed = QKeySequence(key.sequence).toString(QKeySequence.SequenceFormat.NativeText)
            what = QLabel(key.what[0].upper() + key.what[1:])
            what.setWordWrap(True)
            layout.addRow(pressed, what)
