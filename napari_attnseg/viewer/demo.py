"""The demo's window: the three docks, and over an image what a model finds in it and where it looks.

`napari-attnseg demo` starts it as `python -m napari_attnseg.viewer.demo FOLDER MODEL`, a process of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import napari
from qtpy.QtCore import QObject, QTimer, Signal

from napari_attnseg.data.samples import sample_folder
from napari_attnseg.errors import AttnSegError
from napari_attnseg.models.model_card import load_card
from napari_attnseg.viewer.predict.dock import PredictDock
from napari_attnseg.viewer.sample_data import own_copy
from napari_attnseg.viewer.session.session import session_of

PLUGIN = "napari-attnseg"
DOCKS = ("Annotate", "Train", "Predict")
TEST = "test"  # the sub-folder of the images that the demo's model has not seen
SAMPLE = "nuclei"
MASK_OPACITY = 0.3  # so that the outlines of the prediction can be told from the mask


class DemoWindow(QObject):
    """Brings a viewer to the demo's picture, step by step as files are read and the model answers."""

    shown = Signal()
    """The prediction is seen, and where the model looks."""
    failed = Signal(str)
    """Why that cannot be shown, a sentence."""

    def __init__(self, viewer: napari.Viewer, folder: Path, model: Path) -> None:
        super().__init__(viewer.window._qt_window)
        self.viewer = viewer
        self.model = model
        self.image: Path | None = None
        """The image that is predicted; None until the folder is listed, and once the prediction was asked for."""
        docks = [viewer.window.add_plugin_dock_widget(PLUGIN, name)[1] for name in DOCKS]
        self.dock: PredictDock = docks[-1]
        self.session = session_of(viewer)
        self.session.folder_failed.connect(self.failed)
        self.session.shown_changed.connect(self._on_image)
        self.session.open_folder(folder, then=self._on_folder)

    def _on_folder(self) -> None:
        """Take the model into use, and go to the first image that it has not seen."""
        images = self.session.order()
        if not images:
            self.failed.emit("There is no image to show.")
            return
        self.session.learning.training.use(self.model)
        self.image = next((image for image in images if image.parent.name == TEST), images[0])
        self.session.show(self.image)

    def _on_image(self) -> None:
        """Predict the image once it is there."""
        learning = self.session.learning
        target = learning.proposals.target()
        if self.image is None or target is None or target.image != self.image:
            return
        self.image = None
        if self.session.mask is not None:
            self.session.mask.layer.opacity = MASK_OPACITY
        learning.proposals.changed.connect(self._on_prediction)
        learning.predicting.ended.connect(self._on_ended)
        learning.predicting.predict(self.model, target, whole=True)

    def _on_prediction(self) -> None:
        """Show where the model looks, besides what it found, which is shown by itself."""
        self.session.learning.proposals.changed.disconnect(self._on_prediction)
        if self.dock.layers.boxes["attention"].isEnabled():
            self.dock.layers.boxes["attention"].setChecked(True)
        self.shown.emit()

    def _on_ended(self, sentence: str) -> None:
        self.session.learning.predicting.ended.disconnect(self._on_ended)
        if sentence:
            self.failed.emit(sentence)


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the window, and return 0 when it was closed, 1 if the model or the images cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        load_card(options.model)
        folder = options.folder.resolve()
        if folder == sample_folder(SAMPLE).resolve():
            folder = own_copy(SAMPLE)  # one may paint on it
    except AttnSegError as error:
        print(f"napari-attnseg: {error}", file=sys.stderr)
        return 1
    viewer = napari.Viewer(title="napari-attnseg demo")
    demo = DemoWindow(viewer, folder, options.model.resolve())
    demo.shown.connect(lambda: _tell_seen(viewer))
    demo.failed.connect(lambda sentence: print(f"napari-attnseg: {sentence}", file=sys.stderr, flush=True))
    if options.seconds is not None:
        demo.shown.connect(lambda: QTimer.singleShot(round(1000 * options.seconds), viewer.close))
        demo.failed.connect(lambda _: viewer.close())
    napari.run()
    return 0


def _tell_seen(viewer: napari.Viewer) -> None:
    seen = ", ".join(layer.name for layer in reversed(viewer.layers) if layer.visible)
    print(f"Seen in the window, from top to bottom: {seen}.", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m napari_attnseg.viewer.demo",
        description="Look at images in napari with a model's outlines and the areas that it looks at.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a folder of images, best one with a folder 'test'")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file (.safetensors)")
    parser.add_argument("--seconds", type=float, metavar="X", help="close the window this long after all is shown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
