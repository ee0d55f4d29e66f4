"""Masks that are larger than a texture: which part is shown, and that strokes land on the right pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.layers.mask_window import SIDE, MaskWindow, window_for
from tests.viewer.canvas import Place, press, stroke, until
from tests.viewer.docked import labels, make_dock, opened, paint, save

HEIGHT, WIDTH = 9000, 7000
CTRL = Qt.KeyboardModifier.ControlModifier


# The choice of the window, without a viewer


def test_a_small_mask_is_shown_whole() -> None:
    assert window_for((SIDE, 300), (10, 10, 20, 20)) == MaskWindow(0, 0, SIDE, 300)


@pytest.mark.parametrize(
    "seen",
    [
        (0, 0, 500, 500),
        (-800, -900, 300, 200),
        (8500, 6600, 9700, 8200),
        (4000.4, 3000.6, 5000.2, 4500.9),
        (100, 0, 100 + SIDE, SIDE),
        (-3000, 3000, 500, 3200),
        (9100, 7100, 9500, 7500),
    ],
)
def test_a_window_covers_what_is_seen_and_stays_inside(seen: tuple[float, float, float, float]) -> None:
    window = window_for((HEIGHT, WIDTH), seen)
    assert window.step == 1
    assert 0 <= window.y <= window.y + window.height <= HEIGHT
    assert 0 <= window.x <= window.x + window.width <= WIDTH
    assert max(window.height, window.width) <= SIDE
    top, bottom = np.clip([seen[0], seen[2]], 0, HEIGHT)
    left, right = np.clip([seen[1], seen[3]], 0, WIDTH)
    assert window.covers(top, left, bottom, right)


def test_the_largest_part_that_fits_is_still_covered_wherever_it_begins() -> None:
    for start in np.arange(0, HEIGHT - SIDE, 119.75):
        window = window_for((HEIGHT, WIDTH), (start, 0.0, start + SIDE, 100.0))
        assert window.step == 1
        # of a pixel that is cut by the edge of the canvas a part may be missing
        assert window.y <= start + 1
        assert start + SIDE - 1 <= window.y + window.height


def test_a_window_stays_while_it_covers_what_is_seen() -> None:
    first = window_for((HEIGHT, WIDTH), (4000, 3000, 4500, 3500))
    assert window_for((HEIGHT, WIDTH), (4200, 3100, 4700, 3600), first) is first
    assert window_for((HEIGHT, WIDTH), (8000, 3000, 8500, 3500), first) != first


def test_zoomed_out_every_nth_pixel_is_shown() -> None:
    whole = window_for((HEIGHT, WIDTH), (-500, -500, 9500, 7500))
    assert whole.step > 1
    assert (whole.y, whole.x, whole.height, whole.width) == (0, 0, HEIGHT, WIDTH)
    assert max(whole.view(np.empty((HEIGHT, WIDTH), np.uint8)).shape) <= SIDE // 2
    assert window_for((HEIGHT, WIDTH), (0, 0, 9000, 7000), whole) is whole
    near = window_for((HEIGHT, WIDTH), (0, 0, 300, 300), whole)
    assert near.step == 1


def test_a_window_is_a_view_of_the_mask() -> None:
    stack = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    view = MaskWindow(4000, 3000, 2048, 2000).view(stack)
    assert view.shape == (3, 2048, 2000)
    view[1, 5, 6] = 9
    assert stack[1, 4005, 3006] == 9


# In a real viewer


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a large image with a mask of two rectangles, once for all tests; they do not write into it."""
    folder = tmp_path_factory.mktemp("large")
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[::500] = 200
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[1000:2000, 500:1500] = mask[7000:8500, 5000:6600] = 255
    for name, pixels in (("slide.tif", image), ("slide_MASK.tif", mask)):
        tifffile.imwrite(folder / name, pixels, tile=(512, 512), compression="zlib", resolution=(1e4, 1e4))
    return folder


@pytest.fixture
def dock(viewer: Any, qtbot: Any, drawn: Path, tmp_path: Path) -> AnnotateDock:
    folder = tmp_path / "data"
    folder.mkdir()
    for path in drawn.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return opened(make_dock(viewer, qtbot), qtbot, folder)


def _look_at(dock: AnnotateDock, qtbot: Any, row: float, column: float, pixels_per_point: float = 0.25) -> None:
    """Move the camera so that a pixel of the mask is in the middle, and wait until the window has followed."""
    mask, viewer = dock.session.mask, dock.session.viewer
    assert mask is not None
    height, width = viewer.window._qt_viewer.canvas.size
    viewer.scene.camera.center = _world(dock, (row, column))
    viewer.scene.camera.zoom = 1 / (pixels_per_point * _pixel_size(dock))
    half = height * pixels_per_point / 2, width * pixels_per_point / 2
    corners = np.clip(
        [row - half[0], column - half[1], row + half[0], column + half[1]], 0, [HEIGHT, WIDTH, HEIGHT, WIDTH]
    )
    until(
        qtbot, lambda: mask.window is not None and (mask.window.step > 1) == (pixels_per_point > 5) and
        mask.window.covers(*corners),
    )  # fmt: skip
    qtbot.wait(50)


def _pixel_size(dock: AnnotateDock) -> float:
    return float(dock.session.viewer.layers["slide"].scale[-1])


