"""The correction helpers: what is asked for, and with which options."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_attnseg.viewer.widgets.fix_panel import FixOptions, FixPanel


@pytest.fixture
def panel(qtbot):
    widget = FixPanel()
    qtbot.addWidget(widget)
    widget.setStack(True)
    widget.show()
    return widget


@pytest.mark.parametrize(
    "options", [FixOptions(), FixOptions("plane", 500, 7, 0.35), FixOptions("region", 1, 100, None)]
)
def test_round_trip(panel, options):
    panel.setValue(FixOptions("plane", 3, 3, 0.5))
    panel.setValue(options)
    assert panel.value() == options


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("fill_holes", {}),
        ("keep_largest", {}),
        ("remove_small", {"min_pixels": 44}),
        ("smooth", {"radius": 5}),
        ("grow", {"radius": 5}),
        ("shrink", {"radius": 5}),
        ("copy_previous", {}),
        ("copy_next", {}),
        ("interpolate", {}),
    ],
)
def test_each_button_asks_for_its_operation(panel, qtbot, name, extra):
    panel.setValue(FixOptions("plane", 44, 5))
    requests: list[tuple[str, dict]] = []
    panel.requested.connect(lambda operation, options: requests.append((operation, options)))
    qtbot.mouseClick(panel.buttons[name], Qt.MouseButton.LeftButton)
    assert requests == [(name, {"scope": "plane", **extra})]


def test_only_stacks_have_neighbouring_planes(panel):
    assert panel.buttons["copy_next"].isVisible()
    panel.setStack(False)
    assert not panel.buttons["copy_next"].isVisible()
    assert panel.buttons["fill_holes"].isVisible()


def test_undo_and_redo(panel, qtbot):
    asked: list[str] = []
    panel.undoAsked.connect(lambda: asked.append("undo"))
    panel.redoAsked.connect(lambda: asked.append("redo"))
    for name, enable in (("undo", panel.setUndoEnabled), ("redo", panel.setRedoEnabled)):
        qtbot.mouseClick(panel.buttons[name], Qt.MouseButton.LeftButton)
        assert name not in asked  # nothing to undo yet
        enable(True)
        qtbot.mouseClick(panel.buttons[name], Qt.MouseButton.LeftButton)
        assert asked[-1] == name


def test_snap(panel, qtbot):
    toggled: list[bool] = []
    tolerances: list[float | None] = []
    panel.snapToggled.connect(toggled.append)
    panel.toleranceChanged.connect(tolerances.append)
    qtbot.mouseClick(panel.buttons["snap"], Qt.MouseButton.LeftButton)
    panel.setSnap(False)
    assert toggled == [True, False]
    assert not panel.tolerance_slider.isEnabled()
    panel.auto_box.click()
    assert panel.tolerance_slider.isEnabled()
    panel.tolerance_slider.setValue(40)
    panel.auto_box.click()
    assert tolerances == [0.2, 0.4, None]


def test_keys_are_named_in_tooltips(panel):
    plain = panel.buttons["grow"].toolTip()
    panel.setShortcuts({"grow": "Shift+G"})
    assert panel.buttons["grow"].toolTip() == f"{plain}\nKey: Shift+G"
    panel.setShortcuts({})
    assert panel.buttons["grow"].toolTip() == plain
    assert all(button.toolTip() for button in panel.buttons.values())


def test_numbered_objects_are_named_so(panel):
    panel.setValue(FixOptions("plane"))
    panel.setObjects(True)
    assert panel.scope_box.currentText() == "all objects"
    assert panel.value().scope == "plane"
    panel.setObjects(False)
    assert panel.scope_box.currentText() == "all classes"


def test_everything_fits_into_a_narrow_dock(viewer, qtbot):
    """In napari's own style, which makes fields wider, 320 pixels less the dock's margins are enough."""
    panel = FixPanel()
    panel.setStack(True)
    viewer.window.add_dock_widget(panel, name="Fix")
    qtbot.waitUntil(panel.isVisible)
    assert panel.minimumSizeHint().width() <= 304
    for button in panel.buttons.values():
        assert button.fontMetrics().horizontalAdvance(button.text()) <= button.width()
