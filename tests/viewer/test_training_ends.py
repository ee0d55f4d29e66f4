"""All the ways in which a training can end, or go on without the viewer: each is told, and nothing learnt is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from qtpy.QtCore import Qt

from napari_attnseg.annotation.trainings import runs
from napari_attnseg.annotation.trainings.runs import is_running, run_folders, running
from napari_attnseg.jobs import attach
from napari_attnseg.models.model_card import load_card
from napari_attnseg.viewer.session import closing
from tests.viewer.canvas import until
from tests.viewer.docked import LONG, Docks, click, disc_folder, make_docks, opened, set_tiny, told, wait_for_end

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return disc_folder(tmp_path / "discs", 3, masks=3)


def on_folder(viewer: Any, qtbot: Any, folder: Path) -> Docks:
    docks = make_docks(viewer, qtbot)
    opened(docks.annotate, qtbot, folder)
    return docks


def start(docks: Docks, qtbot: Any, epochs: int = 500) -> None:
    """Start a training that takes long, and wait until it learns."""
    set_tiny(docks, qtbot, epochs=epochs)
    click(qtbot, docks.train.train_button)
    until(qtbot, lambda: docks.train.training.run.rows, LONG)


def close(docks: Docks) -> bool:
    """Close the window as its frame's button does; the fixture closes it again, so that Qt keeps it."""
    window, delete = docks.viewer.window._qt_window, Qt.WidgetAttribute.WA_DeleteOnClose
    window.setAttribute(delete, False)
    closed = bool(window.close())
    window.setAttribute(delete, True)
    return closed


def process_of(run: Path) -> psutil.Process:
    pid = attach(run).pid
    assert pid is not None
    return psutil.Process(pid)


@pytest.mark.one_binding
def test_a_killed_training_is_told_and_keeps_its_best_model(viewer: Any, qtbot: Any, folder: Path) -> None:
    docks = on_folder(viewer, qtbot, folder)
    train = docks.train
    start(docks, qtbot)
    run = train.training.run.folder
    assert run is not None
    assert not train.progress.log_button.isVisible()
    os.kill(process_of(run).pid, signal.SIGKILL)
    assert wait_for_end(docks, qtbot) == "failed"
    sentence = train.progress.sentence.text()
    assert "was killed" in sentence
    assert "\n" not in sentence
    assert train.progress.log_button.isVisible()
    assert (run / "log.txt").exists()
    assert docks.predict.model == run / "best.safetensors"
    assert train.train_button.isEnabled(), "the next one can be started"


@pytest.mark.one_binding
def test_a_second_training_of_the_folder_is_refused(viewer: Any, qtbot: Any, folder: Path) -> None:
    docks = on_folder(viewer, qtbot, folder)
    run = docks.train.training.run
    start(docks, qtbot)
    assert not docks.train.train_button.isEnabled()
    docks.train._train()  # as a script may
    qtbot.wait(100)
    assert "running already" in docks.train.progress.sentence.text()
    assert len(run_folders(folder)) == 1
    assert run.state == "running"
    click(qtbot, docks.train.progress.stop_button)
    assert wait_for_end(docks, qtbot) == "cancelled"


def test_it_goes_on_without_the_viewer_and_the_next_one_finds_it(
    viewer: Any, qtbot: Any, folder: Path, make_napari_viewer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "ask_training", lambda parent: "go on")
    first = on_folder(viewer, qtbot, folder)
    start(first, qtbot)
    (run,) = running(folder)
    process = process_of(run)
    assert close(first)
    assert process.is_running()
    assert is_running(run)

    second = on_folder(make_napari_viewer(show=True), qtbot, folder)
    until(qtbot, lambda: second.train.training.run.state == "running")
    assert any("is going on" in sentence for sentence in told())
    rows = len(second.train.curves.rows())
    until(qtbot, lambda: len(second.train.curves.rows()) > max(rows, 1), LONG)
    assert [row["epoch"] for row in second.train.curves.rows()][:2] == [1, 2], "the curves are there from the beginning"
    until(qtbot, lambda: "epoch" in second.train.progress.line.text(), LONG)
    assert not second.train.train_button.isEnabled()
    click(qtbot, second.train.progress.stop_button)
    assert wait_for_end(second, qtbot) == "cancelled"
    assert second.predict.model == run / "best.safetensors"


@pytest.mark.one_binding
@pytest.mark.parametrize("when", ["starting", "running"])
def test_stopped_by_closing_the_next_viewer_takes_its_model(
    viewer: Any, qtbot: Any, folder: Path, make_napari_viewer: Callable[..., Any], when: str
) -> None:
    first = on_folder(viewer, qtbot, folder)
    if when == "running":
        start(first, qtbot)
    else:
        set_tiny(first, qtbot, epochs=500)
        click(qtbot, first.train.train_button)
        assert first.train.training.run.state == "starting"
    assert close(first)
    (run,) = run_folders(folder)
    assert not is_running(run)
    if when == "starting":
        return
    assert load_card(run / "best.safetensors").images == 2

    second = on_folder(make_napari_viewer(show=True), qtbot, folder)
    until(qtbot, lambda: second.predict.model == run / "best.safetensors")
    until(qtbot, lambda: "has ended since" in second.train.banner.text())
    assert not second.train.training.run.is_active
    second.session.folder_changed.emit()  # such as after the folder is read in another way
    assert "has ended since" in second.train.banner.text(), "news hold until another folder is opened"


@pytest.mark.one_binding
def test_staying_leaves_everything_as_it_is(
    viewer: Any, qtbot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docks = on_folder(viewer, qtbot, folder)
    start(docks, qtbot)
    with monkeypatch.context() as patch:
        patch.setattr(closing, "ask_training", lambda parent: "cancel")
        assert not close(docks)
    assert docks.train.training.run.state == "running"
    rows = len(docks.train.training.run.rows)
    until(qtbot, lambda: len(docks.train.training.run.rows) > rows, LONG)
    click(qtbot, docks.train.progress.stop_button)
    assert wait_for_end(docks, qtbot) == "cancelled"


@pytest.mark.one_binding
def test_a_folder_that_cannot_be_written_to_trains_in_the_users_own(
    viewer: Any, qtbot: Any, folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "can_write_into", lambda place: folder not in (place, *place.parents))
    docks = on_folder(viewer, qtbot, folder)
    start(docks, qtbot)
    assert not (folder / "attnseg_runs").exists()
    (run,) = run_folders(folder)
    assert data_folder in run.parents
    assert f"{folder} cannot be written to" in docks.train.banner.text()
    click(qtbot, docks.train.progress.stop_button)
    assert wait_for_end(docks, qtbot) == "cancelled"
    assert docks.predict.model == run / "best.safetensors"
