"""What the panel for large images shows."""

from __future__ import annotations

from typing import Any

import pytest

from napari_attnseg.viewer.widgets.large_panel import LargePanel


@pytest.fixture
def panel(qtbot: Any) -> LargePanel:
    panel = LargePanel()
    qtbot.addWidget(panel)
    return panel


def test_it_is_there_only_when_there_is_something_to_say(panel: LargePanel) -> None:
    assert panel.isHidden()
    panel.setSentence("a.tif <b> is large.")
    assert not panel.isHidden()
    assert panel.sentence.text() == "a.tif <b> is large."
    assert panel.bar.isHidden()
    panel.setSentence("")
    assert panel.isHidden()


def test_progress_and_stopping(panel: LargePanel, qtbot: Any) -> None:
    panel.setProgress("a.tif", 0.0, "starting…")
    assert panel.isBusy()
    assert panel.bar.maximum() == 0
    panel.setProgress("a.tif", 0.25, "row 3 of 12", 90)
    assert panel.bar.value() / panel.bar.maximum() == 0.25
    assert panel.line.text().startswith("a.tif · row 3 of 12 · ")
    with qtbot.waitSignal(panel.cancelAsked):
        panel.cancel_button.click()
    panel.setStopping()
    assert not panel.cancel_button.isEnabled()
    panel.setIdle()
    assert not panel.isBusy()
    assert panel.isHidden()
    panel.setProgress("b.tif", 0.5, "")
    assert panel.cancel_button.isEnabled(), "it can be pressed again the next time"


def test_a_log_is_offered_where_something_failed(panel: LargePanel, qtbot: Any) -> None:
    panel.setSentence("It was killed.", log=True)
    assert not panel.log_button.isHidden()
    with qtbot.waitSignal(panel.logAsked):
        panel.log_button.click()
    panel.setSentence("Another.")
    assert panel.log_button.isHidden()
