"""A viewer that paints without end, for a test that kills it: `python -m tests.viewer.crashing_viewer FOLDER`.

After each stroke a line of JSON tells the time, the image and the flat indices of the pixels it has painted.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtTest import QTest

from napari_attnseg.viewer.annotate.dock import AnnotateDock
from tests.viewer.canvas import stroke

ON_FIRST = 4  # strokes on the first image, all further ones on the second


class Hands:
    """What `stroke` needs of pytest-qt, without pytest."""

    mouseMove = staticmethod(QTest.mouseMove)
    mousePress = staticmethod(QTest.mousePress)
    mouseRelease = staticmethod(QTest.mouseRelease)
    wait = staticmethod(QTest.qWait)


def wait_for(dock: AnnotateDock, image: Path) -> None:
    """Let the window live until an image is shown with its mask."""
    while dock.session.shown != image or dock.session.mask is None:
        QTest.qWait(20)
    QTest.qWait(100)


def paint_row(viewer: Any, dock: AnnotateDock, row: int) -> None:
    """Paint one row with the mouse, and tell what that has changed."""
    mask = dock.session.mask
    assert mask is not None
    mask.layer.mode, mask.layer.brush_size = "paint", 1
    before = mask.editing.labels.copy()
    stroke(Hands, viewer, [(float(row), 10.0), (float(row), 50.0), (float(row), 90.0)])
    changed = np.flatnonzero(mask.editing.labels != before)
    line = {"when": time.time(), "image": mask.editing.document.image.name, "pixels": changed.tolist()}
    print(json.dumps(line), flush=True)


def main(folder: Path) -> None:
    """Open a folder and paint its first two images until somebody ends the process."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1100, 760)
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock, name="Annotate", area="right")
    dock.session.open_folder(folder)
    images = sorted(path for path in folder.glob("*.tif") if "_MASK" not in path.name)
    wait_for(dock, images[0])
    for number in range(10_000):
        if number == ON_FIRST:
            dock.images.step(1)
            wait_for(dock, images[1])
        paint_row(viewer, dock, 3 + 3 * number % 90)
        QTest.qWait(200)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
