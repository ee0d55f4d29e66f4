"""What a user waits for while a model is trained, and for its predictions, in a real window."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.viewer.window import Annotating, wave

Found = dict[str, Any]
STROKES, MOVES = 8, 30
WARMED_UP = 8.0  # seconds of training before anything is measured


def learning(folder: Path) -> Found:
    """Painting during a training and while it is paused, in turns; its start and its end; predictions."""
    window = Annotating()
    _, train = window.viewer.window.add_plugin_dock_widget("napari-attnseg", "Train")
    _, predict = window.viewer.window.add_plugin_dock_widget("napari-attnseg", "Predict")
    window.open(folder)
    run = train.training.run
    window.until(train.train_button.isEnabled)
    window.rest(5)  # the folder is checked, the device described
    found: Found = {"started": _seconds(window, train.train_button.click, run.progressed)}
    window.until(lambda: train.progress.line.text().count("batch"))
    window.rest(WARMED_UP)
    found |= _strokes(window, train)
    found["stopped"] = _seconds(window, train.progress.stop_button.click, run.ended)
    found["state"] = run.state
    window.until(lambda: predict.model is not None)
    window.rest(1)
    shown = train.predicting.predicted
    button = predict.buttons.image_button
    found["first"] = _seconds(window, button.click, shown)
    found["others"] = []
    for _ in range(5):
        window.rest(0.5)
        found["others"].append(_seconds(window, button.click, shown))
    found["torch"] = "torch" in sys.modules
    window.session.close()
    return found


def _strokes(window: Annotating, train: Any) -> Found:
    side = float(window.session.mask.editing.labels.shape[-1])
    window.look(1.2, side / 2)
    found: Found = {"training": [], "paused": []}
    for number in range(2 * STROKES + 2):
        is_paused = number % 2 == 1
        (train.training.run.pause if is_paused else train.training.run.go_on)()
        window.rest(1.5)
        times = window.stroke(wave(number, 2 * STROKES + 2, side, MOVES))
        if number > 1:  # the first draw what is compiled once
            found["paused" if is_paused else "training"] += times
    train.training.run.go_on()
    window.rest(1)
    return found


def _seconds(window: Annotating, action: Callable[[], object], signal: Any) -> float:
    """Return the seconds from an action to the next signal, and to what it draws."""
    heard: list[object] = []

    def hear(*arguments: object) -> None:
        heard.append(arguments)

    signal.connect(hear)
    began = time.perf_counter()
    action()
    window.until(lambda: heard, 60)
    window.app.processEvents()
    seconds = time.perf_counter() - began
    signal.disconnect(hear)
    return seconds
