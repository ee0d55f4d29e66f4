"""The Annotate dock in a real viewer: making it, opening a folder, painting and saving, and answering its dialogs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_attnseg.viewer.annotate import AnnotateDock
from tests.viewer.canvas import Place, press, stroke, until


def make_dock(viewer: Any, qtbot: Any) -> AnnotateDock:
    """Add the dock to a viewer whose window is in front; what was told before is forgotten."""
    notification_manager.records.clear()
    window = viewer.window._qt_window
    window.resize(1280, 800)
    window.activateWindow()  # keys go to the window that is in front
    until(qtbot, window.isActiveWindow)
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock, name="Annotate", area="right")
    return dock


def opened(dock: AnnotateDock, qtbot: Any, folder: Path) -> AnnotateDock:
    """Open a folder and wait for its first image."""
    dock.session.open_folder(folder)
    until(qtbot, lambda: dock.session.shown is not None)
    qtbot.wait(50)
    return dock


def labels(dock: AnnotateDock) -> np.ndarray:
    """Return the whole mask that is edited."""
    mask = dock.session.mask
    assert mask is not None
    return mask.editing.labels


def paint(dock: AnnotateDock, qtbot: Any, places: Sequence[Place] = ((5.0, 5.0), (5.0, 15.0)), brush: int = 3) -> None:
    """Paint a stroke with the mouse."""
    mask = dock.session.mask
    assert mask is not None
    mask.layer.mode = "paint"
    mask.layer.brush_size = brush
    stroke(qtbot, dock.session.viewer, places)


def save(dock: AnnotateDock, qtbot: Any) -> None:
    """Press Ctrl+S and wait until the mask is written, or is not."""
    press(qtbot, dock.session.viewer, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    until(qtbot, lambda: not dock.session.saving.is_busy)


def answer(kind: type[QWidget], act: Callable[[Any], None]) -> list[Any]:
    """Wait for a dialog of a kind to be in front, then act on it; return a list that holds it from then on."""
    seen: list[Any] = []
    timer = QTimer(QApplication.instance())

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, kind) and dialog.isVisible():
            timer.stop()
            timer.deleteLater()
            seen.append(dialog)
            act(dialog)

    timer.timeout.connect(look)
    timer.start(20)
    return seen


def told() -> list[str]:
    """Return what napari has told the user since the dock was made."""
    return [record.message for record in notification_manager.records]
