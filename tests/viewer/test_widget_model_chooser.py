"""Which model predicts: headings, what is known of it, and asking for a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from qtpy.QtCore import Qt

from napari_attnseg.viewer.widgets.elided_box import ElidedBox
from napari_attnseg.viewer.widgets.model_chooser import A_FILE, NO_MODEL, ModelChooser, ModelOption, find_model

MODELS = (
    ModelOption("today 10:12, F1 0.88", Path("/r/2/best.safetensors"), "Trained here", "From 41 images.", "nucleus"),
    ModelOption("yesterday, F1 0.81", Path("/r/1/best.safetensors"), "Trained here"),
    ModelOption("nuclei.safetensors", Path("/elsewhere/nuclei.safetensors"), "Recent"),
)


@pytest.fixture
def chooser(qtbot):
    widget = ModelChooser()
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def signals(chooser):
    found: list[object] = []
    chooser.chosen.connect(found.append)
    chooser.fileAsked.connect(lambda: found.append("file"))
    return found


def pick(chooser: ModelChooser, text: str) -> None:
    """Choose a row as a user does."""
    row = chooser.box.findText(text)
    chooser.box.setCurrentIndex(row)
    chooser.box.activated.emit(row)


def test_round_trip(chooser, signals):
    chooser.setChoices(MODELS)
    assert chooser.choices() == MODELS
    assert chooser.value() is None
    for path in (MODELS[2].path, MODELS[0].path, None):
        chooser.setValue(path)
        assert chooser.value() == path
    chooser.setValue(Path("/not/offered"))
    assert chooser.value() is None
    assert signals == []


def test_the_chosen_one_is_told_and_described(chooser, signals):
    chooser.setChoices(MODELS)
    pick(chooser, "today 10:12, F1 0.88")
    assert signals == [MODELS[0].path]
    assert chooser.value() == MODELS[0].path
    assert chooser.details.text() == "nucleus"
    assert "From 41 images." in chooser.box.toolTip()


def test_headings_cannot_be_chosen(chooser):
    chooser.setChoices(MODELS)
    chooser.setValue(MODELS[0].path)
    texts = [chooser.box.itemText(row) for row in range(chooser.box.count())]
    assert texts == ["Trained here", *(model.label for model in MODELS[:2]), "Recent", MODELS[2].label, "", A_FILE]
    for heading in ("Trained here", "Recent"):
        assert not chooser.box.model().item(texts.index(heading)).isEnabled()


def test_asking_for_a_file_leaves_the_choice(chooser, signals):
    chooser.setChoices(MODELS)
    chooser.setValue(MODELS[1].path)
    pick(chooser, A_FILE)
    assert signals == ["file"]
    assert chooser.value() == MODELS[1].path
    assert chooser.box.currentText() == "yesterday, F1 0.81"


def test_without_models(chooser, signals):
    assert chooser.details.text() == NO_MODEL
    assert chooser.details.isVisible()
    pick(chooser, A_FILE)
    assert signals == ["file"]
    chooser.setChoices(MODELS)
    assert chooser.box.currentText() == "choose a model"


def test_the_choice_stays_while_it_is_offered(chooser):
    chooser.setChoices(MODELS)
    chooser.setValue(MODELS[2].path)
    chooser.setChoices(MODELS[1:])
    assert chooser.value() == MODELS[2].path
    chooser.setChoices(MODELS[:2])
    assert chooser.value() is None


def test_a_long_name_ends_in_dots_and_is_whole_in_the_list(qtbot):
    box = ElidedBox("Models")
    qtbot.addWidget(box)
    name = "a model with a very long name, trained on very many images"
    box.addItem(name, MODELS[0].path)
    box.setFixedWidth(150)
    box.show()
    assert box.shown_text().endswith("…")
    assert name.startswith(box.shown_text()[:-1])
    assert find_model(box, MODELS[0].path) == 0
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton)
    assert box.view().width() >= box.view().fontMetrics().horizontalAdvance(name)
    box.hidePopup()
