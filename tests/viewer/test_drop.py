"""Dropping files and folders on the viewer's canvas and on the dock, as the desktop does it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import tifffile
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from napari.layers import Image, Labels
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QWidget
from skimage.io import imsave

from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.layers.roles import note_of
from napari_attnseg.viewer.own_reader import set_own_reader
from napari_attnseg.viewer.session import opening, saving
from tests.conftest import MakeFolder
from tests.viewer.canvas import canvas_of, press, until
from tests.viewer.docked import labels, make_dock, paint, save, told

PLACES = ["canvas", "dock"]


@pytest.fixture(autouse=True)
def questions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold that napari never asks for a reader; nobody would answer."""
    asked: list[str] = []
    monkeypatch.setattr(QtReaderDialog, "get_user_choices", lambda dialog: (asked.append(dialog._current_file), False))
    yield
    assert not asked


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> AnnotateDock:
    set_own_reader(True)
    return make_dock(viewer, qtbot)


def drop(widget: QWidget, paths: Sequence[Path]) -> None:
    """Drag files over the middle of a widget and let go; Qt finds who takes them."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    middle = widget.rect().center()
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(middle, Qt.DropAction.CopyAction, mime, left, none)
    QApplication.sendEvent(widget, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(widget, QDropEvent(QPointF(middle), Qt.DropAction.CopyAction, mime, left, none))


def drop_at(dock: AnnotateDock, place: str, *paths: Path) -> None:
    drop(dock if place == "dock" else canvas_of(dock.session.viewer), paths)


def names(dock: AnnotateDock) -> list[str]:
    return [layer.name for layer in dock.session.viewer.layers]


def settle(dock: AnnotateDock, qtbot: Any) -> None:
    """Wait until nothing more comes of what was done."""
    qtbot.wait(50)
    for _ in range(4):
        assert dock.session.background.wait(10)
        qtbot.wait(50)


@pytest.mark.parametrize("place", PLACES)
def test_an_image_and_its_mask_come_together_and_once(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, place: str
) -> None:
    folder = make_folder(3)
    for number, which in enumerate(("image", "mask", "mask first")):
        image, mask = folder / f"cell0{number}.tif", folder / f"cell0{number}_MASK.tif"
        drop_at(dock, place, *{"image": [image], "mask": [mask], "mask first": [mask, image]}[which])
        until(qtbot, lambda image=image: image in [mask.editing.document.image for mask in dock.session.masks])
        settle(dock, qtbot)
        # what is dropped on the canvas comes beside what is there, on the dock in its place
        assert names(dock)[-2:] == [f"cell0{number}", f"cell0{number}_MASK"], which
        assert len(names(dock)) == (2 if place == "dock" else 2 * (number + 1))
        assert [type(layer) for layer in list(dock.session.viewer.layers)[-2:]] == [Image, Labels]
        painted = dock.session.masks[-1].editing.labels
        np.testing.assert_array_equal(painted > 0, tifffile.imread(mask) > 0)
        assert image.name in [entry.name for entry in dock.images.entries()]


@pytest.mark.parametrize("place", PLACES)
def test_what_was_dropped_is_painted_and_saved(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, place: str
) -> None:
    folder = make_folder(1)
    drop_at(dock, place, folder / "cell00.tif")
    until(qtbot, lambda: dock.session.mask is not None)
    settle(dock, qtbot)
    dock.session.viewer.layers.selection.active = dock.session.viewer.layers["cell00_MASK"]
    paint(dock, qtbot)
    painted = labels(dock).copy()
    assert painted[5, 10] == 1
    save(dock, qtbot)
    until(qtbot, lambda: not dock.session.unsaved)
    np.testing.assert_array_equal(tifffile.imread(folder / "cell00_MASK.tif") > 0, painted > 0)


def test_an_image_that_was_left_with_strokes_goes_on_with_them(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    folder = make_folder(2)
    first, second = folder / "cell00.tif", folder / "cell01.tif"
    drop_at(dock, "dock", folder)
    until(qtbot, lambda: dock.session.shown == first)
    settle(dock, qtbot)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    dock.session.show(second)
    until(qtbot, lambda: dock.session.shown == second)
    drop_at(dock, "canvas", first)
    until(qtbot, lambda: first in [mask.editing.document.image for mask in dock.session.masks])
    settle(dock, qtbot)
    found = next(mask for mask in dock.session.masks if mask.editing.document.image == first)
    np.testing.assert_array_equal(found.layer.data, painted)
    assert dock.session.unsaved == {first: found.editing}
    assert note_of(found.layer)["document"] is found.editing.document, "what napari's own saving writes"
    dock.session.viewer.layers.selection.active = found.layer
    paint(dock, qtbot, [(20.0, 5.0), (20.0, 15.0)])
    save(dock, qtbot)
    until(qtbot, lambda: not dock.session.unsaved)
    saved = tifffile.imread(folder / "cell00_MASK.tif") > 0
    assert saved[5, 10]
    assert saved[20, 10]


def test_several_files_on_the_canvas_are_layers(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(3)
    drop_at(dock, "canvas", folder / "cell00.tif", folder / "cell01_MASK.tif", folder / "cell02.tif")
    settle(dock, qtbot)
    stems = ("cell00", "cell01", "cell02")
    assert sorted(names(dock)) == sorted([*stems, *(f"{stem}_MASK" for stem in stems)])
    assert [mask.editing.document.image.stem for mask in dock.session.masks] == list(stems)
    assert {entry.name for entry in dock.images.entries()} == {f"{stem}.tif" for stem in stems}


def test_several_files_on_the_dock_are_listed(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(4)
    drop_at(dock, "dock", folder / "cell00.tif", folder / "cell01_MASK.tif", folder / "cell02.tif")
    until(qtbot, lambda: len(dock.images.entries()) == 3)
    settle(dock, qtbot)
    assert [entry.name for entry in dock.images.entries()] == ["cell00.tif", "cell01.tif", "cell02.tif"]
    assert len(names(dock)) == 2


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_is_listed_in_the_dock(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, place: str) -> None:
    folder = make_folder(3)
    inner = folder / "day 2"
    inner.mkdir()
    shutil.move(folder / "cell02.tif", inner)
    shutil.move(folder / "cell02_MASK.tif", inner)
    drop_at(dock, place, folder)
    until(qtbot, lambda: dock.session.mask is not None)
    settle(dock, qtbot)
    assert [entry.name for entry in dock.images.entries()] == ["cell00.tif", "cell01.tif", "day 2/cell02.tif"]
    assert len(names(dock)) == 2
    docks = dock.session.viewer.window._qt_window.findChildren(AnnotateDock)
    assert all(len(other.images.entries()) == 3 for other in docks)


@pytest.mark.parametrize("place", PLACES)
def test_of_two_folders_one_is_open(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, place: str) -> None:
    first, second = make_folder(2, "first"), make_folder(3, "second")
    drop_at(dock, place, first, second)
    until(qtbot, lambda: dock.session.mask is not None)
    settle(dock, qtbot)
    assert dock.session.folder is not None
    # napari gives us one folder after the other
    assert dock.session.folder.root == (first if place == "dock" else second)
    assert [entry.image.parent for entry in dock.images.entries()] == [dock.session.folder.root] * (
        2 if place == "dock" else 3
    )
    assert dock.session.shown == dock.session.folder.root / "cell00.tif"
    assert len(names(dock)) == 2
    assert place == "canvas" or any("One folder is open at a time: first." in text for text in told())


@pytest.mark.parametrize("place", PLACES)
def test_a_stack_is_one_layer_with_planes(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, place: str) -> None:
    folder = make_folder(1, planes=5)
    drop_at(dock, place, folder / "cell00.tif")
    until(qtbot, lambda: dock.session.mask is not None)
    settle(dock, qtbot)
    assert [layer.data.shape for layer in dock.session.viewer.layers] == [(5, 48, 40), (5, 48, 40)]
    np.testing.assert_array_equal(labels(dock) > 0, tifffile.imread(folder / "cell00_MASK.tif") > 0)


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_tiff_goes_to_naparis_readers(dock: AnnotateDock, qtbot: Any, tmp_path: Path, place: str) -> None:
    pixels = np.arange(48 * 40, dtype=np.uint8).reshape(48, 40)
    imsave(tmp_path / "photo.png", pixels, check_contrast=False)
    drop_at(dock, place, tmp_path / "photo.png")
    until(qtbot, lambda: names(dock) == ["photo"])
    np.testing.assert_array_equal(dock.session.viewer.layers["photo"].data, pixels)
    assert dock.session.shown is None
    assert dock.session.folder is None


@pytest.mark.parametrize("place", PLACES)
def test_paths_may_hold_any_signs(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, place: str) -> None:
    folder = make_folder(1).rename(make_folder(0, "x").parent / "Präparat 7 μm #2 100% [é]")
    image = folder / "zellen käfig 神経 #1.tif"
    (folder / "cell00.tif").rename(image)
    (folder / "cell00_MASK.tif").rename(folder / "zellen käfig 神経 #1_MASK.tif")
    drop_at(dock, place, image)
    until(qtbot, lambda: dock.session.mask is not None)
    settle(dock, qtbot)
    dock.session.viewer.layers.selection.active = dock.session.viewer.layers[1]
    paint(dock, qtbot)
    save(dock, qtbot)
    until(qtbot, lambda: not dock.session.unsaved)
    assert tifffile.imread(folder / "zellen käfig 神経 #1_MASK.tif")[5, 10] == 255


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_without_tiffs_is_explained(dock: AnnotateDock, qtbot: Any, tmp_path: Path, place: str) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "letter.txt").write_text("Dear all")
    drop_at(dock, place, folder)
    settle(dock, qtbot)
    texts = [text for text in [*told(), dock.banner.text()] if "letters" in text]
    assert texts, told()
    assert ".tif" in texts[-1]
    assert not dock.session.viewer.layers


def test_a_folder_whose_name_has_a_dot_is_a_folder(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    drop_at(dock, "dock", make_folder(2, "run 2.5"))
    until(qtbot, lambda: len(dock.images.entries()) == 2)


def test_nobody_waits_for_an_image_that_a_dropped_one_took_the_place_of(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(3)
    dock.session.open_folder(folder)
    until(qtbot, lambda: dock.session.shown == folder / "cell00.tif")
    drop_at(dock, "canvas", folder / "cell01.tif")
    until(qtbot, lambda: len(dock.session.masks) == 2)
    settle(dock, qtbot)
    may_read, read, waits = Event(), AnnotationFolder.document, list[bool]()

    def slow(self: AnnotationFolder, image: Path) -> Any:
        assert may_read.wait(20)
        return read(self, image)

    monkeypatch.setattr(AnnotationFolder, "document", slow)
    dock.session.loading.connect(waits.append)
    dock.session.set_classes(dock.session.folder.classes)  # what was read ahead is forgotten
    dock.session.show(folder / "cell02.tif")
    dock.session.show(folder / "cell01.tif")
    assert waits == [True, False]
    may_read.set()
    settle(dock, qtbot)
    assert waits == [True, False]
    assert dock.session.shown == folder / "cell00.tif"


def test_the_folder_of_what_was_dropped_is_held(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    drop_at(dock, "canvas", folder / "cell00_MASK.tif")
    until(qtbot, lambda: dock.session.folder is not None)
    until(qtbot, (folder / ".attnseg" / "open.json").exists)


def test_files_are_not_listed_in_a_folder_that_was_opened_after_them(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_folder(2, "first"), make_folder(3, "second")
    is_listing, may_list, list_folder = Event(), Event(), opening.open_folder

    def slow(path: Path, *more: Any) -> Any:
        found = list_folder(path, *more)
        if path.is_file():
            is_listing.set()
            assert may_list.wait(20)
        return found

    monkeypatch.setattr(opening, "open_folder", slow)
    drop_at(dock, "dock", first / "cell00.tif", first / "cell01.tif")
    until(qtbot, is_listing.is_set)
    dock.session.open_folder(second)
    until(qtbot, lambda: dock.session.folder is not None and dock.session.folder.root == second)
    may_list.set()
    settle(dock, qtbot)
    assert [entry.image for entry in dock.images.entries()] == sorted(second.glob("cell0?.tif"))


def test_of_a_dropped_mask_too_the_one_on_the_disk_can_be_taken(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(1)
    path = folder / "cell00_MASK.tif"
    drop_at(dock, "canvas", path)
    until(qtbot, lambda: dock.session.mask is not None)
    settle(dock, qtbot)
    asked: list[str] = []
    monkeypatch.setattr(saving, "ask_overwrite", lambda parent, what: asked.append(what) or "reload")
    viewer = dock.session.viewer
    paint(dock, qtbot)
    theirs = np.zeros((48, 40), np.uint8)
    theirs[40:] = 255
    tifffile.imwrite(path, theirs)
    save(dock, qtbot)
    until(qtbot, lambda: np.array_equal(labels(dock) > 0, theirs > 0))
    settle(dock, qtbot)
    assert len(asked) == 1
    assert not dock.session.unsaved
    assert [mask.editing.document.is_modified for mask in dock.session.masks] == [False]
    assert names(dock) == ["cell00", "cell00_MASK"]
    paint(dock, qtbot)
    painted = labels(dock).copy()
    assert dock.session.unsaved
    save(dock, qtbot)
    assert len(asked) == 1, "nobody has changed it since"
    np.testing.assert_array_equal(tifffile.imread(path) > 0, painted > 0)
    press(qtbot, viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(labels(dock) > 0, theirs > 0)
