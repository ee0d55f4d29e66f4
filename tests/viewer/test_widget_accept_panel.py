"""Taking a prediction over: what is asked for, and why it may be off."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_attnseg.viewer.widgets.accept_panel import HINT, AcceptPanel


@pytest.fixture
def panel(qtbot):
    widget = AcceptPanel()
    qtbot.addWidget(widget)
    widget.show()
    return widget


def test_each_button_asks_for_its_own(panel, qtbot):
    asked: list[str] = []
    panel.acceptAllAsked.connect(lambda: asked.append("all"))
    panel.acceptEmptyAsked.connect(lambda: asked.append("empty"))
    panel.acceptNextAsked.connect(lambda: asked.append("next"))
    for button in panel.buttons.values():
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert asked == []  # nothing was predicted yet
    panel.setReason("")
    for name, button in panel.buttons.items():
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert asked[-1] == name
    assert len(asked) == 3


def test_the_reason_is_said(panel):
    assert "Predict first" in panel.hint.text()
    panel.setReason("")
    assert panel.reason() == ""
    assert panel.hint.text() == HINT
    tip = panel.buttons["all"].toolTip()
    panel.setReason("The model's class 'cell' is not a class of this folder.")
    assert panel.reason() == panel.hint.text() == panel.buttons["all"].toolTip()
    assert not panel.buttons["empty"].isEnabled()
    panel.setReason("")
    assert panel.buttons["all"].toolTip() == tip


def test_keys_are_named_in_tooltips(panel):
    panel.setReason("")
    plain = panel.buttons["next"].toolTip()
    panel.setShortcuts({"next": "Enter"})
    assert panel.buttons["next"].toolTip() == f"{plain}\nKey: Enter"
    panel.setShortcuts({})
    assert panel.buttons["next"].toolTip() == plain
