"""What was painted before a crash is shown, and what to do with it is the user's."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_attnseg.viewer.widgets.crash_restore import (
    ADDED,
    OTHER,
    REMOVED,
    STRENGTH,
    Decision,
    RestoreDialog,
    UnsavedWork,
    details_text,
    preview,
    time_text,
)

WORK = [
    UnsavedWork("a.tif", Path("/data/a.tif"), 12345, 1.7e9),
    UnsavedWork("b/ç.tif", Path("/data/b/ç.tif"), 1, 1.7e9 + 100, damaged=True),
    UnsavedWork("c.tif", Path("/data/c.tif"), 7, 1.7e9 + 200, mask_changed=True),
]


@pytest.fixture
def dialog(qtbot):
    widget = RestoreDialog(WORK)
    qtbot.addWidget(widget)
    return widget


def test_round_trip(dialog):
    assert dialog.decisions() == (Decision.RESTORE,) * 3
    decisions = (Decision.DISCARD, Decision.RESTORE, Decision.LATER)
    dialog.setDecisions(decisions)
    assert dialog.decisions() == decisions


def test_continue_keeps_the_decisions(dialog, qtbot):
    dialog.show()
    dialog.setDecisions((Decision.DISCARD, Decision.RESTORE, Decision.RESTORE))
    qtbot.mouseClick(dialog.done_button, Qt.MouseButton.LeftButton)
    assert dialog.result() == RestoreDialog.DialogCode.Accepted
    assert dialog.decisions() == (Decision.DISCARD, Decision.RESTORE, Decision.RESTORE)


@pytest.mark.parametrize("how", ["button", "escape", "close"])
def test_to_dismiss_the_dialog_loses_nothing(dialog, qtbot, how):
    dialog.show()
    dialog.setDecisions((Decision.DISCARD,) * 3)
    if how == "button":
        qtbot.mouseClick(dialog.later_button, Qt.MouseButton.LeftButton)
    elif how == "escape":
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    else:
        dialog.close()
    assert not dialog.isVisible()
    assert dialog.decisions() == (Decision.LATER,) * 3


def test_previews_are_asked_for_once_and_shown(dialog):
    asked: list[int] = []
    dialog.previewAsked.connect(asked.append)
    dialog.show()
    assert asked == [0]
    image, mask = np.full((40, 50, 3), 100, np.uint8), np.zeros((40, 50), np.uint8)
    dialog.setPreview(0, preview(image, mask, mask + 1))
    shown = dialog.picture.pixmap().toImage()
    expected = [100 * (1 - STRENGTH) + part * STRENGTH for part in ADDED]
    centre = shown.pixelColor(shown.width() // 2, shown.height() // 2).getRgb()[:3]
    assert np.abs(np.subtract(centre, expected)).max() <= 8  # a display may have as few as 5 bits a colour
    assert abs(shown.width() / shown.height() - 50 / 40) < 0.02
    dialog.table.setCurrentCell(1, 0)
    dialog.setPreview(1, None)
    assert "cannot be read" in dialog.picture.text()
    dialog.table.setCurrentCell(0, 0)
    assert not dialog.picture.pixmap().isNull()
    assert asked == [0, 1]


def test_the_details_are_those_of_the_selected_work(dialog):
    dialog.show()
    for row, work in enumerate(WORK):
        dialog.table.setCurrentCell(row, 0)
        assert dialog.details.text() == details_text(work)
    assert "3 masks were" in dialog.intro.text()


def test_work_that_may_be_open_on_another_computer_is_left_for_later_unless_chosen(qtbot):
    far = UnsavedWork("d.tif", Path("/data/d.tif"), 7, 1.7e9, elsewhere="laptop")
    dialog = RestoreDialog([WORK[0], far])
    qtbot.addWidget(dialog)
    assert dialog.decisions() == (Decision.RESTORE, Decision.LATER)
    assert "computer 'laptop'" in details_text(far)


def test_sentences():
    assert details_text(WORK[0]) == "12,345 pixels painted or erased."
    assert details_text(WORK[1]).startswith("1 pixel painted")
    assert "could not be recovered" in details_text(WORK[1])
    assert "another program" in details_text(WORK[2])
    assert time_text(1.7e9).startswith("2023-11-1")
    assert len(time_text(time.time())) == 5


def test_preview_tells_added_removed_and_changed_apart():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    kept = image.copy()
    before, after = np.zeros((3, 5), np.uint16), np.zeros((3, 5), np.uint16)
    after[0, 0], before[1, 1], before[2, 2], after[2, 2] = 1, 2, 1, 300
    before[0, 4] = after[0, 4] = 5
    picture = preview(image, before, after)
    assert (picture.width(), picture.height()) == (5, 3)
    colours = {(0, 0): ADDED, (1, 1): REMOVED, (2, 2): OTHER}
    for y in range(3):
        for x in range(5):
            expected = image[y, x].astype(float)
            if (y, x) in colours:
                expected = expected * (1 - STRENGTH) + np.array(colours[y, x]) * STRENGTH
            assert np.abs(np.array(picture.pixelColor(x, y).getRgb()[:3]) - expected).max() <= 0.5
    assert (image == kept).all()
