"""A dock that is closed is hidden: opened again it is the same one, in front of the others, and its keys act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari._app_model import get_app_model
from qtpy.QtCore import Qt

from napari_attnseg.viewer.reader import open_folder_in
from tests.viewer.canvas import press, until
from tests.viewer.docked import disc_folder, opened, paint

ANNOTATE, OBJECTS = "Annotate (napari-attnseg)", "Objects (napari-attnseg)"


def choose(name: str) -> None:
    """Choose an entry of the plugin's menu."""
    get_app_model().commands.execute_command(f"napari-attnseg.{name}")


def frame_of(viewer: Any, name: str) -> Any:
    """Return the frame of a dock, which has the title bar."""
    return viewer.window.dock_widgets[name].parentWidget()


def is_in_front(frame: Any) -> bool:
    return bool(frame.isVisible() and not frame.visibleRegion().isEmpty())


def test_a_dock_that_was_closed_opens_again(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    window = viewer.window._qt_window
    window.activateWindow()  # keys go to the window that is in front
    until(qtbot, window.isActiveWindow)
    choose("annotate")
    choose("objects")
    dock, frame, other = viewer.window.dock_widgets[ANNOTATE], frame_of(viewer, ANNOTATE), frame_of(viewer, OBJECTS)
    until(qtbot, lambda: is_in_front(other) and not is_in_front(frame))
    frame.raise_()
    until(qtbot, lambda: is_in_front(frame))
    qtbot.mouseClick(frame.title.close_button, Qt.MouseButton.LeftButton)
    assert not frame.isVisible()
    until(qtbot, lambda: is_in_front(other))
    choose("annotate")
    until(qtbot, lambda: is_in_front(frame_of(viewer, ANNOTATE)))
    assert viewer.window.dock_widgets[ANNOTATE] is dock

    folder = disc_folder(tmp_path / "discs", 2)
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    press(qtbot, viewer, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    until(qtbot, (folder / "disc00_MASK.tif").exists)
    press(qtbot, viewer, Qt.Key.Key_PageDown)
    until(qtbot, lambda: dock.session.shown == folder / "disc01.tif")

    frame.close()
    open_folder_in(viewer, folder)
    until(qtbot, lambda: is_in_front(frame))
