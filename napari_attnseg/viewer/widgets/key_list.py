"""The keys of a dock, to be looked up."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Protocol

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QLabel, QWidget


class _Key(Protocol):
    @property
    def sequence(self) -> str: ...

    @property
    def what(self) -> str: ...


class KeyList(QLabel):
    """A line for each key: what is pressed, and what it does.

    One label with a table: a label for each cell would take a fifth of the time in which the dock opens.
    """

    def __init__(self, keys: Iterable[_Key], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setText(f"<table cellspacing='0' cellpadding='2'>{''.join(map(_row, keys))}</table>")


def _row(key: _Key) -> str:
    pressed = QKeySequence(key.sequence).toString(QKeySequence.SequenceFormat.NativeText)
    what = key.what[0].upper() + key.what[1:]
    return f"<tr><td>{escape(pressed)}&nbsp;&nbsp;</td><td>{escape(what)}</td></tr>"
