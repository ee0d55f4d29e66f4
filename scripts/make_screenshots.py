"""Take the pictures of the Annotate dock from the running program, in napari's dark or light theme.

They are pictures of the screen, so it needs one of 1280 x 800 pixels with nothing else on it: `make screenshots`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent.parent / "sample_data"
WIDTH, HEIGHT = 1280, 800
PATIENCE = 120  # seconds
WITHOUT_MASK = ("brightfield03", "fluorescence03", "fluorescence04", "fluorescence09", "stained04", "stained08")
NUCLEI = ((213, 98), (139, 151), (157, 95), (67, 102), (25, 72))  # rows and columns of nuclei in fluorescence03
BESIDE = (170, 145)  # one that is not painted


def main() -> None:
    """Write annotate_*.png into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--only", nargs="+", choices=list(SCENES), default=list(SCENES))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    processes = get_context("spawn")  # a window a process, as a user has it
    for scene in options.only:
        picture = options.out / f"annotate_{scene}.png"
        with tempfile.TemporaryDirectory() as place:
            process = processes.Process(target=_take, args=(scene, options.theme, picture, Path(place)))
            process.start()
            process.join()
        if process.exitcode:
            sys.exit(f"{picture} was not made: the program ended with {process.exitcode}.")
        print(picture)


def _take(scene: str, theme: str, picture: Path, place: Path) -> None:
    os.environ["NAPARI_ATTNSEG_DATA"] = str(place / "data")
    os.environ["NAPARI_CONFIG"] = str(place / "napari.yaml")
    SCENES[scene](Stage(place, theme, picture))


class Stage:
    """A viewer with the dock, on a screen of its own."""

    def __init__(self, place: Path, theme: str, picture: Path) -> None:
        self.place = place
        self.theme = theme
        self.picture = picture

    def folder(self, name: str, of: str) -> Path:
        """Copy sample images, because they are painted on; return the copy."""
        return Path(shutil.copytree(SAMPLES / of, self.place / name))

    def open(self, folder: Path | None, image: str = "") -> Any:
        """Open the dock, and in it a folder and one of its images; return the dock."""
        import napari
        from napari.settings import get_settings

        get_settings().appearance.theme = self.theme
        self.viewer = napari.Viewer(show=False, show_welcome_screen=False)  # with a tip that is another one each time
        window = self.viewer.window._qt_window
        window.setGeometry(0, 0, WIDTH, HEIGHT)
        window.show()
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-attnseg", "Annotate")
        if folder is not None:
            self.dock.session.open_folder(folder)
            self.wait(lambda: self.dock.session.shown is not None)
            self.dock.session.show(next(path for path in self.dock.session.order() if path.stem.startswith(image)))
            self.wait(lambda: self.dock.session.shown.stem.startswith(image))
            self.wait(lambda: self.dock.findings.show_button.isVisibleTo(self.dock))
        return self.dock

    def snap(self, *places: tuple[int, int]) -> None:
        """Take the regions of like intensity at some rows and columns, as clicks on them would."""
        for place in places:
            self.dock.fixing.snap(self.dock.fixes.value(), place)

    def point(self, place: tuple[float, float]) -> None:
        """Point with the mouse at a place (y, x) of the image; the status bar speaks of it."""
        from qtpy.QtCore import QPoint
        from qtpy.QtTest import QTest

        canvas = self.viewer.window._qt_viewer.canvas
        height, width = canvas.size
        camera = self.viewer.scene.camera
        top, left = camera.center[-2] - height / camera.zoom / 2, camera.center[-1] - width / camera.zoom / 2
        for offset in (0.5, 0):  # it has to move to be noticed
            y, x = place[0] - top + offset, place[1] - left + offset
            QTest.mouseMove(canvas.native, QPoint(round(x * camera.zoom), round(y * camera.zoom)))
            self.rest(0.2)

    def wait(self, condition: Callable[[], object]) -> None:
        """Let the program run until something holds."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + PATIENCE
        while not condition():
            QApplication.processEvents()
            time.sleep(0.01)
            if time.monotonic() > end:
                raise TimeoutError(f"Waited in vain for what {self.picture.name} is to show.")

    def rest(self, seconds: float) -> None:
        """Let the program run for a while."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def take(self, lowest: Any = None, at: tuple[float, float] | None = None) -> None:
        """Take the picture, with `lowest` of the dock in sight and the mouse `at` a place, and end."""
        from napari._qt.dialogs.qt_notification import NapariQtNotification
        from qtpy.QtWidgets import QApplication, QScrollArea

        self.rest(1)
        if lowest is not None:
            self.dock.findChild(QScrollArea).ensureWidgetVisible(lowest, 0, 0)
        if at is not None:
            self.point(at)
        for notification in self.viewer.window._qt_window.findChildren(NapariQtNotification):
            notification.close()
        self.rest(2)
        QApplication.primaryScreen().grabWindow(0).save(str(self.picture))
        sys.stdout.flush()
        os._exit(0)  # closing would ask about the strokes that are not saved


