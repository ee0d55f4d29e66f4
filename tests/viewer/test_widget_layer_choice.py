"""Which of the things that a model gives are shown."""

from __future__ import annotations

import pytest

from napari_attnseg.viewer.widgets.layer_choice import LayerChoice, ShownLayers


@pytest.fixture
def choice(qtbot):
    widget = LayerChoice()
    qtbot.addWidget(widget)
    widget.setClasses(["liver", "right kidney"])
    widget.setLevels(4)
    widget.show()
    return widget


@pytest.fixture
def changes(choice):
    found: list[ShownLayers] = []
    choice.changed.connect(found.append)
    return found


@pytest.mark.parametrize(
    "shown",
    [
        ShownLayers(),
        ShownLayers(False, True, 1, True, 3, True),
        ShownLayers(True, True, 0, True, 0, False),
        ShownLayers(False, False, 1, False, 2, True),
    ],
)
def test_round_trip(choice, changes, shown):
    choice.setValue(ShownLayers(True, False, 1, True, 1, True))
    choice.setValue(shown)
    assert choice.value() == shown
    assert changes == []


def test_changes_are_told(choice, changes):
    choice.boxes["attention"].click()
    choice.level_box.setCurrentIndex(1)
    choice.boxes["prediction"].click()
    assert changes == [
        ShownLayers(attention=True, level=3),
        ShownLayers(attention=True, level=1),
        ShownLayers(False, attention=True, level=1),
    ]


def test_the_finest_level_is_the_first_choice(choice, changes):
    assert choice.value().level == 3
    assert choice.level_box.currentText() == "level 4 (finest)"
    assert choice.level_box.itemText(0) == "level 1 (coarsest)"
    choice.level_box.setCurrentIndex(2)
    choice.setLevels(4)
    assert choice.value().level == 2  # another model of the same depth
    choice.setLevels(2)
    assert choice.value().level == 1
    assert len(changes) == 1


def test_a_model_without_gates_shows_no_attention(choice):
    choice.setValue(ShownLayers(attention=True))
    choice.setLevels(0)
    assert not choice.boxes["attention"].isEnabled()
    assert "no attention gates" in choice.boxes["attention"].toolTip()
    assert not choice.level_box.isVisible()
    assert not choice.value().attention
    choice.setLevels(3)
    assert choice.value().attention
    assert "areas the model looks at" in choice.boxes["attention"].toolTip()


def test_the_class_is_kept_by_its_name(choice, changes):
    choice.setValue(ShownLayers(probability=True, probability_class=1))
    choice.setClasses(["spleen", "liver", "right kidney"])
    assert choice.value().probability_class == 2
    choice.setClasses(["nucleus"])
    assert not choice.class_box.isVisible()
    assert choice.value().probability_class == 0
    assert changes == []


def test_a_list_is_used_with_its_tick(choice):
    assert not choice.class_box.isEnabled()
    choice.boxes["probability"].click()
    assert choice.class_box.isEnabled()
    assert not choice.level_box.isEnabled()
