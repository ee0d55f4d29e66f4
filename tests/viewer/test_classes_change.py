"""Classes that change while images are open, read ahead or being read: what is painted is saved by the new ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.recovery import new_journal
from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.background import Background
from napari_attnseg.viewer.layers.ready_images import ReadyImages
from tests.conftest import MakeFolder
from tests.viewer.canvas import until
from tests.viewer.docked import make_dock, opened, paint, save


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> AnnotateDock:
    return make_dock(viewer, qtbot)


def _without_masks(folder: Path) -> Path:
    for mask in folder.glob("*_MASK.tif"):
        mask.unlink()
    return folder


def _paint_and_save(dock: AnnotateDock, qtbot: Any, image: Path, number: int) -> set[int]:
    """Paint a class on an image and save; return the values of its mask."""
    dock.session.show(image)
    until(qtbot, lambda: dock.session.shown == image)
    dock.painting.choose(number)
    paint(dock, qtbot)
    save(dock, qtbot)
    return set(np.unique(tifffile.imread(image.with_name(f"{image.stem}_MASK.tif"))).tolist())


def test_images_that_were_read_ahead_are_saved_with_a_new_class(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    folder = _without_masks(make_folder(4))
    session = opened(dock, qtbot, folder).session
    until(qtbot, lambda: session.background.wait(0))
    qtbot.wait(50)  # what was read ahead has arrived
    session.show(folder / "cell03.tif")  # is being read
    dock.classes.add_button.click()
    assert _paint_and_save(dock, qtbot, folder / "cell03.tif", 2) == {0, 2}
    assert _paint_and_save(dock, qtbot, folder / "cell01.tif", 1) == {0, 1}
    assert _paint_and_save(dock, qtbot, folder / "cell02.tif", 2) == {0, 2}
    again = open_folder(folder)
    assert again.problem is None
    assert again.convention.n_classes == 3


def test_an_image_that_was_being_read_is_not_kept_when_all_are_forgotten(qtbot: Any, make_folder: MakeFolder) -> None:
    folder = open_folder(make_folder(1))
    image = folder.pairs[0].image
    background = Background()
    images = ReadyImages(background)
    ready = images.read(folder, image)
    images.clear()
    images.keep(image, ready)
    assert image not in images
    images.keep(image, images.read(folder, image))
    assert image in images
    background.close()


def test_strokes_made_while_masks_are_understood_anew_follow(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    folder = make_folder(2)
    (folder / "cell00_MASK.tif").unlink()
    other = folder / "cell01_MASK.tif"
    tifffile.imwrite(other, tifffile.imread(other) // 255)
    session = opened(dock, qtbot, folder).session
    until(qtbot, lambda: session.background.wait(0))
    mask = session.mask
    assert mask is not None
    assert mask.editing.document.convention.kind == "binary"
    assert session.folder is not None
    session.set_choices(replace(session.folder.choices, mask_values="classes"))
    mask.layer.data[3:9, 3:9] = 1  # before the result has arrived
    mask.sync()
    assert session.unsaved
    until(qtbot, lambda: mask.editing.document.convention.kind == "classes")
    assert session.mask is mask, "the strokes are on the layer as they were"
    save(dock, qtbot)
    assert set(np.unique(tifffile.imread(folder / "cell00_MASK.tif"))) == {0, 1}


def test_a_restored_mask_has_the_classes_of_the_folder(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = _without_masks(make_folder(2))
    image = folder / "cell01.tif"
    document = open_folder(folder).document(image)
    session = opened(dock, qtbot, folder).session
    dock.classes.add_button.click()
    restored = Editing(document, new_journal(document))  # of a journal that began before there was the class
    restored.labels[5:9, 5:9] = 2
    assert restored.note([(slice(0, 48), slice(0, 40))])
    session.take(image, restored)
    session.saving.save_all()
    until(qtbot, lambda: not session.saving.is_busy)
    assert set(np.unique(tifffile.imread(folder / "cell01_MASK.tif"))) == {0, 2}
