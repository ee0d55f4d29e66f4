"""No stroke is lost, whatever is read or written while the user leafs through images."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.annotation.masks.document import Document
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.recovery import new_journal
from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.session import saving
from tests.conftest import MakeFolder
from tests.viewer.canvas import canvas_of, drag, point_at, press, until
from tests.viewer.docked import labels, make_dock, opened, paint, save

CTRL = Qt.KeyboardModifier.ControlModifier
LONGEST = 20  # seconds that a thread is held up


class Gate:
    """Holds up a thread until it is opened."""

    def __init__(self) -> None:
        self._reached, self._open = Event(), Event()

    @property
    def is_reached(self) -> bool:
        """Whether a thread waits here, or has."""
        return self._reached.is_set()

    def open(self) -> None:
        """Let pass."""
        self._open.set()

    def wait(self) -> None:
        """Wait until it is open; called in the thread."""
        self._reached.set()
        assert self._open.wait(LONGEST)


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> AnnotateDock:
    return make_dock(viewer, qtbot)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was asked about masks that other programs changed, which there are none of here."""
    found: list[str] = []
    monkeypatch.setattr(saving, "ask_overwrite", lambda parent, what: found.append(what) or "cancel")
    return found


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Hold up the first mask that is written."""
    gate, write = Gate(), Document.save

    def slow(document: Document, *args: Any, **options: Any) -> None:
        gate.wait()
        write(document, *args, **options)

    monkeypatch.setattr(Document, "save", slow)
    return gate


def leaf(dock: AnnotateDock, qtbot: Any, step: int, image: Path) -> None:
    dock.images.step(step)
    until(qtbot, lambda: dock.session.shown == image)


def journals(data_folder: Path) -> list[Path]:
    return list((data_folder / "journals").glob("*.journal"))


@pytest.mark.parametrize("has_mask", [True, False])
def test_a_mask_that_is_saved_while_it_is_read_is_shown_as_it_was_saved(
    dock: AnnotateDock,
    qtbot: Any,
    make_folder: MakeFolder,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[str],
    writing: Gate,
    data_folder: Path,
    has_mask: bool,
) -> None:
    folder = make_folder(2)
    first, second = folder / "cell00.tif", folder / "cell01.tif"
    if not has_mask:
        (folder / "cell00_MASK.tif").unlink()
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    dock.session.saving.save_all()
    until(qtbot, lambda: writing.is_reached)
    leaf(dock, qtbot, 1, second)
    reading, read = Gate(), AnnotationFolder.document

    def slow(self: AnnotationFolder, image: Path) -> Document:
        document = read(self, image)
        if image == first and not reading.is_reached:
            reading.wait()
        return document

    monkeypatch.setattr(AnnotationFolder, "document", slow)
    dock.images.step(-1)
    until(qtbot, lambda: reading.is_reached)  # the mask as it was before it is saved
    writing.open()
    until(qtbot, lambda: not dock.session.saving.is_busy)
    reading.open()
    until(qtbot, lambda: dock.session.shown == first)
    np.testing.assert_array_equal(labels(dock), painted)
    assert not dock.session.unsaved
    paint(dock, qtbot, [(30.0, 5.0), (30.0, 20.0)])
    both = labels(dock).copy()
    assert (both != painted).any()
    save(dock, qtbot)
    assert asked == []
    np.testing.assert_array_equal(tifffile.imread(folder / "cell00_MASK.tif") > 0, both > 0)
    until(qtbot, lambda: not journals(data_folder))
    press(qtbot, dock.session.viewer, Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(labels(dock), painted)


def test_what_is_undone_while_it_is_written_is_one_mask_with_what_comes_after(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, asked: list[str], writing: Gate, data_folder: Path
) -> None:
    folder = make_folder(2)
    first, second = folder / "cell00.tif", folder / "cell01.tif"
    opened(dock, qtbot, folder)
    before = labels(dock).copy()
    paint(dock, qtbot)
    dock.session.saving.save_all()
    until(qtbot, lambda: writing.is_reached)
    dock.session.undo()
    np.testing.assert_array_equal(labels(dock), before)
    leaf(dock, qtbot, 1, second)
    leaf(dock, qtbot, -1, first)
    np.testing.assert_array_equal(labels(dock), before)
    writing.open()
    until(qtbot, lambda: not dock.session.saving.is_busy)
    assert first in dock.session.unsaved, "the stroke is on the disk, and not wanted"
    paint(dock, qtbot, [(30.0, 5.0), (30.0, 20.0)])
    painted = labels(dock).copy()
    leaf(dock, qtbot, 1, second)
    leaf(dock, qtbot, -1, first)
    np.testing.assert_array_equal(labels(dock), painted)
    save(dock, qtbot)
    assert asked == []
    np.testing.assert_array_equal(tifffile.imread(folder / "cell00_MASK.tif") > 0, painted > 0)
    until(qtbot, lambda: not journals(data_folder))


def hold(dock: AnnotateDock, qtbot: Any) -> None:
    """Begin a stroke and hold the button down."""
    mask = dock.session.mask
    assert mask is not None
    mask.layer.mode, mask.layer.brush_size = "paint", 3
    drag(qtbot, dock.session.viewer, [(5.0, 5.0), (5.0, 15.0)])


def move_on(dock: AnnotateDock, qtbot: Any, place: tuple[float, float] = (30.0, 30.0)) -> None:
    """Move the mouse with its button held, then let go."""
    viewer = dock.session.viewer
    qtbot.mouseMove(canvas_of(viewer), point_at(viewer, place))
    qtbot.wait(5)
    qtbot.mouseRelease(canvas_of(viewer), Qt.MouseButton.LeftButton, pos=point_at(viewer, place))
    qtbot.wait(20)


@pytest.mark.parametrize("planes", [0, 3])
def test_a_stroke_under_way_stays_with_its_image(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, data_folder: Path, planes: int
) -> None:
    folder = make_folder(2, planes=planes)
    first, second = folder / "cell00.tif", folder / "cell01.tif"
    opened(dock, qtbot, folder)
    viewer = dock.session.viewer
    before = labels(dock).copy()
    if planes:
        viewer.dims.set_current_step(0, 0)
    hold(dock, qtbot)
    if planes:
        viewer.dims.set_current_step(0, 2)  # as the mouse's wheel does
        qtbot.mouseMove(canvas_of(viewer), point_at(viewer, (12.0, 15.0)))
        qtbot.wait(5)
    painted = labels(dock).copy()
    changed = (painted != before).reshape(max(planes, 1), -1).any(axis=1)
    assert changed.all(), "on all planes that the mouse came over"
    press(qtbot, viewer, Qt.Key.Key_PageDown)
    until(qtbot, lambda: dock.session.shown == second)
    there = labels(dock).copy()
    move_on(dock, qtbot)
    np.testing.assert_array_equal(labels(dock), there)
    assert list(dock.session.unsaved) == [first]
    leaf(dock, qtbot, -1, first)
    np.testing.assert_array_equal(labels(dock), painted)
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(labels(dock), before)
    press(qtbot, viewer, Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier)
    save(dock, qtbot)
    np.testing.assert_array_equal(tifffile.imread(folder / "cell00_MASK.tif") > 0, painted > 0)
    until(qtbot, lambda: not journals(data_folder))
    paint(dock, qtbot, [(20.0, 3.0), (25.0, 3.0)])
    assert (labels(dock) != painted).any(), "the mouse paints again"


def test_a_line_around_an_object_ends_with_its_image(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(2)
    first, second = folder / "cell00.tif", folder / "cell01.tif"
    tifffile.imwrite(folder / "cell01_MASK.tif", np.full((48, 40), 255, np.uint8))
    opened(dock, qtbot, folder)
    mask, viewer, right = dock.session.mask, dock.session.viewer, Qt.MouseButton.RightButton
    assert mask is not None
    mask.layer.mode, mask.layer.brush_size = "paint", 3
    qtbot.mouseClick(canvas_of(viewer), right, pos=point_at(viewer, (5.0, 5.0)))
    qtbot.mouseMove(canvas_of(viewer), point_at(viewer, (5.0, 25.0)))
    qtbot.wait(5)
    painted = labels(dock).copy()
    assert painted[5, 15] == 1
    leaf(dock, qtbot, 1, second)
    there = labels(dock).copy()
    qtbot.mouseMove(canvas_of(viewer), point_at(viewer, (30.0, 30.0)))
    qtbot.wait(5)
    mask.layer.mode = "erase"  # napari takes back a line that is not closed
    np.testing.assert_array_equal(labels(dock), there)
    assert list(dock.session.unsaved) == [first]
    leaf(dock, qtbot, -1, first)
    np.testing.assert_array_equal(labels(dock), painted)


def test_strokes_restored_while_one_is_painted_wait(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    image = folder / "cell00.tif"
    opened(dock, qtbot, folder)
    assert dock.session.folder is not None
    document = dock.session.folder.document(image)
    restored = Editing(document, new_journal(document))
    restored.apply({(): np.ones_like(document.labels)})
    hold(dock, qtbot)
    painted = labels(dock).copy()
    dock.session.take(image, restored)
    np.testing.assert_array_equal(dock.session.unsaved[image].labels, painted)
    move_on(dock, qtbot)
    np.testing.assert_array_equal(labels(dock), painted)
    assert restored.journal.path.exists()
