"""A part of a dock that unfolds."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

_ANY_HEIGHT = 16_777_215  # what Qt takes for no limit


class FoldedPart(QCollapsible):
    """A title that unfolds what is below it; its arrow has the colour of its text in every theme."""

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self._draw_arrows()  # the style has been given by now

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange and self.isVisible():
            self._draw_arrows()

    def _draw_arrows(self) -> None:
        self.setExpandedIcon("▾")
        self.setCollapsedIcon("▸")


def folded(title: str, widget: QWidget) -> FoldedPart:
    """Put a widget under a title that unfolds it; it may change its height while it is seen."""
    part = FoldedPart(title, expandedIcon="▾", collapsedIcon="▸")
    part.layout().setContentsMargins(0, 0, 0, 0)
    part.layout().setSpacing(2)
    part.setDuration(0)
    layout = part.content().layout()
    layout.setContentsMargins(4, 0, 0, 0)
    # not by addWidget, which would limit the height to what the widget had when it was unfolded
    layout.addWidget(widget)
    part.toggled.connect(lambda open_: part.content().setMaximumHeight(_ANY_HEIGHT if open_ else 0))
    return part
