"""How far a training is: the line, the buttons of each state, and how it ended."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_attnseg.viewer.widgets.run_progress import RunProgress
from napari_attnseg.viewer.widgets.time_text import memory, share, speed, time_left

DETAILS = {"epoch": 14, "epochs": 100, "batch": 3, "batches": 20, "memory": 1_240_000_000}


@pytest.fixture
def progress(qtbot):
    widget = RunProgress()
    qtbot.addWidget(widget)
    widget.show()
    return widget


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{WORD JOINER}", "")


def test_the_line_and_the_bar(progress):
    progress.setState("running")
    progress.setProgress(0.62, DETAILS, 100.4, 31.2)
    assert plain(progress.line.text()) == "epoch 14 of 100 · batch 3 of 20 · 1:40 left · 31 patches/s · 1.2 GB"
    assert progress.bar.value() / progress.bar.maximum() == pytest.approx(0.62)
    assert progress.bar.text() == "62 %"
    progress.setProgress(0.01, {"epoch": 1})
    assert plain(progress.line.text()) == "epoch 1"


@pytest.mark.parametrize(
    ("state", "alive", "pause", "stop", "log"),
    [
        ("idle", False, False, False, False),
        ("starting", True, False, True, False),
        ("running", True, True, True, False),
        ("paused", True, True, True, False),
        ("stopping", True, False, False, False),
        ("finished", False, False, False, False),
        ("cancelled", False, False, False, False),
        ("failed", False, False, False, True),
    ],
)
def test_each_state_offers_what_can_be_done(progress, state, alive, pause, stop, log):
    progress.setState("starting")
    progress.setProgress(0.5, DETAILS)
    progress.setState(state, "A sentence.")
    assert progress.state() == state
    assert progress.bar.isVisible() == alive
    assert progress.stop_button.isVisible() == alive
    assert progress.pause_button.isEnabled() == pause
    assert progress.stop_button.isEnabled() == stop
    assert progress.log_button.isVisible() == log
    assert progress.sentence.text() == "A sentence."
    assert progress.sentence.isVisible()


def test_signals_say_what_the_user_wants(progress, qtbot):
    asked: list[object] = []
    progress.pauseAsked.connect(lambda: asked.append("pause"))
    progress.goOnAsked.connect(lambda: asked.append("go on"))
    progress.stopAsked.connect(lambda: asked.append("stop"))
    progress.logAsked.connect(lambda: asked.append("log"))
    progress.previewToggled.connect(asked.append)
    progress.setState("running")
    qtbot.mouseClick(progress.pause_button, Qt.MouseButton.LeftButton)
    progress.setState("paused")
    assert progress.pause_button.text() == "Go on"
    qtbot.mouseClick(progress.pause_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(progress.stop_button, Qt.MouseButton.LeftButton)
    progress.preview_box.click()
    progress.setState("failed", "It failed.")
    qtbot.mouseClick(progress.log_button, Qt.MouseButton.LeftButton)
    assert asked == ["pause", "go on", "stop", False, "log"]


def test_preview_round_trip(progress):
    assert progress.preview()
    for on in (False, True):
        progress.setPreview(on)
        assert progress.preview() is on


def test_notices_stay_until_the_next_run(progress):
    progress.setState("running")
    progress.addNotice("The GPU's memory ran out.")
    progress.addNotice("The GPU's memory ran out.")
    progress.setState("finished", "Finished.")
    assert progress.sentence.text() == "The GPU's memory ran out.\nFinished."
    progress.setState("starting")
    assert not progress.sentence.isVisible()


def test_while_it_waits_the_bar_moves_to_and_fro(progress):
    progress.setState("starting")
    assert progress.bar.maximum() == 0
    progress.setState("running")
    progress.setProgress(0.5, DETAILS)
    assert progress.bar.maximum() > 0
    progress.setState("stopping")
    progress.setProgress(0.6, DETAILS)  # a last one that was on its way
    assert progress.bar.maximum() == 0
    assert "being saved" in progress.line.text()


def test_a_pause_is_told_in_the_line(progress):
    progress.setState("running")
    progress.setProgress(0.5, DETAILS)
    progress.setState("paused")
    assert plain(progress.line.text()).startswith("Paused · epoch 14 of 100")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (time_left(0.2), "0:00 left"),
        (time_left(59.6), "1:00 left"),
        (time_left(3 * 3600 + 245), "3 h 04 left"),
        (time_left(-3), "0:00 left"),
        (memory(820e6), "820 MB"),
        (memory(1.24e9), "1.2 GB"),
        (speed(31.4), "31 patches/s"),
        (speed(0.84), "0.8 patches/s"),
        (share(0.999), "99 %"),
        (share(0.29), "29 %"),
        (share(1.0), "100 %"),
    ],
)
def test_times_and_sizes(text, expected):
    assert text == expected
