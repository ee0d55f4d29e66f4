"""Painting while a model learns: in a child process as the Train dock does it, and in a thread of the viewer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.qt.threading import thread_worker

from benchmarks.viewer.window import Annotating, wave
from napari_attnseg.events import Event, Progress
from napari_attnseg.viewer.train.training_run import TrainingRun

Found = dict[str, Any]
STROKES, MOVES = 8, 30
_WARMED_UP = 8.0  # seconds of training before anything is measured
_STARTED = 600.0  # seconds within which a training begins, on a machine that is busy
_SETTLED = 1.5  # seconds after pausing and going on


def side_by_side(folder: Path) -> Found:
    """Paint in turns while the training of the dock runs, while one in a thread runs, and while both rest."""
    window = Annotating()
    _, train = window.viewer.window.add_plugin_dock_widget("napari-attnseg", "Train")
    window.open(folder)
    window.until(train.train_button.isEnabled)
    window.rest(5)  # the folder is checked, the device described
    run = train.training.run
    train.train_button.click()
    try:
        window.until(lambda: train.progress.line.text().count("batch"), _STARTED)
        window.rest(_WARMED_UP)
        run.pause()
        window.until(lambda: run.state == "paused")
        return _beside_a_thread(window, run, InThread(folder, folder.parent / f"{folder.name}-run"))
    finally:
        run.stop()
        window.until(lambda: not run.is_active)
        window.session.close()


def _beside_a_thread(window: Annotating, run: TrainingRun, thread: InThread) -> Found:
    """Measure, with the training of the dock at rest at first."""
    try:
        window.until(lambda: thread.steps, _STARTED)
        window.rest(_WARMED_UP)
        thread.pause()
        return _strokes(window, {"child": (run.go_on, run.pause), "thread": (thread.go_on, thread.pause)})
    finally:
        thread.stop()
        window.until(lambda: thread.has_ended)


class InThread:
    """The same training with the same default settings in a thread of this process, as plugins mostly have it."""

    def __init__(self, folder: Path, run: Path) -> None:
        from napari_attnseg.engine import fit

        self.steps = 0
        self.has_ended = False
        self._stop, self._pause = threading.Event(), threading.Event()

        def learn() -> None:
            fit(
                folder,
                run,
                on_event=self._on_event,
                should_stop=self._stop.is_set,
                should_pause=self._pause.is_set,
            )

        self._worker = thread_worker(learn)()
        self._worker.finished.connect(self._on_finished)
        self._worker.start()

    def pause(self) -> None:
        """Let it rest after the current batch."""
        self._pause.set()

    def go_on(self) -> None:
        """Let it go on."""
        self._pause.clear()

    def stop(self) -> None:
        """Let it end after the current batch."""
        self._stop.set()

    def _on_event(self, event: Event) -> None:
        self.steps += isinstance(event, Progress) and "batch" in event.message

    def _on_finished(self) -> None:
        self.has_ended = True


def _strokes(window: Annotating, trainings: dict[str, tuple[Callable[[], None], Callable[[], None]]]) -> Found:
    """Paint a stroke with each training running, and one with none, again and again; return the times of the moves."""
    side = float(window.session.mask.editing.labels.shape[-1])
    window.look(1.2, side / 2)
    turns = [*trainings, "none"]
    found: Found = {name: [] for name in turns}
    total = len(turns) * (STROKES + 1)
    for number in range(total):
        name = turns[number % len(turns)]
        go_on, pause = trainings.get(name, (_nothing, _nothing))
        go_on()
        window.rest(_SETTLED)
        times = window.stroke(wave(number, total, side, MOVES))
        pause()
        window.rest(_SETTLED)
        if number >= len(turns):  # the first draw what is compiled once
            found[name] += times
    return found


def _nothing() -> None:
    """Neither begins nor ends."""
