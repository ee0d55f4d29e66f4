"""Our docks share one place at the side of the window, a tab each."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from napari import Viewer
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

_NAME = "napari_attnseg_dock"  # a property of the docks' widgets
_ORDER = ("Annotate", "Train", "Predict", "Objects")


def tab_with_others(dock: QWidget, viewer: Viewer, name: str) -> None:
    """Put a dock into the tabs of those of ours that are open, once napari has put it into the window.

    Parameters
    ----------
    name
        'Annotate', 'Train', 'Predict' or 'Objects': what its tab says, and its place among the others.
    """
    dock.setProperty(_NAME, name)
    window = viewer.window._qt_window
    QTimer.singleShot(0, lambda: _tab(dock, window))


def _tab(dock: QWidget, window: QMainWindow) -> None:
    ours = sorted((widget for widget in window.findChildren(QWidget) if widget.property(_NAME)), key=_place)
    frames = [frame for widget in ours if (frame := _frame_of(widget)) is not None and not frame.isFloating()]
    own = _frame_of(dock)
    if own is None or own not in frames:
        return
    _keep_when_closed(own)
    own.setWindowTitle(str(dock.property(_NAME)))  # napari's adds the plugin's name, for which tabs have no room
    if len(frames) < 2:
        return
    for one, other in pairwise(frames):
        window.tabifyDockWidget(one, other)
    own.show()
    own.raise_()


def _keep_when_closed(frame: Any) -> None:
    """Let the x of a dock's title bar hide it, as the button beside it does, and napari's menu show it again.

    napari would make another dock then, while the first one still lives: it lists images, has keys, follows what runs.
    """
    frame.destroyOnClose = frame.close  # napari's name for what the x does
    frame.installEventFilter(_InFront(frame))


class _InFront(QObject):
    """Brings a dock that is shown again before the other tabs."""

    def eventFilter(self, frame: Any, event: QEvent) -> bool:
        """Look at the frame's events; those of a window that is minimised and restored are spontaneous."""
        if event.type() == QEvent.Type.Show and not event.spontaneous():
            QTimer.singleShot(0, frame.raise_)  # its tab is not there yet
        return False


def _place(widget: QWidget) -> int:
    return _ORDER.index(str(widget.property(_NAME)))


def _frame_of(dock: QWidget) -> QDockWidget | None:
    """Return the frame that napari put around a dock."""
    parent = dock.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
