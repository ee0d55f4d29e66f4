"""Whether the model got better, in a sentence and a table."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_attnseg.viewer.widgets.score_panel import NO_SCORE, ScoreChange, ScorePanel, ScoreRow, change_text

ROWS = (ScoreRow("mean", 0.88, 0.79, 0.9, 0.87), ScoreRow("left <kidney>", 0.854, 0.78))


@pytest.fixture
def panel(qtbot):
    widget = ScorePanel()
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (ScoreChange(), NO_SCORE),
        (ScoreChange(0.88, None, 1), "F1 0.88 on 1 held-out image"),
        (ScoreChange(0.88, 0.81, 8), "F1 was 0.81 → now 0.88 on 8 held-out images: better"),
        (ScoreChange(0.7, 0.81, 8, "Dice"), "Dice was 0.81 → now 0.70 on 8 held-out images: worse"),
        (ScoreChange(0.812, 0.811, 8), "F1 was 0.81 → now 0.81 on 8 held-out images: about the same"),
    ],
)
def test_the_sentence(panel, change, text):
    assert change_text(change) == text
    panel.setChange(change)
    assert panel.change() == change
    assert panel.sentence.text() == text


def test_the_table_has_the_columns_that_there_are(panel):
    assert not panel.table.isVisible()
    panel.setRows(ROWS)
    assert panel.rows() == ROWS
    html = panel.table.text()
    assert all(name in html for name in ("F1", "Jaccard", "Recall", "Precision"))
    assert "left &lt;kidney&gt;" in html
    assert "0.85" in html
    panel.setRows([ScoreRow("mean", 0.5, 0.4)])
    assert "Jaccard" in panel.table.text()
    assert "Recall" not in panel.table.text()
    panel.setRows(())
    assert not panel.table.isVisible()


def test_use_and_roll_back(panel, qtbot):
    asked: list[str] = []
    panel.useAsked.connect(lambda: asked.append("use"))
    panel.rollBackAsked.connect(lambda: asked.append("back"))
    assert not panel.use_button.isVisible()
    qtbot.mouseClick(panel.back_button, Qt.MouseButton.LeftButton)
    assert asked == []
    panel.setUsable(True)
    panel.setRollBack("yesterday, F1 0.81")
    assert "yesterday, F1 0.81" in panel.back_button.toolTip()
    qtbot.mouseClick(panel.use_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(panel.back_button, Qt.MouseButton.LeftButton)
    assert asked == ["use", "back"]
