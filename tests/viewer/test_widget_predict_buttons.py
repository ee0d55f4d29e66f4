"""Predicting one image or many: what is asked for, and how far it is."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_attnseg.viewer.widgets.predict_buttons import PredictButtons


@pytest.fixture
def buttons(qtbot):
    widget = PredictButtons()
    qtbot.addWidget(widget)
    widget.setCounts(20, 6)
    widget.show()
    return widget


def test_what_to_predict_is_told(buttons, qtbot):
    asked: list[str] = []
    buttons.predictAsked.connect(asked.append)
    qtbot.mouseClick(buttons.image_button, Qt.MouseButton.LeftButton)
    for name in ("unmasked", "all", "plane"):
        buttons.actions_by_name[name].trigger()
    assert asked == ["image", "unmasked", "all", "plane"]


def test_a_stack_is_called_one_and_has_planes(buttons):
    assert buttons.image_button.text() == "Predict this image"
    assert not buttons.actions_by_name["plane"].isVisible()
    buttons.setStack(True)
    assert buttons.image_button.text() == "Predict this stack"
    assert buttons.actions_by_name["plane"].isVisible()


def test_the_menu_says_how_many(buttons):
    assert buttons.actions_by_name["unmasked"].text() == "Predict all images without a mask (6)"
    assert buttons.actions_by_name["all"].text() == "Predict all images (20)"
    buttons.setCounts(20, 0)
    assert not buttons.actions_by_name["unmasked"].isEnabled()
    assert buttons.actions_by_name["all"].isEnabled()
    buttons.setCounts(0, 0)
    assert not buttons.more_button.isEnabled()
    assert buttons.image_button.isEnabled()


def test_progress_and_cancel(buttons, qtbot):
    cancelled: list[bool] = []
    buttons.cancelAsked.connect(lambda: cancelled.append(True))
    assert not buttons.cancel_button.isVisible()
    buttons.setProgress(0.0, "reading the image")
    assert buttons.isBusy()
    assert buttons.bar.maximum() == 0  # moves to and fro
    buttons.setProgress(0.3, "6 of 20 images", 75)
    assert buttons.bar.value() / buttons.bar.maximum() == pytest.approx(0.3)
    assert buttons.line.text() == "6 of 20 images · 1:15 left"
    assert not buttons.image_button.isEnabled()
    assert not buttons.more_button.isEnabled()
    assert not buttons.bar.isVisible()  # what is over in a moment shows nothing of its progress
    qtbot.waitUntil(buttons.cancel_button.isVisible)
    assert buttons.bar.isVisible()
    assert buttons.line.isVisible()
    qtbot.mouseClick(buttons.cancel_button, Qt.MouseButton.LeftButton)
    assert cancelled == [True]
    buttons.setIdle("Cancelled; 6 of 20 images are predicted.")
    assert not buttons.isBusy()
    assert not buttons.bar.isVisible()
    assert buttons.line.text() == "Cancelled; 6 of 20 images are predicted."
    assert buttons.image_button.isEnabled()
    buttons.setIdle()
    assert not buttons.line.isVisible()


def test_without_a_model_nothing_can_be_predicted(buttons):
    buttons.setReason("Choose a model first.")
    assert not buttons.image_button.isEnabled()
    assert not buttons.more_button.isEnabled()
    assert buttons.image_button.toolTip() == buttons.more_button.toolTip() == "Choose a model first."
    buttons.setReason("")
    assert buttons.image_button.isEnabled()
    assert "stays as it is" in buttons.image_button.toolTip()
