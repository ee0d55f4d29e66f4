"""The docks in a real viewer: making them, opening a folder, painting, training, predicting, answering dialogs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QScrollArea, QWidget

from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.layers.roles import role_of
from napari_attnseg.viewer.predict.dock import PredictDock
from napari_attnseg.viewer.predict.predicted_image import PredictedImage
from napari_attnseg.viewer.session.session import Session
from napari_attnseg.viewer.train.dock import TrainDock
from napari_attnseg.viewer.widgets.start_chooser import StartChoice
from tests.viewer.canvas import Place, press, stroke, until

TINY_FORM = {
    "model": {"widths": (8, 16)},
    "training": {"patch_size": 32, "batch_size": 4, "steps_per_epoch": 3, "device": "cpu"},
}
"""What a network is trained with that takes a second for an epoch."""
DISCS, RADIUS = ((18.0, 18.0), (44.0, 42.0)), 8
LONG = 120_000  # milliseconds: a child loads PyTorch, on a machine that has other things to do


@dataclass(frozen=True)
class Docks:
    """All three docks of a viewer."""

    annotate: AnnotateDock
    train: TrainDock
    predict: PredictDock

    @property
    def session(self) -> Session:
        """What they share."""
        return self.annotate.session

    @property
    def viewer(self) -> Any:
        """The viewer that they are in."""
        return self.annotate.session.viewer


def make_docks(viewer: Any, qtbot: Any) -> Docks:
    """Add all three docks to a viewer."""
    annotate = make_dock(viewer, qtbot)
    train, predict = TrainDock(viewer), PredictDock(viewer)
    viewer.window.add_dock_widget(train, name="Train", area="right")
    viewer.window.add_dock_widget(predict, name="Predict", area="right")
    qtbot.wait(20)  # they become tabs
    return Docks(annotate, train, predict)


def click(qtbot: Any, widget: QWidget) -> None:
    """Bring a button to where it can be seen, and press it with the mouse."""
    parent = widget.parentWidget()
    areas = []
    while parent is not None:
        if isinstance(parent, QScrollArea):
            areas.append(parent)
        if isinstance(parent, QDockWidget):
            parent.show()
            parent.raise_()
        parent = parent.parentWidget()
    qtbot.wait(20)  # what is in front now is laid out
    for area in areas:
        area.ensureWidgetVisible(widget)
    assert widget.isVisible(), "a button that is not there cannot be pressed"
    assert widget.isEnabled(), f"the button cannot be pressed: {widget.toolTip()}"
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def set_tiny(docks: Docks, qtbot: Any, epochs: int = 2, **training: Any) -> None:
    """Choose a new, tiny network and a short training, and wait until the dock says what there is to learn from."""
    train = docks.train
    train.form.setValue({**TINY_FORM, "training": TINY_FORM["training"] | training})
    train.start.setValue(StartChoice(None, None, epochs))
    told: list[Any] = []
    train.training.facts_changed.connect(told.append)
    train.form.changed.emit()
    until(qtbot, lambda: told)


def wait_for_end(docks: Docks, qtbot: Any) -> str:
    """Wait until the training that is followed has ended and what became of it is shown; return its state."""
    training = docks.train.training
    known: list[bool] = []
    training.models_changed.connect(lambda: known.append(training.run.is_active))
    until(qtbot, lambda: not training.run.is_active, LONG)
    until(qtbot, lambda: False in known, LONG)
    return training.run.state


def predicted(docks: Docks, qtbot: Any) -> PredictedImage:
    """Press 'Predict this image', and wait until it is shown."""
    ends: list[str] = []
    docks.predict.predicting.ended.connect(ends.append)
    click(qtbot, docks.predict.buttons.image_button)
    until(qtbot, lambda: ends, LONG)
    docks.predict.predicting.ended.disconnect(ends.append)
    assert ends == [""]
    found = docks.predict.proposals.current
    assert found is not None
    return found


def use(docks: Docks, qtbot: Any, model: Path) -> None:
    """Take a model file into use."""
    docks.train.training.use(model)
    until(qtbot, lambda: docks.predict.model == model)


def disc_folder(folder: Path, count: int, masks: int = 0) -> Path:
    """Fill a folder with images of 64 x 64 pixels of two bright discs around `DISCS`; the first ones have a mask."""
    folder.mkdir()
    rows, columns = np.indices((64, 64))
    found = np.zeros((64, 64), bool)
    for y, x in DISCS:
        found |= (rows - y) ** 2 + (columns - x) ** 2 < RADIUS**2
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 12, found.shape)
        image = np.clip(60 + 160 * found + noise, 0, 255).astype(np.uint8)
        tifffile.imwrite(folder / f"disc{number:02d}.tif", image)
        if number < masks:
            tifffile.imwrite(folder / f"disc{number:02d}_MASK.tif", found.astype(np.uint8) * 255)
    return folder


def ours(viewer: Any, role: str) -> list[Any]:
    """Return our layers of a role, the topmost first."""
    return [layer for layer in reversed(viewer.layers) if role_of(layer) == role]


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
