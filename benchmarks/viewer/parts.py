"""`python -m benchmarks.viewer.parts PART FOLDER`: one measurement in a process of its own, printed as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from qtpy.QtWidgets import QWidget

from benchmarks.peak import peak_memory
from benchmarks.viewer.learning import learning
from benchmarks.viewer.side_by_side import side_by_side
from benchmarks.viewer.window import Annotating, Window, wave

Found = dict[str, Any]
STROKES, MOVES = 5, 30


def main() -> None:
    """Measure the part that is named."""
    part, folder = sys.argv[1], Path(sys.argv[2])
    found = PARTS[part](folder)
    found["peak"] = peak_memory()
    print(json.dumps(found), flush=True)
    os._exit(0)  # taking the window down is not measured


def dock(folder: Path) -> Found:
    """How long the menu entry takes to open, and whether that imports torch."""
    window = Window()
    began = time.perf_counter()
    window.viewer.window.add_plugin_dock_widget("napari-attnseg", "Annotate")
    made = time.perf_counter() - began
    window.app.processEvents()
    return {"made": made, "drawn": time.perf_counter() - began, "torch": "torch" in sys.modules}


def listing(folder: Path) -> Found:
    """How long a folder takes to be listed, and its first image to be drawn."""
    window = Annotating()
    listed, shown = window.open(folder)
    _leave(window)
    return {"listed": listed, "shown": shown, "images": len(window.dock.images.entries())}


def leafing(folder: Path) -> Found:
    """How long the next image takes, after a second of looking and without."""
    window = Annotating()
    window.open(folder)
    images = len(window.dock.images.entries())
    window.rest(3)
    looked, hurried = [], []
    for _ in range(images // 2):
        window.rest(1)
        looked.append(window.step())
    for _ in range(images // 2, images - 1):
        hurried.append(window.step())
    _leave(window)
    return {"looked": looked, "hurried": hurried}


def brush(folder: Path) -> Found:
    """How long each move of the brush takes, stroke by stroke in turns with napari without the plugin."""
    window = Annotating()
    window.open(folder)
    labels = window.session.mask.editing.labels
    bare = _plain(folder, labels.shape, window.dock.width())
    window.rest(4)  # the check of the folder is over
    found: Found = {"ours": [], "plain": []}
    for number in range(STROKES + 1):
        for name, measured in (("ours", window), ("plain", bare)):
            measured.viewer.window._qt_window.raise_()
            measured.look(0.5, labels.shape[-1] / 2)
            times = measured.stroke(wave(number, STROKES + 1, labels.shape[-1], MOVES))
            found[name] += times if number else []  # the first draws what is compiled once
    _leave(window)
    return found


def _plain(folder: Path, shape: tuple[int, ...], width: int) -> Window:
    """Return a window of napari without the plugin, with the first image and an empty mask on as large a canvas."""
    window = Window()
    room = QWidget()
    room.setFixedWidth(width)
    window.viewer.window.add_dock_widget(room, area="right")
    window.viewer.add_image(tifffile.imread(min(folder.glob("*.tif"))))
    layer = window.viewer.add_labels(np.zeros(shape, np.uint8), opacity=0.5)
    layer.mode, layer.brush_size = "paint", 10
    return window


def large(folder: Path) -> Found:
    """A file that is too large to be read whole: opening, looking around, painting, saving."""
    window = Annotating()
    _, shown = window.open(folder)
    side = float(window.session.mask.editing.labels.shape[-1])
    camera = window.viewer.scene.camera
    window.look(1, side / 2)
    pans = []
    for number in range(30):
        at = (0.3 + 0.4 * ((number * 0.37) % 1)) * side, (0.3 + 0.4 * number / 30) * side
        pans.append(window.drawn(partial(setattr, camera, "center", at)))
        window.rest(0.3)
    window.rest(1)
    middle = camera.center[-2:]
    times = window.stroke([(middle[0], middle[1] + 4 * number - 100) for number in range(MOVES)])
    painted = int(np.count_nonzero(window.session.mask.editing.labels))
    saved = window.save()
    _leave(window)
    return {"shown": shown, "pans": pans, "times": times, "painted": painted, "saved": saved}


def planes(folder: Path) -> Found:
    """A stack that is not read whole: opening it, and going from plane to plane."""
    before = _bytes_read()
    window = Annotating()
    start = _bytes_read()
    _, shown = window.open(folder)
    opened = _bytes_read() - start
    window.rest(2)
    count = window.session.mask.editing.labels.shape[0]
    dims, times = window.viewer.dims, []
    start = _bytes_read()
    for plane in range(0, count, count // 20):
        times.append(window.drawn(partial(dims.set_current_step, 0, plane + 1)))
        window.rest(0.1)
    leafed = _bytes_read() - start
    stroke = window.stroke(wave(0, 1, window.session.mask.editing.labels.shape[-1], MOVES))
    saved = window.save()
    _leave(window)
    file = next(folder.glob("stack.ome.tif")).stat().st_size
    found = {"shown": shown, "planes": times, "opened": opened / file, "leafed": leafed / file}
    return found | {"times": stroke, "saved": saved, "before": before / file}


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("rchar")))


def _leave(window: Annotating) -> None:
    window.save()
    window.session.close()


PARTS: dict[str, Callable[[Path], Found]] = {
    part.__name__: part for part in (dock, listing, leafing, brush, large, planes, learning, side_by_side)
}

if __name__ == "__main__":
    main()
