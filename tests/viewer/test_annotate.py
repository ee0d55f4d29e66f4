"""The Annotate dock in a real viewer, with the mouse and the keyboard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtGui import QOpenGLContext

from napari_attnseg.annotation.folder.entries import ImageState
from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.recovery import new_journal
from napari_attnseg.viewer.annotate import folder_check
from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.session import saving
from tests.conftest import MakeFolder
from tests.viewer.canvas import canvas_of, press, stroke, until
from tests.viewer.docked import labels, make_dock, opened, paint, save

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> AnnotateDock:
    return make_dock(viewer, qtbot)


def test_a_folder_is_listed_and_its_first_image_shown(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(3)
    (folder / "cell01_MASK.tif").unlink()
    opened(dock, qtbot, folder)
    assert dock.session.shown == folder / "cell00.tif"
    assert [entry.state for entry in dock.images.entries()] == [
        ImageState.HAS_MASK,
        ImageState.NO_MASK,
        ImageState.HAS_MASK,
    ]
    assert [layer.name for layer in dock.session.viewer.layers] == ["cell00", "cell00_MASK"]


def test_a_stroke_is_saved_with_ctrl_s(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(2)
    before = tifffile.imread(folder / "cell00_MASK.tif")
    opened(dock, qtbot, folder)
    paint(dock, qtbot, [(4.0, 4.0), (4.0, 12.0), (10.0, 12.0)])
    painted = labels(dock).copy()
    assert painted[4, 8] == 1
    assert painted[8, 12] == 1
    assert dock.images.entries()[0].state == ImageState.UNSAVED
    save(dock, qtbot)
    after = tifffile.imread(folder / "cell00_MASK.tif")
    np.testing.assert_array_equal(after, np.where(painted > 0, 255, 0))
    assert after.dtype == before.dtype
    assert (after != before).any()
    assert dock.images.entries()[0].state == ImageState.EDITED
    assert not dock.saves.save_button.isEnabled()


def test_all_who_wait_for_a_mask_that_is_being_written_are_told(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    folder = make_folder(1)
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    saves, mask, heard = dock.session.saving, dock.session.mask, []
    assert mask is not None
    saves.save(mask.editing, then=lambda worked: heard.append(("first", worked)))
    assert mask.apply({(): 1 - labels(dock)})  # the window does nothing meanwhile, so the first one is not done
    painted = labels(dock).copy()
    saves.save(mask.editing)
    saves.save_all(lambda worked: heard.append(("all", worked)))
    saves.save(mask.editing, then=lambda worked: heard.append(("last", worked)))
    saves.save(mask.editing)
    until(qtbot, lambda: not saves.is_busy)
    assert heard == [("first", True), ("all", True), ("last", True)]
    np.testing.assert_array_equal(tifffile.imread(folder / "cell00_MASK.tif") > 0, painted > 0)


def test_a_first_mask_is_written_beside_its_image(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    (folder / "cell00_MASK.tif").unlink()
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    save(dock, qtbot)
    assert set(np.unique(tifffile.imread(folder / "cell00_MASK.tif"))) == {0, 255}


def test_ctrl_s_is_naparis_while_another_layer_is_selected(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    opened(dock, qtbot, make_folder(1))
    viewer = dock.session.viewer
    action = viewer.window.file_menu.findAction("napari.window.file.save_layers_dialog.selected")
    assert action.shortcut().isEmpty()
    viewer.layers.selection.active = viewer.layers["cell00"]
    assert action.shortcut().toString() == "Ctrl+S"
    viewer.layers.selection.active = viewer.layers["cell00_MASK"]
    assert action.shortcut().isEmpty()


def test_undo_goes_back_to_another_plane(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    opened(dock, qtbot, make_folder(1, planes=3))
    viewer = dock.session.viewer
    before = labels(dock).copy()
    viewer.dims.set_current_step(0, 0)
    paint(dock, qtbot)
    viewer.dims.set_current_step(0, 2)
    paint(dock, qtbot, [(20.0, 3.0), (25.0, 3.0)])
    painted = labels(dock).copy()
    assert (painted != before).any(axis=(1, 2)).tolist() == [True, False, True]
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL)
    viewer.dims.set_current_step(0, 1)
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(labels(dock), before)
    assert viewer.dims.current_step[0] == 0
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL | SHIFT)
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL | SHIFT)
    np.testing.assert_array_equal(labels(dock), painted)


def test_all_undone_the_mask_counts_as_saved(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, data_folder: Path
) -> None:
    folder = make_folder(2)
    opened(dock, qtbot, folder)
    viewer, session = dock.session.viewer, dock.session
    before = labels(dock).copy()
    paint(dock, qtbot)
    paint(dock, qtbot, [(20.0, 3.0), (25.0, 3.0)])
    assert session.mask is not None
    assert session.mask.editing.journal.flush()
    assert len(list((data_folder / "journals").glob("*.journal"))) == 1
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL)
    assert dock.images.entries()[0].state == ImageState.UNSAVED
    assert dock.saves.save_button.isEnabled()
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(labels(dock), before)
    assert dock.images.entries()[0].state == ImageState.HAS_MASK
    assert not dock.saves.save_button.isEnabled()
    assert not dock.saves.save_all_button.isEnabled()
    assert not session.unsaved
    until(qtbot, lambda: not list((data_folder / "journals").glob("*.journal")))
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL | SHIFT)
    assert dock.images.entries()[0].state == ImageState.UNSAVED
    assert dock.saves.save_button.isEnabled()
    save(dock, qtbot)
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL)
    assert dock.images.entries()[0].state == ImageState.UNSAVED
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL | SHIFT)
    assert dock.images.entries()[0].state == ImageState.EDITED
    assert not dock.saves.save_button.isEnabled()


def test_edits_stay_when_other_images_are_shown(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(3)
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    press(qtbot, dock.session.viewer, Qt.Key.Key_PageDown)
    until(qtbot, lambda: dock.session.shown == folder / "cell01.tif")
    assert dock.images.entries()[0].state == ImageState.UNSAVED
    press(qtbot, dock.session.viewer, Qt.Key.Key_PageUp)
    until(qtbot, lambda: dock.session.shown == folder / "cell00.tif")
    np.testing.assert_array_equal(labels(dock), painted)
    press(qtbot, dock.session.viewer, Qt.Key.Key_Z, CTRL)
    assert (labels(dock) != painted).any()


def test_next_without_a_mask(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(4)
    (folder / "cell02_MASK.tif").unlink()
    opened(dock, qtbot, folder)
    press(qtbot, dock.session.viewer, Qt.Key.Key_PageDown, CTRL)
    until(qtbot, lambda: dock.session.shown == folder / "cell02.tif")


def test_corrections_are_one_undo_step(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    opened(dock, qtbot, make_folder(1))
    mask = dock.session.mask
    assert mask is not None
    plane = np.zeros((48, 40), np.uint8)
    plane[5:25, 5:25] = 1
    plane[10:13, 10:13] = 0
    plane[24, 26:30] = plane[40:43, 4:7] = 1
    mask.apply({(): plane})
    for operation in ("fill_holes", "grow", "shrink", "smooth", "remove_small", "keep_largest"):
        dock.fixes.buttons[operation].click()
        assert (labels(dock) != plane).any(), operation
        dock.fixes.buttons["undo"].click()
        np.testing.assert_array_equal(labels(dock), plane, err_msg=operation)


def test_a_correction_of_one_object_waits_for_a_click(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    opened(dock, qtbot, make_folder(1))
    mask = dock.session.mask
    assert mask is not None
    plane = np.zeros((48, 40), np.uint8)
    plane[5:15, 5:15] = plane[30:40, 20:30] = 1
    mask.apply({(): plane})
    dock.fixes.scope_box.setCurrentIndex(dock.fixes.scope_box.findData("region"))
    dock.fixes.buttons["grow"].click()
    np.testing.assert_array_equal(labels(dock), plane)
    stroke(qtbot, dock.session.viewer, [(35.0, 25.0)])
    assert labels(dock)[30, 19] == 1
    np.testing.assert_array_equal(labels(dock)[:20], plane[:20])
    assert mask.layer.mode == "paint"


def test_the_tool_is_taken_up_again_after_a_click(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(2)
    tifffile.imwrite(folder / "cell01.tif", np.zeros((3, 48, 40), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    (folder / "cell01_MASK.tif").unlink()
    opened(dock, qtbot, folder)
    mask = dock.session.mask
    assert mask is not None
    for mode in ("erase", "pan_zoom", "fill"):
        mask.layer.mode = mode
        dock.fixes.buttons["snap"].click()
        assert mask.layer.mode == "pan_zoom"
        dock.fixes.buttons["snap"].click()
        assert mask.layer.mode == mode
    dock.fixes.buttons["snap"].click()
    dock.images.step(1)
    until(qtbot, lambda: dock.session.shown == folder / "cell01.tif")
    assert not dock.fixing.is_snapping
    assert dock.session.mask is not None
    assert dock.session.mask.layer is not mask.layer
    assert dock.session.mask.layer.mode == "fill"


def test_snap_takes_the_region_of_like_intensity(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    disc = (np.indices((80, 80)) - 40).astype(float)
    inside = (disc**2).sum(axis=0) < 15**2
    noise = np.random.default_rng(0).normal(0, 4, inside.shape)
    tifffile.imwrite(folder / "cell00.tif", np.where(inside, 180, 40) + noise.astype(np.int64).astype(np.uint8) % 5)
    (folder / "cell00_MASK.tif").unlink()
    tifffile.imwrite(folder / "cell00.tif", (np.where(inside, 180, 40) + noise).astype(np.uint8))
    opened(dock, qtbot, folder)
    dock.fixes.buttons["snap"].click()
    stroke(qtbot, dock.session.viewer, [(42.0, 38.0)])
    found = labels(dock) > 0
    assert (found & inside).sum() / (found | inside).sum() > 0.9
    dock.fixes.buttons["snap"].click()
    assert not dock.fixing.is_snapping


def test_what_another_program_wrote_is_asked_about(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(3)
    opened(dock, qtbot, folder)
    theirs = np.zeros((48, 40), np.uint8)
    theirs[40:, :] = 255
    asked: list[str] = []
    for number, answer in enumerate(("overwrite", "reload", "cancel")):
        until(qtbot, lambda number=number: dock.session.shown == folder / f"cell0{number}.tif")
        mask_path = folder / f"cell0{number}_MASK.tif"
        paint(dock, qtbot)
        painted = labels(dock).copy()
        tifffile.imwrite(mask_path, theirs)
        asked.clear()
        monkeypatch.setattr(saving, "ask_overwrite", lambda parent, what, answer=answer: asked.append(what) or answer)
        save(dock, qtbot)
        assert len(asked) == 1
        assert f"{mask_path.name} was changed by another program" in asked[0]
        on_disk = tifffile.imread(mask_path)
        if answer == "overwrite":
            until(qtbot, lambda: not dock.session.unsaved)
            np.testing.assert_array_equal(tifffile.imread(mask_path) > 0, painted > 0)
        else:
            np.testing.assert_array_equal(on_disk, theirs)
        if answer == "reload":
            until(qtbot, lambda: (labels(dock) > 0).sum() == (theirs > 0).sum())
        if answer == "cancel":
            np.testing.assert_array_equal(labels(dock), painted)
        assert bool(dock.session.unsaved) == (answer == "cancel")
        dock.images.step(1)


def test_layers_may_be_renamed_and_moved(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(2)
    opened(dock, qtbot, folder)
    viewer = dock.session.viewer
    viewer.layers["cell00_MASK"].name = "my mask"
    viewer.layers.move(0, 2)
    viewer.layers.selection.active = viewer.layers["my mask"]
    paint(dock, qtbot)
    save(dock, qtbot)
    assert tifffile.imread(folder / "cell00_MASK.tif")[5, 10] == 255


def test_a_removed_layer_keeps_its_strokes(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(2)
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    viewer = dock.session.viewer
    viewer.layers.remove("cell00_MASK")
    assert folder / "cell00.tif" in dock.session.unsaved
    dock.images.step(1)
    until(qtbot, lambda: dock.session.shown == folder / "cell01.tif")
    dock.images.step(-1)
    until(qtbot, lambda: dock.session.shown == folder / "cell00.tif" and dock.session.mask)
    np.testing.assert_array_equal(labels(dock), painted)


def test_what_a_removed_layer_had_is_freed_where_it_was_made(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    opened(dock, qtbot, make_folder(1))
    viewer = dock.session.viewer
    canvas = canvas_of(viewer)
    current: list[bool] = []
    viewer.layers.events.removed.connect(lambda: current.append(QOpenGLContext.currentContext() == canvas.context()))
    canvas.doneCurrent()
    viewer.layers.remove("cell00")
    assert current == [True], "or Mesa crashes when it draws the next time"


def test_removing_the_image_while_painting_loses_nothing(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    folder = make_folder(1)
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    dock.session.viewer.layers.remove("cell00")
    paint(dock, qtbot, [(20.0, 20.0), (25.0, 20.0)])
    save(dock, qtbot)
    assert tifffile.imread(folder / "cell00_MASK.tif")[22, 20] == 255


def test_scripts_that_write_into_the_layer_are_noticed(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    opened(dock, qtbot, make_folder(1))
    layer = dock.session.viewer.layers["cell00_MASK"]
    layer.data[:4] = 1
    until(qtbot, lambda: dock.session.unsaved)
    layer.data = np.zeros_like(layer.data)
    assert not labels(dock).any()
    assert np.shares_memory(layer.data, labels(dock))
    dock.session.undo()
    dock.session.undo()
    assert labels(dock).any()


def test_a_new_class_is_painted_and_kept(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(2)
    opened(dock, qtbot, folder)
    dock.classes.add_button.click()
    until(qtbot, (folder / "classes.json").exists)
    press(qtbot, dock.session.viewer, Qt.Key.Key_2, Qt.KeyboardModifier.AltModifier)
    assert dock.session.viewer.layers["cell00_MASK"].selected_label == 2
    paint(dock, qtbot)
    save(dock, qtbot)
    assert set(np.unique(tifffile.imread(folder / "cell00_MASK.tif"))) == {0, 2, 255}


def test_a_wrong_mask_is_told_and_left_alone(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(2)
    tifffile.imwrite(folder / "cell00_MASK.tif", np.zeros((9, 9), np.uint8))
    opened(dock, qtbot, folder)
    assert [layer.name for layer in dock.session.viewer.layers] == ["cell00"]
    assert dock.session.mask is None
    assert not dock.fixes.isEnabled()


def test_axes_are_corrected_and_remembered(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    tifffile.imwrite(folder / "cell00.tif", np.zeros((3, 48, 40), np.uint8), photometric="minisblack")
    opened(dock, qtbot, folder)
    assert len(dock.session.viewer.layers) == 4
    (folder / "cell00_MASK.tif").unlink()
    dock.settings.axes_box.setCurrentText("ZYX")
    dock.settings.axes_box.activated.emit(dock.settings.axes_box.currentIndex())
    until(qtbot, lambda: dock.session.mask and labels(dock).shape == (3, 48, 40))
    assert [layer.ndim for layer in dock.session.viewer.layers] == [3, 3]
    assert '"ZYX"' in (folder / ".attnseg" / "folder.json").read_text()


def test_a_dropped_image_without_a_mask_can_be_painted_on(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    folder = make_folder(1)
    (folder / "cell00_MASK.tif").unlink()
    viewer = dock.session.viewer
    viewer.open(str(folder / "cell00.tif"), plugin="napari-attnseg")
    until(qtbot, lambda: len(viewer.layers) == 2 and dock.session.mask)
    assert [layer.name for layer in viewer.layers] == ["cell00", "cell00_MASK"]
    paint(dock, qtbot)
    save(dock, qtbot)
    assert tifffile.imread(folder / "cell00_MASK.tif")[5, 10] == 255
    until(qtbot, lambda: [entry.name for entry in dock.images.entries()] == ["cell00.tif"])


def test_a_dropped_file_is_not_opened_twice_from_the_list(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    folder = make_folder(2)
    opened(dock, qtbot, folder)
    viewer = dock.session.viewer
    viewer.open(str(folder / "cell01.tif"), plugin="napari-attnseg")
    until(qtbot, lambda: len(dock.session.masks) == 2)
    assert len(viewer.layers) == 4
    dock.images.step(1)
    qtbot.wait(300)
    assert len(viewer.layers) == 4
    assert viewer.layers.selection.active.name == "cell01_MASK"


def test_files_are_not_read_in_another_way_under_unsaved_edits(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    opened(dock, qtbot, make_folder(2))
    paint(dock, qtbot)
    painted = labels(dock).copy()
    assert dock.session.folder is not None
    dock.session.set_choices(replace(dock.session.folder.choices, mask_values="instances"))
    qtbot.wait(300)
    assert dock.session.folder.choices.mask_values == "auto"
    np.testing.assert_array_equal(labels(dock), painted)


def test_masks_are_checked_by_the_meaning_that_was_chosen(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_check, "WAIT_FIRST", 1_000_000)  # the check that comes with a folder is not asked here
    opened(dock, qtbot, make_folder(2))
    checked, check, may_change, change = list[str](), folder_check._check, Event(), AnnotationFolder.set_choices

    def noting(source: Path, choices: Any, *more: Any) -> Any:
        checked.append(choices.mask_values)
        return check(source, choices, *more)

    def slow(folder: AnnotationFolder, choices: Any) -> None:
        assert may_change.wait(20)
        change(folder, choices)

    monkeypatch.setattr(folder_check, "_check", noting)
    monkeypatch.setattr(AnnotationFolder, "set_choices", slow)
    dock.findings.modeChosen.emit("classes")
    may_change.set()
    until(qtbot, lambda: checked)
    assert checked == ["classes"]


def test_restored_strokes_do_not_replace_new_ones(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    image = folder / "cell00.tif"
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    assert dock.session.folder is not None
    document = dock.session.folder.document(image)
    restored = Editing(document, new_journal(document))
    restored.apply({(): np.ones_like(document.labels)})
    dock.session.take(image, restored)
    np.testing.assert_array_equal(dock.session.unsaved[image].labels, painted)
    assert restored.journal.path.exists()