def _world(dock: AnnotateDock, pixel: tuple[float, float]) -> Place:
    """Return where a pixel of the whole mask is in the world, as the image's layer has it."""
    y, x = dock.session.viewer.layers["slide"].data_to_world(pixel)[-2:]
    return float(y), float(x)


def _paint_between(dock: AnnotateDock, qtbot: Any, first: tuple[int, int], last: tuple[int, int]) -> None:
    paint(dock, qtbot, [_world(dock, first), _world(dock, last)], brush=1)


def test_strokes_land_on_the_pixels_under_the_mouse_and_stay_when_another_part_is_seen(
    dock: AnnotateDock, qtbot: Any
) -> None:
    before = labels(dock).copy()
    mask = dock.session.mask
    assert mask is not None
    _look_at(dock, qtbot, 5000, 600)
    _paint_between(dock, qtbot, (5000, 590), (5000, 610))
    painted = labels(dock).copy()
    assert (painted != before).sum() == 21
    _look_at(dock, qtbot, 500, 6000)
    assert mask.window is not None
    assert mask.window.y < 500
    _look_at(dock, qtbot, 5000, 600)
    y, x = mask.window.y, mask.window.x
    assert np.asarray(mask.layer.data)[5000 - y, 590 - x : 611 - x].all()
    np.testing.assert_array_equal(labels(dock), painted)
    _look_at(dock, qtbot, 500, 6000)  # undone while something else is looked at
    press(qtbot, dock.session.viewer, Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(labels(dock), before)
    press(qtbot, dock.session.viewer, Qt.Key.Key_Z, CTRL | Qt.KeyboardModifier.ShiftModifier)
    np.testing.assert_array_equal(labels(dock), painted)
    _strokes_land(dock, qtbot)
    save(dock, qtbot)
    until(qtbot, lambda: not dock.session.unsaved)
    np.testing.assert_array_equal(tifffile.imread(next(iter(dock.session.entries())).mask) > 0, labels(dock) > 0)


def _strokes_land(dock: AnnotateDock, qtbot: Any) -> None:
    """Paint in the last corner and at an edge, and look which pixels of the whole mask have changed."""
    before = labels(dock).copy()
    _look_at(dock, qtbot, 8900, 6900)
    _paint_between(dock, qtbot, (8890, 6890), (8890, 6910))
    expected = before.copy()
    expected[8890, 6890:6911] = 1
    np.testing.assert_array_equal(np.argwhere(labels(dock) != before), np.argwhere(expected != before))
    _look_at(dock, qtbot, 40, 3500)
    _paint_between(dock, qtbot, (30, 3480), (50, 3480))
    expected[30:51, 3480] = 1
    np.testing.assert_array_equal(np.argwhere(labels(dock) != before), np.argwhere(expected != before))


def test_zoomed_out_the_mask_is_an_overview_in_its_place(dock: AnnotateDock, qtbot: Any) -> None:
    mask, viewer = dock.session.mask, dock.session.viewer
    assert mask is not None
    _look_at(dock, qtbot, 4500, 600)
    mask.layer.mode, mask.layer.brush_size = "paint", 3
    viewer.reset_view()
    until(qtbot, lambda: mask.window is not None and mask.window.step > 1)
    assert not mask.layer.editable
    assert mask.window is not None
    step = mask.window.step
    assert 500 % step == 0, "the rectangles begin and end where blocks of pixels do"
    shown = np.asarray(mask.layer.data)
    for first, last in (((1000, 500), (2000, 1500)), ((7000, 5000), (8500, 6600))):
        rows, columns = np.nonzero(shown[first[0] // step - 2 : last[0] // step + 3, :] > 0)
        columns = columns[(columns >= first[1] // step - 2) & (columns <= last[1] // step + 3)]
        seen = np.array([rows.min() + first[0] // step - 2, columns.min()])
        seen_last = np.array([rows.max() + first[0] // step - 2, columns.max()])
        # the edges of the rectangle in the world, from the outer edges of the pixels that show it
        edges = np.array([mask.layer.data_to_world(seen - 0.5), mask.layer.data_to_world(seen_last + 0.5)])
        true = np.array([_world(dock, (first[0] - 0.5, first[1] - 0.5)), _world(dock, (last[0] - 0.5, last[1] - 0.5))])
        assert np.abs(edges - true).max() <= 0.5 * _pixel_size(dock), (edges, true)
    middle = mask.layer.data_to_world((10, 20))
    np.testing.assert_allclose(
        middle, _world(dock, (10 * step + (step - 1) / 2, 20 * step + (step - 1) / 2)), atol=0.5 * _pixel_size(dock)
    )
    _paint_over_the_overview(dock, qtbot)


def _paint_over_the_overview(dock: AnnotateDock, qtbot: Any) -> None:
    """Paint where nothing can be painted, and then there again from near, where it can."""
    mask, viewer = dock.session.mask, dock.session.viewer
    assert mask is not None
    before = labels(dock).copy()
    stroke(qtbot, viewer, [_world(dock, (4000, 3000)), _world(dock, (4000, 5000))])
    np.testing.assert_array_equal(labels(dock), before)
    assert not dock.session.unsaved
    _look_at(dock, qtbot, 4500, 600)
    assert mask.layer.editable
    _paint_between(dock, qtbot, (4500, 590), (4500, 610))
    assert (labels(dock) != before).sum() == 21
