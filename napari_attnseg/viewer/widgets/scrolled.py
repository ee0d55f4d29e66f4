"""A dock's content, which can be scrolled when the window is low."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

WIDTH = 330  # pixels that a dock has at least


def scrolled(dock: QWidget) -> QVBoxLayout:
    """Give a dock an area that scrolls up and down, and return the layout of what is in it.

    It is to be filled now, not before: what is put into such an area ready-made is measured at once, and again later.
    """
    area, inner = QScrollArea(), QWidget()
    layout = QVBoxLayout(inner)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.setSpacing(6)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(area)
    dock.setMinimumWidth(WIDTH)
    return layout
