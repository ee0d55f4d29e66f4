"""The curves of a training: what is drawn, from which rows, in which words."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from qtpy.QtWidgets import QApplication

from napari_attnseg.viewer.widgets.curves import NOT_HELD_OUT, NOTHING, TrainingCurves
from tests.viewer.narrow import wheel


@pytest.fixture
def curves(qtbot):
    widget = TrainingCurves()
    qtbot.addWidget(widget)
    widget.resize(318, 240)
    widget.show()
    return widget


def row(epoch: int, loss: float, f1: float | None = None, **dice: float) -> dict[str, float]:
    scores = {} if f1 is None else {"val_loss": loss + 0.1, "val_score": f1, "val_f1": f1}
    classes = {f"val_dice_{name}": value for name, value in dice.items()}
    return {"epoch": epoch, "loss": loss, "learning_rate": 0.005, **scores, **classes, "minutes": 0.1 * epoch}


def drawn(plot) -> list[tuple[list[float], list[float]]]:
    """Return the points of each line."""
    lines = (item.getData() for item in plot.getPlotItem().listDataItems())
    return [(list(x), list(y)) for x, y in lines]


def colours(plot) -> list[str]:
    return [item.opts["pen"].color().name() for item in plot.getPlotItem().listDataItems() if item.opts["pen"]]


def test_before_the_first_batch_there_is_a_sentence(curves):
    assert curves.message.text() == NOTHING
    assert curves.message.isVisible()
    assert curves.loss_plot is None
    curves.addLoss(0.1, 1.0)
    assert not curves.message.isVisible()
    assert curves.loss_plot.isVisible()
    curves.clear()
    assert curves.message.isVisible()
    assert not curves.loss_plot.isVisible()
    assert not curves.score_plot.isVisible(), "not those of the run before"


def test_rows_round_trip_and_are_drawn(curves):
    rows = [row(1, 0.9, 0.3), row(2, 0.5, 0.6), row(3, 0.4, 0.5)]
    curves.setRows(rows)
    assert curves.rows() == rows
    assert drawn(curves.loss_plot) == [
        ([1, 2, 3], [0.9, 0.5, 0.4]),
        ([1, 2, 3], [1.0, 0.6, 0.5]),
    ]
    assert drawn(curves.score_plot) == [([1, 2, 3], [0.3, 0.6, 0.5]), ([2], [0.6])]  # the curve, and the best epoch
    assert "best&nbsp;0.60, epoch&nbsp;2" in curves.score_text.text()
    curves.addRow(row(4, 0.3, 0.7))
    assert curves.best() == (4, 0.7)
    assert len(curves.rows()) == 4


def test_the_running_epoch_goes_on_from_the_last_and_goes_when_it_ends(curves):
    curves.setRows([row(1, 0.9, 0.3), row(2, 0.5, 0.6)])
    curves.addLoss(0.25, 0.45)
    curves.addLoss(0.5, 0.42)
    assert ([2.25, 2.5], [0.45, 0.42]) in drawn(curves.loss_plot)
    curves.addRow(row(3, 0.4, 0.65))
    assert [x for x, _ in drawn(curves.loss_plot)] == [[1, 2, 3], [1, 2, 3]]


def test_an_epoch_that_is_done_again_is_replaced(curves):
    curves.setRows([row(1, 0.9, 0.3), row(2, 0.5, 0.9), row(3, 0.5, 0.8)])
    curves.addRow(row(2, 0.6, 0.4))
    assert [(item["epoch"], item["val_f1"]) for item in curves.rows()] == [(1, 0.3), (2, 0.4)]
    assert curves.best() == (2, 0.4)


def test_several_classes_have_a_line_each_in_their_colours(curves):
    curves.setClasses(["liver", "spleen"], ["#e69f00", "#56b4e9"])
    curves.setRows([row(number, 0.5, 0.5, background=0.99, liver=0.6, spleen=0.1 * number) for number in (1, 2, 3)])
    lines = drawn(curves.score_plot)
    assert lines[0] == ([1, 2, 3], [0.6] * 3)
    assert lines[1][1] == pytest.approx([0.1, 0.2, 0.3])
    assert colours(curves.score_plot)[:2] == ["#e69f00", "#56b4e9"]
    text = curves.score_text.text()
    assert "Held-out Dice" in text
    assert "liver" in text
    assert "background" not in text


def test_a_class_without_a_colour_gets_one_of_its_own(curves):
    curves.setRows([row(1, 0.5, 0.5, background=0.9, a=0.6, b=0.5)])
    first, second = colours(curves.score_plot)[:2]
    assert first != second


def test_the_starting_model_is_a_dashed_line(curves):
    curves.setRows([row(1, 0.9, 0.3)])
    without = len(curves.score_plot.getPlotItem().items)
    curves.setStart(0.61)
    assert len(curves.score_plot.getPlotItem().items) == without + 1
    assert "at&nbsp;the&nbsp;start&nbsp;0.61" in curves.score_text.text()
    curves.setStart(None)
    assert len(curves.score_plot.getPlotItem().items) == without


def test_without_held_out_images_there_is_no_score(curves):
    curves.setRows([row(1, 0.9), row(2, 0.5)])
    assert curves.best() is None
    assert curves.score_text.text() == NOT_HELD_OUT
    assert not curves.score_plot.isVisible()
    assert "held out" not in curves.loss_text.text()


def test_figures_that_are_missing_or_infinite_leave_a_gap(curves):
    curves.setRows([row(1, math.inf, 0.3), row(2, 0.5, math.nan), row(3, 0.4, 0.5)])
    assert curves.best() == (3, 0.5)
    top = curves.loss_plot.getPlotItem().viewRange()[1][1]
    assert 0.5 < top < 1


def test_importing_and_drawing_change_nothing_for_others():
    program = """if True:
        import sys
        from napari_attnseg.viewer.widgets import curves, plots
        assert "pyqtgraph" not in sys.modules, "the dock would open later by that"
        hook = sys.excepthook
        assert plots.pyqtgraph().PlotWidget
        assert sys.excepthook is hook
        assert "torch" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_wheel_is_left_to_the_dock(curves):
    curves.setRows([row(1, 0.9, 0.3), row(2, 0.5, 0.6)])
    before = curves.score_plot.getPlotItem().viewRange()
    viewport = curves.score_plot.viewport()
    turned = wheel(viewport)
    QApplication.sendEvent(viewport, turned)
    assert not turned.isAccepted()
    assert curves.score_plot.getPlotItem().viewRange() == before
