"""What is taken over from a prediction into the mask, by the buttons and by Shift-click; each is one undo step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from tests.viewer.canvas import canvas_of, point_at, press, until
from tests.viewer.docked import (
    DISCS,
    LONG,
    Docks,
    click,
    disc_folder,
    labels,
    make_docks,
    opened,
    ours,
    paint,
    predicted,
    told,
    use,
)

pytestmark = pytest.mark.timeout(300)
STROKE = [(58.0, 4.0), (58.0, 20.0)]  # where there is no disc


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return disc_folder(tmp_path / "discs", 3)


@pytest.fixture
def docks(viewer: Any, qtbot: Any, folder: Path, trained: Path) -> Docks:
    """Return the docks on a folder without masks, with a model."""
    docks = make_docks(viewer, qtbot)
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    return docks


def undo(docks: Docks, qtbot: Any) -> None:
    press(qtbot, docks.viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)


def shift_click(docks: Docks, qtbot: Any, place: tuple[float, float]) -> None:
    canvas, shift = canvas_of(docks.viewer), Qt.KeyboardModifier.ShiftModifier
    point = point_at(docks.viewer, place)
    qtbot.mouseMove(canvas, point)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, shift, point)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, shift, point)
    qtbot.wait(20)


@pytest.mark.one_binding
def test_all_or_where_empty_or_one_object(docks: Docks, qtbot: Any, folder: Path) -> None:
    buttons = docks.predict.accepts.buttons
    assert not buttons["all"].isEnabled()
    assert "Predict first" in docks.predict.accepts.hint.text()
    paint(docks.annotate, qtbot, STROKE)
    drawn = labels(docks.annotate).copy()
    found = predicted(docks, qtbot)
    for place in DISCS:
        assert found.labels[round(place[0]), round(place[1])] == 1
    assert np.array_equal(labels(docks.annotate), drawn), "a prediction leaves the mask alone"

    click(qtbot, buttons["all"])
    assert np.array_equal(labels(docks.annotate), found.labels)
    undo(docks, qtbot)
    assert np.array_equal(labels(docks.annotate), drawn), "one step"

    click(qtbot, buttons["empty"])
    assert np.array_equal(labels(docks.annotate), np.maximum(found.labels, drawn))
    undo(docks, qtbot)
    assert np.array_equal(labels(docks.annotate), drawn)

    tool = docks.session.mask.layer.mode  # type: ignore[union-attr]
    assert tool == "paint"
    shift_click(docks, qtbot, DISCS[0])
    here, there = ((round(y), round(x)) for y, x in DISCS)
    assert labels(docks.annotate)[here] == 1
    assert labels(docks.annotate)[there] == 0
    first = drawn != 0
    first[: round(DISCS[1][0]) - 13] |= found.labels[: round(DISCS[1][0]) - 13] != 0
    assert np.array_equal(labels(docks.annotate) != 0, first), "the object and nothing else; what was painted stays"
    assert docks.session.mask.layer.mode == tool  # type: ignore[union-attr]
    taken = labels(docks.annotate).copy()
    shift_click(docks, qtbot, DISCS[0])
    assert np.array_equal(labels(docks.annotate), taken)
    assert any("no predicted object here" in sentence for sentence in told())
    undo(docks, qtbot)
    assert np.array_equal(labels(docks.annotate), drawn)

    qtbot.mouseMove(canvas_of(docks.viewer), point_at(docks.viewer, STROKE[0]))
    qtbot.wait(20)
    press(qtbot, docks.viewer, Qt.Key.Key_T, Qt.KeyboardModifier.ShiftModifier)
    assert not labels(docks.annotate).any(), "nothing was predicted under the mouse, so what is painted there goes"
    undo(docks, qtbot)
    assert np.array_equal(labels(docks.annotate), drawn)
    undo(docks, qtbot)
    assert not labels(docks.annotate).any()
    assert not list(folder.glob("*_MASK*"))


def test_accept_and_next_saves_and_predicts_the_next_image(docks: Docks, qtbot: Any, folder: Path) -> None:
    found = predicted(docks, qtbot)
    click(qtbot, docks.predict.accepts.buttons["next"])
    until(qtbot, lambda: docks.session.shown == folder / "disc01.tif")
    until(qtbot, lambda: not docks.session.saving.is_busy)
    assert np.array_equal(tifffile.imread(folder / "disc00_MASK.tif") > 0, found.labels > 0)
    until(qtbot, lambda: getattr(docks.predict.proposals.current, "image", None) == folder / "disc01.tif", LONG)
    assert not labels(docks.annotate).any(), "it is a proposal"
    assert ours(docks.viewer, "prediction")[0].visible
    click(qtbot, docks.predict.accepts.buttons["next"])
    until(qtbot, lambda: getattr(docks.predict.proposals.current, "image", None) == folder / "disc02.tif", LONG)
    click(qtbot, docks.predict.accepts.buttons["next"])
    until(qtbot, lambda: (folder / "disc02_MASK.tif").exists() and not docks.session.saving.is_busy)
    qtbot.wait(100)
    assert docks.session.shown == folder / "disc02.tif", "it is the last one"
    effort = docks.session.learning.effort
    until(qtbot, lambda: [item.image for item in effort.corrections] == ["disc00.tif", "disc01.tif", "disc02.tif"])
    assert [item.dice for item in effort.corrections] == [1.0, 1.0, 1.0]
    assert not docks.session.unsaved
