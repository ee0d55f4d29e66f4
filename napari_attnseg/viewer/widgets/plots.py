"""Small plots in the colours of napari's theme.

pyqtgraph is imported when the first plot is drawn: it takes a third of a second, which a dock would open later by.
"""

from __future__ import annotations

import sys
from html import escape
from typing import Any

from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

BLUE, ORANGE, GREY = "#4a90d9", "#e08a1e", "#8a8f98"
"""Seen on dark and on light: training, held out, and what both are compared with."""
TOP = 1.14
"""End of an axis from 0 to 1, so that there is room for its last number."""
_AXIS_WIDTH = 34  # of numbers such as 0.25, so that plots above each other begin at the same place


def pyqtgraph() -> Any:
    """Import pyqtgraph."""
    hook = sys.excepthook
    import pyqtgraph

    sys.excepthook = hook  # it puts one of its own around napari's
    return pyqtgraph


def make_plot(height: int, accessible_name: str) -> Any:
    """Return a `PlotWidget` that shows and does nothing else: no zooming, no menu; the wheel is the dock's."""
    pg = pyqtgraph()
    plot = pg.PlotWidget(background=None)
    plot.setFixedHeight(height)
    plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    plot.setMinimumWidth(120)
    plot.setAccessibleName(accessible_name)
    plot.setStyleSheet("border: none; padding: 0px;")
    plot.wheelEvent = lambda event: event.ignore()
    item = plot.getPlotItem()
    item.setMouseEnabled(x=False, y=False)
    item.setMenuEnabled(False)
    item.hideButtons()
    item.setContentsMargins(0, 0, 10, 0)  # half of a number at the right end
    item.showGrid(x=False, y=True, alpha=0.15)
    item.getAxis("left").setWidth(_AXIS_WIDTH)
    item.getAxis("bottom").setStyle(tickTextOffset=2)
    item.getAxis("bottom").setHeight(16)
    return plot


def colour_plot(plot: Any, widget: QWidget) -> None:
    """Give a plot's axes the colour of a widget's text."""
    colour = text_colour(widget)
    for name in ("left", "bottom"):
        axis = plot.getPlotItem().getAxis(name)
        axis.setPen(QColor(colour.red(), colour.green(), colour.blue(), 110))
        axis.setTextPen(colour)


def set_whole_ticks(plot: Any, highest: float) -> None:
    """Number the lower axis, from 0 to `highest`, by whole numbers: by 1, 2 or 5 and their tenfolds."""
    step = next(number * 10**power for power in range(9) for number in (1, 2, 5) if 6 * number * 10**power >= highest)
    plot.getPlotItem().getAxis("bottom").setTickSpacing(step, step)


def text_colour(widget: QWidget) -> QColor:
    """Return the colour in which a widget writes."""
    widget.ensurePolished()  # napari's theme is a style sheet, and reaches the palette only then
    return widget.palette().color(QPalette.ColorRole.WindowText)


def key(colour: str, text: str, *, dashed: bool = False) -> str:
    """Return an entry of a legend as HTML."""
    line = "╌╌" if dashed else "━"
    return f'<span style="color:{colour}">{line}</span>&nbsp;{escape(text).replace(" ", "&nbsp;")}'
