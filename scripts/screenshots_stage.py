"""A napari window on a screen of its own, to take pictures of."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent.parent / "sample_data"
WIDTH, HEIGHT = 1280, 800
PATIENCE = 900  # seconds
WITHOUT_MASK = ("brightfield03", "fluorescence03", "fluorescence04", "fluorescence09", "stained04", "stained08")

Place = tuple[float, float]


@dataclass(frozen=True)
class Places:
    """Where pictures go, and what one scene leaves for another."""

    scratch: Path
    """Removed after the scene."""
    out: Path
    shelf: Path
    """Kept from scene to scene: a folder of images with a trained model, and the frames of the moving picture."""


class Stage:
    """A viewer with our docks."""

    def __init__(self, places: Places, theme: str, minutes: float) -> None:
        self.places = places
        self.theme = theme
        self.minutes = minutes
        """How long a training may take."""
        self.docks: dict[str, Any] = {}

    # Folders

    def folder(self, name: str, of: str) -> Path:
        """Copy sample images, because they are painted on; return the copy."""
        return Path(shutil.copytree(SAMPLES / of, self.places.scratch / name))

    def partly_annotated(self, without_mask: tuple[str, ...] = WITHOUT_MASK) -> Path:
        """Copy the nuclei, some of them without their masks."""
        folder = self.folder("nuclei", "nuclei/train")
        for name in without_mask:
            (folder / f"{name}_MASK.tiff").unlink()
        return folder

    # The window

    def open(self, *docks: str) -> None:
        """Open napari with some of our docks; the first of them is in front."""
        import napari
        from napari.settings import get_settings

        get_settings().appearance.theme = self.theme
        self.viewer = napari.Viewer(show=False, show_welcome_screen=False)  # with a tip that is another one each time
        window = self.viewer.window._qt_window
        window.setGeometry(0, 0, WIDTH, HEIGHT)
        window.show()
        for name in docks:
            _, self.docks[name] = self.viewer.window.add_plugin_dock_widget("napari-attnseg", name)
            self.rest(0.2)
        self.session = self.docks[docks[0]].session
        self.rest(1)  # each comes to the front once it is docked
        self.front(docks[0])

    def front(self, name: str) -> Any:
        """Bring a dock to the front of the tabs; return it."""
        from qtpy.QtWidgets import QDockWidget

        frame = self.docks[name].parentWidget()
        while not isinstance(frame, QDockWidget):
            frame = frame.parentWidget()
        frame.raise_()
        self.rest(0.2)
        return self.docks[name]

    def open_folder(self, folder: Path, image: str = "") -> None:
        """Open a folder and one of its images."""
        self.session.open_folder(folder)
        self.wait(lambda: self.session.shown is not None)
        self.show(image)

    def show(self, image: str) -> None:
        """Open an image of the folder by the beginning of its name."""
        self.session.show(next(path for path in self.session.order() if path.stem.startswith(image)))
        self.wait(lambda: self.session.shown.stem.startswith(image))

    def annotate(self, folder: Path | None, image: str = "") -> Any:
        """Open the dock for annotating, and in it a folder and one of its images; return the dock."""
        self.open("Annotate")
        dock = self.docks["Annotate"]
        if folder is not None:
            self.open_folder(folder, image)
            self.wait(lambda: dock.findings.show_button.isVisibleTo(dock))
        return dock

    # The mouse

    def snap(self, *places: tuple[int, int]) -> None:
        """Take the regions of like intensity at some rows and columns, as clicks on them would."""
        dock = self.docks["Annotate"]
        for place in places:
            dock.fixing.snap(dock.fixes.value(), place)

    def point(self, place: Place) -> Any:
        """Point with the mouse at a place (y, x) of the image; the status bar speaks of it."""
        from qtpy.QtTest import QTest

        canvas = self.viewer.window._qt_viewer.canvas
        for offset in (0.5, 0):  # it has to move to be noticed
            at = self._on_canvas((place[0] + offset, place[1] + offset))
            QTest.mouseMove(canvas.native, at)
            self.rest(0.2)
        return at

    def shift_click(self, place: Place) -> None:
        """Click at a place (y, x) of the image with Shift held."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        at = self.point(place)
        shift = Qt.KeyboardModifier.ShiftModifier
        QTest.mouseClick(self.viewer.window._qt_viewer.canvas.native, Qt.MouseButton.LeftButton, shift, at)
        self.rest(0.3)

    def _on_canvas(self, place: Place) -> Any:
        from qtpy.QtCore import QPoint

        height, width = self.viewer.window._qt_viewer.canvas.size
        camera = self.viewer.scene.camera
        top, left = camera.center[-2] - height / camera.zoom / 2, camera.center[-1] - width / camera.zoom / 2
        return QPoint(round((place[1] - left) * camera.zoom), round((place[0] - top) * camera.zoom))

    # Time

    def wait(self, condition: Callable[[], object]) -> None:
        """Let the program run until something holds."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + PATIENCE
        while not condition():
            QApplication.processEvents()
            time.sleep(0.01)
            if time.monotonic() > end:
                raise TimeoutError("Waited in vain for what the picture is to show.")

    def rest(self, seconds: float) -> None:
        """Let the program run for a while."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    # Pictures

    def take(self, name: str, lowest: Any = None, at: Place | None = None) -> None:
        """Take a picture, with the widget `lowest` of its dock in sight and the mouse `at` a place."""
        self.rest(1)
        if lowest is not None:
            _scroll_area(lowest).ensureWidgetVisible(lowest, 0, 0)
        if at is not None:
            self.point(at)
        self.rest(2)
        self._grab().save(str(self.places.out / f"{name}.png"))

    def frame(self, name: str) -> None:
        """Take a frame of the moving picture, as things are."""
        frames = self.places.shelf / "frames"
        frames.mkdir(parents=True, exist_ok=True)
        self._grab().save(str(frames / f"{name}.png"))

    def _grab(self) -> Any:
        from napari._qt.dialogs.qt_notification import NapariQtNotification
        from qtpy.QtWidgets import QApplication

        notifications = self.viewer.window._qt_window.findChildren(NapariQtNotification)
        for notification in notifications:
            notification.close()
        if notifications:
            self.rest(0.5)
        return QApplication.primaryScreen().grabWindow(0)


def _scroll_area(widget: Any) -> Any:
    from qtpy.QtWidgets import QScrollArea

    area = widget.parentWidget()
    while not isinstance(area, QScrollArea):
        area = area.parentWidget()
    return area
