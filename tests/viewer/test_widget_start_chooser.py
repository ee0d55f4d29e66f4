"""Where a training starts from, and for how long it goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_attnseg.viewer.widgets.model_chooser import A_FILE, ModelOption
from napari_attnseg.viewer.widgets.start_chooser import NEW, StartChoice, StartChooser

FIRST, SECOND = Path("/r/1/best.safetensors"), Path("/r/2/best.safetensors")
MODELS = (
    ModelOption("yesterday, F1 0.81", FIRST, "Trained here"),
    ModelOption("today, F1 0.88", SECOND, "Trained here"),
)


BUILT_IN = ModelOption("nuclei (built in)", Path("/p/nuclei.safetensors"), is_natural=True)


@pytest.fixture
def chooser(qtbot):
    widget = StartChooser()
    qtbot.addWidget(widget)
    widget.setChoices(MODELS, in_use=SECOND)
    widget.show()
    return widget


@pytest.fixture
def signals(chooser):
    found: list[object] = []
    chooser.changed.connect(found.append)
    chooser.fileAsked.connect(lambda: found.append("file"))
    return found


def pick(box, text: str) -> None:
    row = box.findText(text)
    box.setCurrentIndex(row)
    box.activated.emit(row)


@pytest.mark.parametrize(
    "choice",
    [
        StartChoice(),
        StartChoice(FIRST, 1.0),
        StartChoice(SECOND, 480.0),
        StartChoice(None, None, 250),
        StartChoice(Path("/elsewhere/other.safetensors"), 3.0),
        StartChoice(None, 90.0),
    ],
)
def test_round_trip(chooser, signals, choice):
    chooser.setValue(StartChoice(FIRST, None, 7))
    chooser.setValue(choice)
    assert chooser.value() == choice
    assert signals == []


def test_the_model_in_use_comes_first_and_is_named_so(chooser):
    texts = [chooser.start_box.itemText(row) for row in range(chooser.start_box.count())]
    assert texts == [NEW, "in use: today, F1 0.88", "Trained here", "yesterday, F1 0.81", "", A_FILE]


def test_times_are_in_words_and_in_order(chooser):
    chooser.setValue(StartChoice(None, 90.0))
    texts = [chooser.time_box.itemText(row) for row in range(chooser.time_box.count())]
    assert texts == [
        *("1 minute", "2 minutes", "5 minutes", "10 minutes", "30 minutes", "1 hour", "1.5 hours", "2 hours"),
        *("8 hours", "epochs:"),
    ]


def test_choosing_tells_the_whole_choice(chooser, signals):
    pick(chooser.start_box, "in use: today, F1 0.88")
    pick(chooser.time_box, "10 minutes")
    assert signals == [StartChoice(SECOND, 5.0), StartChoice(SECOND, 10.0)]
    assert not chooser.epochs_box.isVisible()
    pick(chooser.time_box, "epochs:")
    assert chooser.epochs_box.isVisible()
    chooser.epochs_box.setValue(30)
    assert signals[-1] == StartChoice(SECOND, None, 30)


def test_asking_for_a_file_leaves_the_choice(chooser, signals):
    chooser.setValue(StartChoice(FIRST, 5.0))
    pick(chooser.start_box, A_FILE)
    assert signals == ["file"]
    assert chooser.value().start == FIRST
    assert chooser.start_box.currentText() == "yesterday, F1 0.81"


def test_a_model_that_is_gone_is_not_started_from(chooser):
    chooser.setValue(StartChoice(FIRST, 5.0))
    chooser.setChoices(MODELS[1:], in_use=SECOND)
    assert chooser.value() == StartChoice(None, 5.0)
    assert chooser.start_box.currentText() == NEW


def test_a_file_that_was_chosen_stays_when_the_models_change(chooser):
    other = Path("/elsewhere/other.safetensors")
    chooser.setValue(StartChoice(other, 5.0))
    chooser.setChoices(MODELS[:1])
    assert chooser.value().start == other
    assert chooser.start_box.currentText() == "other.safetensors"
    chooser.setChoices([*MODELS, ModelOption("a colleague's", other, "Recent")], in_use=other)
    assert chooser.start_box.currentText() == "in use: a colleague's"
    assert chooser.start_box.findText("other.safetensors") < 0


def starts_of(chooser: StartChooser) -> list[str]:
    return [chooser.start_box.itemText(row) for row in range(chooser.start_box.count())]


def test_what_is_natural_for_the_images_is_first_and_chosen(qtbot):
    fresh = StartChooser()
    qtbot.addWidget(fresh)
    told: list[object] = []
    fresh.changed.connect(told.append)
    fresh.setChoices([BUILT_IN, *MODELS], in_use=SECOND)
    assert starts_of(fresh)[:3] == ["nuclei (built in)", NEW, "in use: today, F1 0.88"]
    assert fresh.value() == StartChoice(BUILT_IN.path, 5.0)
    assert fresh.start_box.currentText() == "nuclei (built in)"
    fresh.setChoices([replace(BUILT_IN, is_natural=False), *MODELS], in_use=SECOND)
    assert starts_of(fresh)[:4] == [NEW, "in use: today, F1 0.88", "nuclei (built in)", "Trained here"]
    assert fresh.value().start is None
    assert told == []


def test_what_is_natural_goes_behind_what_was_chosen(qtbot):
    fresh = StartChooser()
    qtbot.addWidget(fresh)
    fresh.setChoices([BUILT_IN, *MODELS])
    pick(fresh.start_box, NEW)
    fresh.setChoices([BUILT_IN, *MODELS])
    assert fresh.value().start is None
    pick(fresh.start_box, "today, F1 0.88")
    fresh.setChoices([BUILT_IN, *MODELS], in_use=SECOND)
    assert fresh.value().start == SECOND
    fresh.setChoices([BUILT_IN])
    assert fresh.value().start == BUILT_IN.path, "what was chosen is gone"
