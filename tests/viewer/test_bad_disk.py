"""Disks that are full, read-only or slow."""

from __future__ import annotations

import builtins
import io
import os
import shutil
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt, QTimer

from napari_attnseg.annotation.folder.entries import ImageState
from napari_attnseg.annotation.folder.folder import AnnotationFolder, open_folder
from napari_attnseg.annotation.masks.document import Document
from napari_attnseg.annotation.masks.recovery import find_recoverable
from napari_attnseg.viewer.annotate.dock import AnnotateDock
from tests.conftest import MakeFolder
from tests.viewer.canvas import press, until
from tests.viewer.docked import labels, make_dock, opened, paint, save, told

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> AnnotateDock:
    return make_dock(viewer, qtbot)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of one megabyte, where that is allowed."""
    place = tmp_path / "small disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if mount is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("disks cannot be mounted here")
    yield place
    # a file that the viewer has not closed yet must not keep the disk
    subprocess.run(["umount", "-l", str(place)], check=True)


def _fill(place: Path) -> Path:
    """Leave no room on a disk."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    assert shutil.disk_usage(place).free == 0
    return ballast


def _is_in_journal(painted: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether the next start would offer a mask if this process were killed now."""
    with monkeypatch.context() as patch:
        patch.setattr("napari_attnseg.annotation.masks.abandoned.find_process", lambda pid, started: None)
        return any(item.labels is not None and np.array_equal(item.labels, painted) for item in find_recoverable())


# Full and read-only disks


def test_a_full_disk_loses_nothing(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_disk / "data"
    shutil.copytree(make_folder(2), folder)
    mask = folder / "cell00_MASK.tif"
    before = mask.read_bytes()
    opened(dock, qtbot, folder)
    ballast = _fill(small_disk)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    save(dock, qtbot)
    assert mask.read_bytes() == before
    assert any("Your strokes are kept" in text for text in told()), told()
    assert dock.images.entries()[0].state is ImageState.UNSAVED
    assert dock.saves.save_button.isEnabled()
    assert sorted(path.name for path in folder.glob("*.tif")) == sorted(
        f"cell0{number}{end}.tif" for number in (0, 1) for end in ("", "_MASK")
    )
    until(qtbot, lambda: _is_in_journal(painted, monkeypatch))
    ballast.unlink()
    save(dock, qtbot)
    until(qtbot, lambda: not dock.session.unsaved)
    np.testing.assert_array_equal(tifffile.imread(mask) > 0, painted > 0)


def test_a_full_disk_of_the_journal_is_told_and_mended(
    viewer: Any, qtbot: Any, make_folder: MakeFolder, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(small_disk / "user"))
    monkeypatch.setattr("napari_attnseg.annotation.masks.journal.RETRY", 0.2)
    dock = make_dock(viewer, qtbot)
    opened(dock, qtbot, make_folder(1))
    ballast = _fill(small_disk)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    until(qtbot, dock.banner.isVisible)
    assert "cannot be secured against a crash" in dock.banner.text()
    ballast.unlink()
    until(qtbot, lambda: not dock.banner.isVisible())
    until(qtbot, lambda: _is_in_journal(painted, monkeypatch))


def test_a_read_only_folder_is_looked_at_and_its_strokes_are_kept(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_disk / "data"
    shutil.copytree(make_folder(2), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    opened(dock, qtbot, folder)
    assert len(dock.images.entries()) == 2
    paint(dock, qtbot)
    painted = labels(dock).copy()
    save(dock, qtbot)
    assert any("Your strokes are kept" in text for text in told()), told()
    assert len(dock.session.unsaved) == 1
    dock.images.step(1)
    until(qtbot, lambda: dock.session.shown == folder / "cell01.tif")
    until(qtbot, lambda: _is_in_journal(painted, monkeypatch))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# A slow folder


class Gate:
    """Holds up work in a thread until the window has turned its wheel a few times; fails if it never does."""

    TURNS = 5

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.stuck: list[str] = []
        self._turns = 0
        self._moved = threading.Condition()
        self._timer = QTimer()
        self._timer.timeout.connect(self._turn)
        self._timer.start(10)

    def _turn(self) -> None:
        with self._moved:
            self._turns += 1
            self._moved.notify_all()

    def before(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that waits at the gate first."""

        def slow(*args: Any, **options: Any) -> Any:
            with self._moved:
                wanted = self._turns + self.TURNS
                lives = self._moved.wait_for(lambda: self._turns >= wanted, timeout=5)
            (self.passed if lives else self.stuck).append(name)
            return function(*args, **options)

        return slow


def test_the_window_lives_while_a_slow_folder_is_read_and_written(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(3)
    gate = Gate()
    monkeypatch.setattr("napari_attnseg.viewer.session.opening.open_folder", gate.before("list", open_folder))
    monkeypatch.setattr(AnnotationFolder, "document", gate.before("open", AnnotationFolder.document))
    monkeypatch.setattr(Document, "save", gate.before("save", Document.save))
    opened(dock, qtbot, folder)
    dock.images.step(1)
    until(qtbot, lambda: dock.session.shown == folder / "cell01.tif")
    paint(dock, qtbot)
    painted = labels(dock).copy()
    press(qtbot, dock.session.viewer, Qt.Key.Key_S, CTRL)
    paint(dock, qtbot, [(20.0, 5.0), (20.0, 15.0)])  # while it is being written
    until(qtbot, lambda: not dock.session.saving.is_busy)
    assert gate.stuck == []
    assert {"list", "open", "save"} <= set(gate.passed)
    np.testing.assert_array_equal(tifffile.imread(folder / "cell01_MASK.tif") > 0, painted > 0)
    assert folder / "cell01.tif" in dock.session.unsaved, "the later stroke is not saved yet"


_DISK = (
    (os, "stat"), (os, "lstat"), (os, "scandir"), (os, "listdir"), (os, "open"), (os, "replace"), (os, "mkdir"),
    (os, "unlink"), (builtins, "open"), (io, "open"),
)  # fmt: skip


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the calls by which the window's thread has waited for a disk named 'slow'."""
    found: list[str] = []
    window_thread = threading.get_ident()

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any = ".", *args: Any, **options: Any) -> Any:
            on_slow_disk = isinstance(path, str | os.PathLike) and "slow disk" in os.fspath(path)
            if on_slow_disk and threading.get_ident() == window_thread:
                ours = [line for line in traceback.format_stack() if "napari" in line and "test_bad_disk" not in line]
                found.append(f"{name}({path}):\n{''.join(ours[-3:])}")
            return function(path, *args, **options)

        return call

    for module, name in _DISK:
        monkeypatch.setattr(module, name, watched(name, getattr(module, name)))
    return found


def test_the_window_never_waits_for_the_disk(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, waits: list[str]
) -> None:
    folder = make_folder(4, "slow disk")
    (folder / "cell02_MASK.tif").unlink()
    del waits[:]
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    save(dock, qtbot)
    press(qtbot, dock.session.viewer, Qt.Key.Key_PageDown)
    until(qtbot, lambda: dock.session.shown == folder / "cell01.tif")
    press(qtbot, dock.session.viewer, Qt.Key.Key_PageDown, CTRL)
    until(qtbot, lambda: dock.session.shown == folder / "cell02.tif")
    paint(dock, qtbot)
    dock.saves.save_all_button.click()
    until(qtbot, lambda: not dock.session.unsaved and not dock.session.saving.is_busy)
    dock.classes.add_button.click()
    dock.session.open_file(folder / "cell03_MASK.tif")
    until(qtbot, lambda: dock.session.shown == folder / "cell03.tif")
    dock.check.start()
    assert dock.session.background.wait(10)
    qtbot.wait(100)
    assert not waits, "\n".join(waits)


def test_the_watch_over_the_disk_sees(waits: list[str], tmp_path: Path) -> None:
    """What watches in the test above must notice the ways in which the program reads and writes."""
    place = tmp_path / "slow disk"
    place.mkdir()
    tifffile.imwrite(place / "a.tif", np.zeros((2, 2), np.uint8))
    tifffile.imread(place / "a.tif")
    (place / "a.tif").exists()
    list(place.iterdir())
    assert {text.partition("(")[0] for text in waits} >= {"mkdir", "open", "stat", "listdir"}
