"""Files that are wrong or gone, and folders that somebody else has open."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.session import saving
from napari_attnseg.viewer.session.folder_hold import FolderHold
from tests.conftest import MakeFolder
from tests.viewer.canvas import press, until
from tests.viewer.docked import labels, make_dock, opened, paint, save, told

HOLD_LOCK = """
import sys
from functools import partial
from pathlib import Path
from napari_attnseg.annotation.folder.lock import FolderLock
assert FolderLock(Path(sys.argv[1])).acquire() is None
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> AnnotateDock:
    return make_dock(viewer, qtbot)


# Files


def test_a_mask_deleted_while_open_is_asked_about(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(1)
    mask_path = folder / "cell00_MASK.tif"
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    mask_path.unlink()
    asked: list[str] = []
    for answer in ("cancel", "overwrite"):
        asked.clear()
        monkeypatch.setattr(saving, "ask_overwrite", lambda parent, what, answer=answer: asked.append(what) or answer)
        save(dock, qtbot)
        assert len(asked) == 1
        assert "cell00_MASK.tif was removed or renamed" in asked[0]
        until(qtbot, lambda answer=answer: bool(dock.session.unsaved) == (answer == "cancel"))
        assert mask_path.exists() == (answer == "overwrite")
        np.testing.assert_array_equal(labels(dock), painted)
    np.testing.assert_array_equal(tifffile.imread(mask_path) > 0, painted > 0)


def _bad_masks() -> dict[str, Callable[[Path], None]]:
    noise = np.random.default_rng(0).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    return {
        "coloured": lambda path: tifffile.imwrite(path, noise, photometric="rgb"),
        "of another size": lambda path: tifffile.imwrite(path, np.zeros((20, 30), np.uint8)),
        "cut off": lambda path: path.write_bytes(path.read_bytes()[:60]),
        "no TIFF": lambda path: path.write_bytes(b"this is a letter, not a mask"),
        "empty": lambda path: path.write_bytes(b""),
    }


def _is_shown_without_its_mask(dock: AnnotateDock, mask: Path) -> bool:
    shown = dock.session.shown
    return shown is not None and mask.name.startswith(shown.stem) and any(mask.name in text for text in told())


def test_masks_that_are_of_no_use_are_told_and_never_overwritten(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    folder = make_folder(6)
    masks = [folder / f"cell0{number}_MASK.tif" for number in range(5)]
    for mask, damage in zip(masks, _bad_masks().values(), strict=True):
        damage(mask)
    before = [mask.read_bytes() for mask in masks]
    opened(dock, qtbot, folder)
    for number, mask in enumerate(masks):
        until(qtbot, partial(_is_shown_without_its_mask, dock, mask))
        assert [layer.name for layer in dock.session.viewer.layers] == [f"cell0{number}"]
        assert dock.session.mask is None
        assert not dock.saves.save_button.isEnabled()
        press(qtbot, dock.session.viewer, Qt.Key.Key_PageDown)
    until(qtbot, lambda: dock.session.shown == folder / "cell05.tif" and dock.session.mask is not None)
    paint(dock, qtbot)
    dock.saves.save_all_button.click()
    until(qtbot, lambda: not dock.session.unsaved and not dock.session.saving.is_busy)
    assert [mask.read_bytes() for mask in masks] == before


def test_a_damaged_image_is_told_and_the_others_open(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(3)
    (folder / "cell01.tif").write_bytes((folder / "cell01.tif").read_bytes()[:100])
    opened(dock, qtbot, folder)
    dock.session.show(folder / "cell01.tif")
    until(qtbot, lambda: any("cell01.tif" in text for text in told()))
    assert dock.session.shown == folder / "cell00.tif"
    dock.session.show(folder / "cell02.tif")
    until(qtbot, lambda: dock.session.shown == folder / "cell02.tif")


def test_an_image_that_is_gone_is_told(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(5)
    opened(dock, qtbot, folder)
    (folder / "cell04.tif").unlink()
    dock.session.show(folder / "cell04.tif")
    until(qtbot, lambda: any("cell04.tif" in text for text in told()))
    assert dock.session.shown == folder / "cell00.tif"


# Two windows on one folder


def test_a_second_window_is_told(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, make_napari_viewer: Callable[..., Any]
) -> None:
    folder = make_folder(1)
    opened(dock, qtbot, folder)
    until(qtbot, (folder / ".attnseg" / "open.json").exists)
    second = opened(make_dock(make_napari_viewer(show=True), qtbot), qtbot, folder)
    until(qtbot, second.banner.isVisible)
    assert "has been open in another window of this program" in second.banner.text()
    assert not dock.banner.isVisible()


def test_another_programs_lock_is_told_until_it_ends(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder, other = make_folder(1), make_folder(1, "other")
    command = [sys.executable, "-c", HOLD_LOCK, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        opened(dock, qtbot, folder)
        until(qtbot, dock.banner.isVisible)
        assert f"in another napari on this computer (process {holder.pid})" in dock.banner.text()
        holder.stdin.close()
    dock.session.findChild(FolderHold).beat()  # and the folder is ours now
    until(qtbot, lambda: not dock.banner.isVisible())
    lock = folder / ".attnseg" / "open.json"
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "token": "another's"}))  # while this computer slept
    dock.session.findChild(FolderHold).beat()
    until(qtbot, dock.banner.isVisible)
    lock.unlink()
    dock.session.open_folder(other)
    until(qtbot, lambda: dock.session.shown == other / "cell00.tif" and not dock.banner.isVisible())
    dock.session.open_folder(folder)
    until(qtbot, lambda: dock.session.shown == folder / "cell00.tif")
    assert dock.session.background.wait(5)
    qtbot.wait(50)
    assert not dock.banner.isVisible()