def _nuclei(stage: Stage) -> None:
    stage.open(_partly_annotated(stage), "fluorescence03")
    stage.snap(*NUCLEI)
    stage.take(at=BESIDE)


def _classes(stage: Stage) -> None:
    dock = stage.open(stage.folder("abdomen", "organs"), "subject02_z11")
    dock.classes.chosen.emit(4)
    stage.take(at=(60, 130))


def _correct(stage: Stage) -> None:
    dock = stage.open(_partly_annotated(stage), "fluorescence03")
    stage.snap(*NUCLEI)
    dock.fix_part.expand(animate=False)
    stage.take(dock.saves.line, BESIDE)


def _findings(stage: Stage) -> None:
    folder = _partly_annotated(stage)
    (folder / "stained01.tiff").rename(folder / "stained one.tiff")
    (folder / "brightfield08_MASK.tiff").write_bytes((folder / "brightfield08_MASK.tiff").read_bytes()[:200])
    shutil.copy(folder / "fluorescence06.tiff", folder / "fluorescence11.tiff")
    dock = stage.open(folder, "fluorescence03")
    dock.findings.setExpanded(True)
    stage.take(dock.findings, BESIDE)


def _stack(stage: Stage) -> None:
    dock = stage.open(stage.folder("stack", "stack"))
    stage.viewer.dims.set_current_step(0, 6)
    dock.fix_part.expand(animate=False)
    stage.take(at=(16, 5))  # in µm


def _restore(stage: Stage) -> None:
    folder = _partly_annotated(stage)
    crash = get_context("spawn").Process(target=_paint_and_crash, args=(folder / "fluorescence03.tiff",))
    crash.start()
    crash.join()
    from qtpy.QtCore import QTimer

    stage.open(None)
    QTimer.singleShot(4000, stage.take)  # the dialog's own loop runs by then
    stage.wait(lambda: False)


def _partly_annotated(stage: Stage) -> Path:
    folder = stage.folder("nuclei", "nuclei/train")
    for name in WITHOUT_MASK:
        (folder / f"{name}_MASK.tiff").unlink()
    return folder


def _paint_and_crash(image: Path) -> None:
    """Annotate an image as a window does, up to a moment before it is saved."""
    from napari_attnseg.annotation.editing import Editing
    from napari_attnseg.annotation.folder import open_folder
    from napari_attnseg.annotation.recovery import new_journal
    from napari_attnseg.annotation.snap import snap
    from napari_attnseg.data.tiff import read_image

    document = open_folder(image.parent).document(image)
    editing = Editing(document, new_journal(document))
    pixels = read_image(image).pixels[0]
    for place in NUCLEI:
        editing.apply({(): editing.labels | snap(pixels.max(axis=0), place, tolerance=None)})
    editing.journal.flush()
    os._exit(1)


SCENES: dict[str, Callable[[Stage], None]] = {
    "nuclei": _nuclei,
    "classes": _classes,
    "correct": _correct,
    "findings": _findings,
    "stack": _stack,
    "restore": _restore,
}

if __name__ == "__main__":
    main()
