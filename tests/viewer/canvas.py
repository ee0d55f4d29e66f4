"""The hands of a user: the mouse and the keyboard on a viewer's canvas, and waiting for what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

Place = tuple[float, float]


def canvas_of(viewer: Any) -> Any:
    """Return the widget that shows the layers."""
    return viewer.window._qt_viewer.canvas.native


def point_at(viewer: Any, place: Place) -> QPoint:
    """Return where on the canvas a place in world coordinates (y, x) is."""
    height, width = viewer.window._qt_viewer.canvas.size
    y, x = viewer.scene.camera.center[-2:]
    zoom = viewer.scene.camera.zoom
    return QPoint(round(width / 2 + (place[1] - x) * zoom), round(height / 2 + (place[0] - y) * zoom))


def stroke(qtbot: Any, viewer: Any, places: Sequence[Place], button: Any = Qt.MouseButton.LeftButton) -> None:
    """Press the mouse at the first place (y, x), move it over the others, and let go."""
    drag(qtbot, viewer, places, button)
    qtbot.mouseRelease(canvas_of(viewer), button, pos=point_at(viewer, places[-1]))
    qtbot.wait(20)


def drag(qtbot: Any, viewer: Any, places: Sequence[Place], button: Any = Qt.MouseButton.LeftButton) -> None:
    """Press the mouse at the first place (y, x), and move it over the others; the button stays down."""
    canvas = canvas_of(viewer)
    qtbot.mouseMove(canvas, point_at(viewer, places[0]))
    qtbot.wait(20)
    qtbot.mousePress(canvas, button, pos=point_at(viewer, places[0]))
    for place in places[1:]:
        qtbot.wait(20)
        _move(canvas, point_at(viewer, place), button)
    qtbot.wait(20)


def _move(canvas: Any, point: QPoint, button: Any) -> None:
    """Move the mouse with a button held.

    vispy drops a move that comes within 10 ms of another one, and Qt's own for tests lets the X server send a second.
    """
    time.sleep(0.012)
    to = QPointF(point), QPointF(canvas.mapToGlobal(point))
    what = QMouseEvent(QEvent.Type.MouseMove, *to, Qt.MouseButton.NoButton, button, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, what)


def press(qtbot: Any, viewer: Any, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
    """Press a key while the canvas has the focus."""
    canvas = canvas_of(viewer)
    canvas.setFocus()
    qtbot.keyClick(canvas, key, modifier)


def until(qtbot: Any, condition: Callable[[], object], timeout: int = 20_000) -> None:
    """Wait until something holds."""
    qtbot.waitUntil(lambda: bool(condition()), timeout=timeout)
