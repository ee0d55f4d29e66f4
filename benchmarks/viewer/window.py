"""A real window to measure: it is shown, drawn and painted in as a user does, and every drawing is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

Place = tuple[float, float]
NONE, LEFT = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton


class Window:
    """A viewer of 1280 x 800 pixels."""

    def __init__(self) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.window._qt_window.resize(1280, 800)
        self.app: Any = QApplication.instance()
        canvas = self.viewer.window._qt_viewer.canvas
        self._widget: Any = canvas.native
        self.draws = 0
        canvas._scene_canvas.events.draw.connect(self._on_draw)
        self.rest(0.5)

    def _on_draw(self, event: Any) -> None:
        self.draws += 1

    def until(self, condition: Callable[[], object], timeout: float = 120.0) -> None:
        """Handle events until something holds.

        It sleeps between them, as a window that waits does; one that asked all the time would take a core from the
        process that it waits for.
        """
        end = time.perf_counter() + timeout
        while not condition():
            self.app.processEvents()
            time.sleep(0.0005)
            if time.perf_counter() > end:
                raise TimeoutError(f"not within {timeout:g} s")

    def rest(self, seconds: float) -> None:
        """Handle events for so long."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.app.processEvents()
            time.sleep(0.002)

    def drawn(self, action: Callable[[], object]) -> float:
        """Return the seconds from before `action` until the canvas has been drawn after it."""
        self.app.processEvents()  # what was still to be drawn
        before = self.draws
        began = time.perf_counter()
        action()
        self.until(lambda: self.draws > before, 20)
        return time.perf_counter() - began

    def stroke(self, places: Sequence[Place]) -> list[float]:
        """Paint along places (y, x); return the seconds that each move took, with drawing."""
        self._mouse(QEvent.Type.MouseMove, places[0], NONE, NONE)
        self._mouse(QEvent.Type.MouseButtonPress, places[0], LEFT, LEFT)
        self.app.processEvents()
        times = [self.drawn(partial(self._mouse, QEvent.Type.MouseMove, place, NONE, LEFT)) for place in places[1:]]
        self._mouse(QEvent.Type.MouseButtonRelease, places[-1], LEFT, NONE)
        self.app.processEvents()
        return times

    def look(self, zoom: float, middle: float) -> None:
        """Look at the middle of a plane."""
        camera = self.viewer.scene.camera
        camera.zoom, camera.center = zoom, (middle, middle)
        self.rest(0.5)

    def _mouse(self, kind: Any, place: Place, button: Any, buttons: Any) -> None:
        height, width = self.viewer.window._qt_viewer.canvas.size
        y, x = self.viewer.scene.camera.center[-2:]
        zoom = self.viewer.scene.camera.zoom
        at = QPointF(round(width / 2 + (place[1] - x) * zoom), round(height / 2 + (place[0] - y) * zoom))
        glob = QPointF(self._widget.mapToGlobal(at.toPoint()))
        event = QMouseEvent(kind, at, glob, button, buttons, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self._widget, event)


class Annotating(Window):
    """A window with the Annotate dock."""

    def __init__(self) -> None:
        super().__init__()
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-attnseg", "Annotate")
        self.session = self.dock.session
        self.shown = self._draws_before = 0
        self.session.shown_changed.connect(self._on_shown)
        self.rest(3)  # choosing a folder takes as long

    def _on_shown(self) -> None:
        self.shown += 1
        self._draws_before = self.draws

    def open(self, folder: Path) -> tuple[float, float]:
        """Open a folder; return the seconds until its images were listed, and until the first was drawn."""
        listed: list[float] = []
        before = self.shown
        began = time.perf_counter()

        def on_listed() -> None:
            self.app.processEvents()  # with the list drawn
            listed.append(time.perf_counter() - began)

        self.session.folder_changed.connect(on_listed)
        self.session.open_folder(folder)
        self.until(lambda: self.shown > before and listed)
        self.until(lambda: self.draws > self._draws_before, 20)
        seconds = time.perf_counter() - began
        self.session.folder_changed.disconnect(on_listed)
        return listed[0], seconds

    def step(self) -> float:
        """Go to the next image; return the seconds until it was drawn."""
        before = self.shown
        began = time.perf_counter()
        self.dock.images.step(1)
        self.until(lambda: self.shown > before)
        self.until(lambda: self.draws > self._draws_before, 20)
        return time.perf_counter() - began

    def save(self) -> float:
        """Save all masks; return the seconds until they are on disk."""
        began = time.perf_counter()
        self.session.saving.save_all()
        self.until(lambda: not self.session.saving.is_busy)
        return time.perf_counter() - began


def wave(number: int, of: int, side: float, moves: int) -> list[Place]:
    """Return the places of one of so many strokes across a plane, which do not meet.

    napari draws nothing for a move that paints nothing new.
    """
    along = np.linspace(0.2, 0.8, moves + 1)
    across = 0.15 + 0.7 * number / of + 0.008 * np.sin(along * 40)
    return [(float(y * side), float(x * side)) for y, x in zip(across, along, strict=True)]
