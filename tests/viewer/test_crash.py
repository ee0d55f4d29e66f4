"""A viewer that is killed while somebody paints in it, and what the next one offers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtGui import QImage
from qtpy.QtTest import QTest

from napari_attnseg.annotation.folder.entries import FolderChoices, ImageState
from napari_attnseg.annotation.folder.folder import AnnotationFolder, open_folder
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.recovery import find_recoverable, new_journal
from napari_attnseg.viewer.annotate.crash import picture_of
from napari_attnseg.viewer.widgets.crash_restore import Decision, RestoreDialog
from tests.conftest import MakeFolder
from tests.viewer.canvas import until
from tests.viewer.docked import answer, make_dock, opened, save

SHAPE = (96, 100)
ENOUGH = 15  # strokes that are painted before the viewer is killed
LONGEST = 90  # seconds that the viewer may take to start and paint
SAFE_AFTER = 2.0  # seconds after which a stroke must survive


@dataclass
class Crash:
    """What a killed viewer has left behind."""

    folder: Path
    journals: Path
    strokes: list[dict[str, Any]]
    """All strokes that it has told of."""
    safe: list[dict[str, Any]]
    """Those that were older than two seconds when it was killed."""

    def safe_pixels(self, image: str) -> np.ndarray:
        """Return flat indices of the pixels of an image that must be there again."""
        return np.array(sorted({p for stroke in self.safe if stroke["image"] == image for p in stroke["pixels"]}))


def _make_images(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name in ("one", "two"):
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 255, SHAPE, dtype=np.uint8))
    mask = np.zeros(SHAPE, np.uint8)
    mask[70:80, 20:40] = 255
    tifffile.imwrite(folder / "one_MASK.tif", mask)


def _paint_and_kill(folder: Path, environment: dict[str, str]) -> tuple[list[dict[str, Any]], float]:
    command = [sys.executable, "-m", "tests.viewer.crashing_viewer", str(folder)]
    log = folder.parent / "stderr.txt"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=Path(__file__).parents[2]
        ) as process,
    ):
        assert process.stdout is not None
        watchdog = threading.Timer(LONGEST, process.kill)  # a viewer that never paints must not be waited for
        watchdog.start()
        strokes = []
        for line in process.stdout:
            if line.startswith("{"):  # napari prints there too
                strokes.append(json.loads(line))
            if len(strokes) == ENOUGH:
                break
        killed = time.time()
        process.send_signal(signal.SIGKILL)
        watchdog.cancel()
    assert len(strokes) == ENOUGH, log.read_text()
    assert process.returncode == -signal.SIGKILL
    return strokes, killed


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Crash:
    """Kill a viewer once for all tests of this file."""
    place = tmp_path_factory.mktemp("crash")
    folder, data = place / "data", place / "user-data"
    _make_images(folder)
    shutil.copytree(folder, place / "as-it-was")  # keeps the times too
    environment = os.environ | {"NAPARI_ATTNSEG_DATA": str(data), "NAPARI_CONFIG": str(place / "napari.yaml")}
    strokes, when = _paint_and_kill(folder, environment)
    safe = [stroke for stroke in strokes if stroke["when"] < when - SAFE_AFTER]
    return Crash(folder, data / "journals", strokes, safe)


@pytest.fixture
def crash(killed: Crash, data_folder: Path) -> Iterator[Crash]:
    """Give each test the journals and masks as the killed viewer has left them."""
    journals = data_folder / "journals"
    shutil.copytree(killed.journals, journals)
    yield Crash(killed.folder, journals, killed.strokes, killed.safe)
    for mask in killed.folder.glob("*_MASK*"):
        mask.unlink()
    shutil.copy2(killed.folder.parent / "as-it-was" / "one_MASK.tif", killed.folder)


def _has_green(image: QImage) -> bool:
    """Whether a preview shows anything that was painted."""
    colours = (image.pixelColor(x, y) for x in range(0, image.width(), 3) for y in range(image.height()))
    return any(colour.green() > colour.red() + 50 and colour.green() > colour.blue() + 30 for colour in colours)


def _choose(decisions: list[Decision], seen: dict[str, Any]) -> Any:
    def act(dialog: RestoreDialog) -> None:
        table = dialog.table
        seen["rows"] = [table.item(row, 0).text() for row in range(table.rowCount())]
        for row in range(table.rowCount()):
            table.setCurrentCell(row, 0)
            seen.setdefault("loading", []).append("Loading" in dialog.picture.text())
            while "Loading" in dialog.picture.text():
                QTest.qWait(10)
            seen.setdefault("details", []).append(dialog.details.text())
            picture = dialog.picture.pixmap()  # of the label: to be looked at before it shows the next one
            seen.setdefault("pictures", []).append(picture is not None and _has_green(picture.toImage()))
        dialog.setDecisions(decisions)
        dialog.done_button.click()

    return act


def _journals(crash: Crash) -> list[Path]:
    return sorted(path for path in crash.journals.iterdir() if path.is_file())


def test_every_stroke_older_than_two_seconds_comes_back(viewer: Any, qtbot: Any, crash: Crash) -> None:
    assert {stroke["image"] for stroke in crash.safe} == {"one.tif", "two.tif"}
    assert len(_journals(crash)) == 2
    seen: dict[str, Any] = {}
    answer(RestoreDialog, _choose([Decision.RESTORE, Decision.RESTORE], seen))
    dock = make_dock(viewer, qtbot)
    until(qtbot, lambda: len(dock.session.unsaved) == 2 and dock.session.mask is not None)
    assert seen["rows"] == ["two.tif", "one.tif"]
    assert all("pixels painted or erased" in text for text in seen["details"])
    assert seen["pictures"] == [True, True]
    assert seen["loading"][1], "it is read and drawn in a thread"
    until(qtbot, lambda: {entry.state for entry in dock.images.entries()} == {ImageState.UNSAVED})
    for image, editing in dock.session.unsaved.items():
        flat = editing.labels.reshape(-1)
        assert (flat[crash.safe_pixels(image.name)] == 1).all(), image.name
    first = dock.session.unsaved[crash.folder / "one.tif"].labels
    assert first[70:80, 20:40].all(), "what was in the mask before is there too"
    expected = {image: editing.labels.copy() for image, editing in dock.session.unsaved.items()}
    save(dock, qtbot)
    dock.saves.save_all_button.click()
    until(qtbot, lambda: not dock.session.unsaved and not dock.session.saving.is_busy)
    for image, painted in expected.items():
        on_disk = tifffile.imread(next(image.parent.glob(f"{image.stem}_MASK.tif*")))
        np.testing.assert_array_equal(on_disk > 0, painted > 0)
    until(qtbot, lambda: not _journals(crash))


def test_restored_strokes_are_shown_and_can_be_undone(viewer: Any, qtbot: Any, crash: Crash) -> None:
    answer(RestoreDialog, _choose([Decision.LATER, Decision.RESTORE], {}))
    dock = make_dock(viewer, qtbot)
    until(qtbot, lambda: dock.session.unsaved and dock.session.shown == crash.folder / "one.tif")
    mask = dock.session.mask
    assert mask is not None
    assert mask.editing is dock.session.unsaved[crash.folder / "one.tif"]
    assert (np.asarray(mask.layer.data).reshape(-1)[crash.safe_pixels("one.tif")] == 1).all()
    dock.session.undo()
    assert mask.editing.labels.sum() == 200


def test_discarded_strokes_are_put_away(viewer: Any, qtbot: Any, crash: Crash) -> None:
    before = {path.name: path.read_bytes() for path in crash.folder.glob("*.tif")}
    answer(RestoreDialog, _choose([Decision.DISCARD, Decision.DISCARD], {}))
    dock = make_dock(viewer, qtbot)
    until(qtbot, lambda: not _journals(crash))
    assert len(list((crash.journals / "discarded").iterdir())) == 2
    assert not dock.session.unsaved
    assert {path.name: path.read_bytes() for path in crash.folder.glob("*.tif")} == before


@pytest.mark.parametrize("how", ["chosen", "dismissed"])
def test_later_keeps_everything(viewer: Any, qtbot: Any, crash: Crash, how: str) -> None:
    before = [path.read_bytes() for path in _journals(crash)]

    def dismiss(dialog: RestoreDialog) -> None:
        dialog.setDecisions([Decision.RESTORE, Decision.DISCARD])
        dialog.close()

    act = dismiss if how == "dismissed" else _choose([Decision.LATER, Decision.LATER], {})
    seen = answer(RestoreDialog, act)
    dock = make_dock(viewer, qtbot)
    until(qtbot, lambda: seen and not seen[0].isVisible())
    qtbot.wait(200)
    assert [path.read_bytes() for path in _journals(crash)] == before
    assert not dock.session.unsaved
    assert dock.session.shown is None


def test_a_restored_mask_of_the_image_that_is_shown_is_on_its_layer_at_once(
    viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    image = tmp_path / "data" / "one.tif"
    image.parent.mkdir()
    tifffile.imwrite(image, np.zeros((40, 50), np.uint8))
    tifffile.imwrite(image.with_name("one_MASK.tif"), np.zeros((40, 50), np.uint8))
    dock = opened(make_dock(viewer, qtbot), qtbot, image.parent)
    assert dock.session.folder is not None
    document = dock.session.folder.document(image)
    restored = Editing(document, new_journal(document))
    restored.labels[5:9, 5:9] = 1
    assert restored.note([(slice(0, 40), slice(0, 50))])
    dock.session.take(image, restored)
    assert dock.session.mask is not None
    assert dock.session.mask.editing is restored, "what is saved now is what was restored"
    save(dock, qtbot)
    until(qtbot, lambda: not dock.session.unsaved)
    assert np.count_nonzero(tifffile.imread(image.with_name("one_MASK.tif"))) == 16


def test_the_preview_shows_planes_by_the_axes_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_attnseg.annotation.masks.abandoned.find_process", lambda pid, started: None)
    image = tmp_path / "stack.tif"
    tifffile.imwrite(image, np.zeros((3, 40, 50), np.uint8), photometric="minisblack")  # may well be channels
    folder = open_folder(tmp_path)
    folder.set_choices(FolderChoices(axes="ZYX"))
    document = folder.document(image)
    editing = Editing(document, new_journal(document))
    assert editing.apply({(2,): np.ones((40, 50), np.uint8)})
    assert editing.journal.close()
    [found] = find_recoverable()
    picture = picture_of(found)
    assert picture is not None
    assert _has_green(picture)


def test_masks_of_two_folders_come_back_in_the_whole_folder_of_the_first(
    viewer: Any, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = make_folder(3, "older"), make_folder(3, "newer")
    images = [folder / "cell01.tif" for folder in (older, newer)]
    for image in images:
        document = open_folder(image.parent).document(image)
        editing = Editing(document, new_journal(document))
        assert editing.apply({(): 1 - document.labels})
        assert editing.journal.release()
    asked: list[Path] = []
    replaced = threading.Event()

    def open_slowly(path: Path, *options: Any) -> AnnotationFolder:
        asked.append(path)
        if path.is_file():  # one image would be opened in its folder's place
            replaced.set()
        elif len(asked) == 2:  # a second folder is there later than that
            replaced.wait(10)
        return open_folder(path, *options)

    monkeypatch.setattr("napari_attnseg.viewer.session.opening.open_folder", open_slowly)
    answer(RestoreDialog, _choose([Decision.RESTORE, Decision.RESTORE], {}))
    dock = make_dock(viewer, qtbot)
    until(qtbot, lambda: set(dock.session.unsaved) == set(images) and dock.session.shown in images)
    until(qtbot, lambda: dock.session.background.wait(0))
    folder = dock.session.folder
    assert folder is not None
    assert asked == [newer]
    assert folder.source == newer
    listed = {images[0], *(newer / f"cell0{number}.tif" for number in range(3))}
    until(qtbot, lambda: {entry.image for entry in dock.images.entries()} == listed)
