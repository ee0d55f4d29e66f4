"""Threshold, smallest object, holes, outlines and opacity."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_attnseg.viewer.widgets.threshold_controls import OverlayOptions, ThresholdControls


@pytest.fixture
def controls(qtbot):
    widget = ThresholdControls()
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def changes(controls):
    found: list[OverlayOptions] = []
    controls.changed.connect(found.append)
    return found


@pytest.mark.parametrize(
    "options",
    [
        OverlayOptions(),
        OverlayOptions(0.01, 999_999, True, True, 1.0),
        OverlayOptions(0.99, 1, False, True, 0.05),
        OverlayOptions(0.29, 20, True, False, 0.57),
    ],
)
def test_round_trip(controls, changes, options):
    controls.setValue(OverlayOptions(0.7, 7, True, True, 0.7))
    controls.setValue(options)
    assert controls.value() == options
    assert controls.threshold_box.value() == pytest.approx(options.threshold)
    assert changes == []


def test_each_step_of_the_slider_is_told(controls, changes):
    for value in (51, 52, 53):
        controls.threshold_slider.setSliderPosition(value)
    assert [options.threshold for options in changes] == [0.51, 0.52, 0.53]
    assert controls.threshold_box.text() == "0.53"


def test_the_slider_follows_its_arrow_keys(controls, changes, qtbot):
    qtbot.keyClick(controls.threshold_slider, Qt.Key.Key_Right)
    qtbot.keyClick(controls.threshold_slider, Qt.Key.Key_Left)
    assert [options.threshold for options in changes] == [0.51, 0.5]


def test_a_number_that_is_typed_is_told_once(controls, changes, qtbot):
    controls.threshold_box.setKeyboardTracking(False)
    controls.threshold_box.selectAll()
    qtbot.keyClicks(controls.threshold_box, "0.33")
    qtbot.keyClick(controls.threshold_box, Qt.Key.Key_Return)
    assert changes == [OverlayOptions(threshold=0.33)]
    assert controls.threshold_slider.value() == 33


def test_every_other_change_is_told(controls, changes):
    controls.size_box.setValue(12)
    controls.holes_box.click()
    controls.contours_box.click()
    controls.opacity_slider.setValue(80)
    assert changes == [
        OverlayOptions(0.5, 12),
        OverlayOptions(0.5, 12, True),
        OverlayOptions(0.5, 12, True, True),
        OverlayOptions(0.5, 12, True, True, 0.8),
    ]


def test_several_classes_have_no_threshold(controls):
    controls.setThresholdUsed(False)
    assert not controls.threshold_slider.isEnabled()
    assert "most probable class" in controls.threshold_slider.toolTip()
    controls.setThresholdUsed(True)
    assert controls.threshold_box.isEnabled()
    assert "above this" in controls.threshold_box.toolTip()
