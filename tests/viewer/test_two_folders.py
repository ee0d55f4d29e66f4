"""Masks of one folder while another one is open: each is read, written and remembered by its own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.folder.entries import ImageState
from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.recovery import new_journal
from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.train.training import Training
from tests.conftest import MakeFolder
from tests.viewer.canvas import until
from tests.viewer.docked import make_dock, opened, paint

PLUGIN = "napari-attnseg"


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> AnnotateDock:
    return make_dock(viewer, qtbot)


def _values(image: Path) -> set[int]:
    return set(np.unique(tifffile.imread(image.with_name(f"{image.stem}_MASK.tif"))).tolist())


def _left_unsaved(dock: AnnotateDock, qtbot: Any, folder: Path) -> Path:
    """Paint on a folder's first image and do not save."""
    session = opened(dock, qtbot, folder).session
    image = session.shown
    assert image is not None
    paint(dock, qtbot)
    assert image in session.unsaved
    return image


def test_classes_of_the_open_folder_are_not_given_to_masks_of_another(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    image = _left_unsaved(dock, qtbot, make_folder(2, "first"))
    session, other = dock.session, make_folder(2, "second", classes=3)
    session.open_folder(other)
    until(qtbot, lambda: session.shown == other / "cell00.tif")
    assert dock.saves.line.text() == "cell00_MASK.tif of another folder: not saved yet"
    assert dock.saves.save_all_button.isEnabled()
    dock.classes.add_button.click()
    assert session.folder is not None
    assert len(session.folder.classes) == 5
    assert not session.uses_class(4)
    saved: list[bool] = []
    session.saving.save_all(saved.append)
    until(qtbot, lambda: saved)
    assert saved == [True]
    assert _values(image) == {0, 255}
    assert open_folder(image.parent).problem is None
    assert "another folder" not in dock.saves.line.text()


def test_what_was_edited_is_remembered_by_its_own_folder(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    image = _left_unsaved(dock, qtbot, make_folder(2, "first"))
    session, other = dock.session, make_folder(2, "second")
    session.open_folder(other)
    until(qtbot, lambda: session.shown == other / "cell00.tif")
    assert Training(session).edited == [], "there is nothing of this folder to fine-tune on"
    session.saving.save_all()
    until(qtbot, lambda: open_folder(image.parent).edited_since_training() == [image])
    assert (image.parent / ".attnseg" / "originals" / "cell00_MASK.tif").exists()
    assert not (other / ".attnseg" / "originals").exists()


def test_a_restored_mask_of_a_dropped_image_takes_the_place_of_the_one_on_its_layer(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    image, session = make_folder(1) / "cell00.tif", dock.session
    session.viewer.open(str(image), plugin=PLUGIN)
    until(qtbot, lambda: session.masks)
    document = open_folder(image.parent).document(image)
    restored = Editing(document, new_journal(document))
    restored.labels[5:9, 5:9] = 1
    assert restored.note([(slice(0, 48), slice(0, 40))])
    session.take(image, restored)
    (mask,) = session.masks
    assert mask.editing is restored, "what is painted and saved now goes on from what was restored"
    assert mask.layer.data[6, 6] == 1
    assert session.unsaved == {image: restored}
    session.viewer.layers.selection.active = mask.layer
    paint(dock, qtbot, [(30.0, 5.0), (30.0, 15.0)])
    saved: list[bool] = []
    session.saving.save_all(saved.append)
    until(qtbot, lambda: saved)
    assert saved == [True]
    assert not session.unsaved
    written = tifffile.imread(image.with_name("cell00_MASK.tif")) > 0
    assert written[6, 6]
    assert written[30, 10]


def test_a_file_from_elsewhere_is_saved_and_remembered_where_it_lies(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    session, folder = opened(dock, qtbot, make_folder(2)).session, make_folder(1, "elsewhere")
    image, namesake = folder / "cell00.tif", session.shown
    session.open_file(image)
    until(qtbot, lambda: session.shown == image)
    qtbot.wait(50)
    paint(dock, qtbot)
    saved: list[bool] = []
    session.saving.save_all(saved.append)
    until(qtbot, lambda: saved)
    assert saved == [True]
    assert tifffile.imread(folder / "cell00_MASK.tif")[5, 10] == 255
    assert session.folder is not None
    assert session.folder.edited_since_training() == [], "the image of the same name here was not edited"
    states = {entry.image: entry.state for entry in session.entries()}
    assert states == {
        image: ImageState.EDITED,
        namesake: ImageState.HAS_MASK,
        session.folder.root / "cell01.tif": ImageState.HAS_MASK,
    }
