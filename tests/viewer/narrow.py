"""A widget in a narrow dock in napari's own style: whether it fits, explains itself, and lets the dock scroll."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLabel,
    QScrollArea,
    QScrollBar,
    QVBoxLayout,
    QWidget,
)

ROOM = 304  # a dock of 330 pixels less its margins and its scroll bar


def dock(viewer: Any, qtbot: Any, widget: QWidget) -> QScrollArea:
    """Put a widget into a dock of 330 pixels that scrolls, as the plugin's own do; return the dock once it is seen."""
    inner = QWidget()
    layout = QVBoxLayout(inner)
    layout.setContentsMargins(6, 6, 6, 6)
    layout.addWidget(widget)
    layout.addStretch(1)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    area.setFixedWidth(330)
    viewer.window.add_dock_widget(area, name="Widget", area="right")
    qtbot.waitUntil(widget.isVisible)
    qtbot.wait(30)  # for the layout
    return area


def cut_off(widget: QWidget) -> list[str]:
    """Return what does not fit: texts that are cut off, and the widget if it needs more room than there is."""
    found = [f"{widget.minimumSizeHint().width()} pixels"] if widget.minimumSizeHint().width() > ROOM else []
    for part in widget.findChildren(QWidget):
        if not part.isVisible():
            continue
        if isinstance(part, QLabel) and part.wordWrap():
            fits = part.height() >= part.heightForWidth(part.width())
        elif isinstance(part, QAbstractButton | QLabel) or part.objectName() == "qt_spinbox_lineedit":
            lines = str(part.text()).splitlines()
            fits = all(part.fontMetrics().horizontalAdvance(line) <= part.width() for line in lines)
        else:
            continue
        if not fits:
            found.append(f"{part.text()} ({part.width()} pixels)")
    return found


def without_tooltip(widget: QWidget) -> list[str]:
    """Return the fields and buttons that say nothing about themselves."""

    kinds = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox)
    parts = [part for part in widget.findChildren(QWidget) if isinstance(part, kinds)]
    return [type(part).__name__ for part in parts if not part.toolTip() and not isinstance(part, QScrollBar)]


def wheel(widget: QWidget) -> QWheelEvent:
    """Return a turn of the wheel over a widget."""
    at = QPoint(5, 5)
    return QWheelEvent(
        QPointF(at),
        QPointF(widget.mapToGlobal(at)),
        QPoint(0, 120),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
