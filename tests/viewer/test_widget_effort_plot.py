"""How much correction predictions needed."""

from __future__ import annotations

import pytest

from napari_attnseg.viewer.widgets.effort_plot import NOTHING, EffortPlot, effort_text


@pytest.fixture
def effort(qtbot):
    widget = EffortPlot()
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.mark.parametrize(
    ("dice", "text"),
    [
        ([], NOTHING),
        ([0.94], "The last image needed little correction: Dice 0.94."),
        ([0.1] * 5 + [0.8] * 10, "The last 10 images needed some correction: Dice 0.80."),
        ([0.5, 0.7], "The last 2 images needed much correction: Dice 0.60."),
    ],
)
def test_the_sentence(effort, dice, text):
    assert effort_text(dice) == text
    effort.setValue(dice)
    assert effort.sentence.text() == text


def test_round_trip_and_what_is_drawn(effort):
    assert effort.plot is None
    dice = (0.2, 0.4, 0.9)
    effort.setValue(dice, ["a.tiff", "b.tiff", "c.tiff"])
    assert effort.value() == dice
    dots, line = (item.getData() for item in effort.plot.getPlotItem().listDataItems())
    assert list(dots[0]) == [1, 2, 3]
    assert list(dots[1]) == list(dice)
    assert list(line[1]) == pytest.approx([0.2, 0.3, 0.5])
    assert "c.tiff: 0.90" in effort.plot.toolTip()
    effort.setValue(())
    assert effort.value() == ()
    assert not effort.plot.isVisible()


def test_the_line_is_the_mean_of_the_last_ten(effort):
    effort.setValue([0.0] + [1.0] * 10)
    line = effort.plot.getPlotItem().listDataItems()[1].getData()[1]
    assert line[9] == pytest.approx(0.9)
    assert line[10] == pytest.approx(1.0)
