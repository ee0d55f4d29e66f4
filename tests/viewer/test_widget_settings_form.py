"""The form of all settings: made from their declarations, and read back from what is entered."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_attnseg.errors import SettingsError
from napari_attnseg.settings import PredictionSettings, RunSettings, make
from napari_attnseg.settings.declared import extra, inner_type, limits
from napari_attnseg.viewer.widgets.settings_form import SettingsForm
from tests.viewer.narrow import wheel

KINDS = {**RunSettings.groups(), "prediction": PredictionSettings}
SHOWN = [
    (group, name)
    for group, kind in KINDS.items()
    for name, info in kind.model_fields.items()
    if not extra(info).get("derived")
]
TEXTS = {"axes": "ZYX", "group_pattern": "(.*)_", "mask_suffix": "_seg", "encoder_weights": "imagenet"}


@pytest.fixture
def form(qtbot):
    widget = SettingsForm(KINDS)
    qtbot.addWidget(widget)
    widget.show()
    for part in widget.parts.values():
        part.expand(animate=False)
    return widget


@pytest.fixture
def changes(form):
    found: list[bool] = []
    form.changed.connect(lambda: found.append(True))
    return found


def other_value(name: str, kind: type[BaseModel]) -> Any:
    """Return a valid value that is not the default, by the setting's type and limits."""
    info = kind.model_fields[name]
    inner, default = inner_type(info.annotation), info.get_default()
    found = limits(info)
    if typing.get_origin(inner) is Literal:
        return next(option for option in typing.get_args(inner) if option != default)
    if inner is bool:
        return not default
    if inner is int:
        return (default or 4 * int(found.get("ge", 0))) + 1  # not the smallest tile, which the overlap would not fit
    if inner is float:
        lowest, highest = found.get("ge", found.get("gt", 0)), found.get("le", found.get("lt", 10))
        return lowest + (highest - lowest) / 8
    if typing.get_origin(inner) is tuple:
        return (8, 16, 24)
    return Path("/some/where") if inner is Path else TEXTS[name]


@pytest.mark.parametrize(("group", "name"), SHOWN)
def test_each_setting_has_an_editor_and_is_read_back(form, changes, group, name):
    kind = KINDS[group]
    editor = form.groups[group].editors[name]
    assert editor.value() == kind.model_fields[name].get_default()
    assert kind.model_fields[name].description.split()[0] in editor.toolTip()
    value = other_value(name, kind)
    assert getattr(make(kind, {name: value}), name) == value
    form.setValue({group: {name: value}})
    assert form.value() == {group: {name: value}}
    assert form.problem() == ""
    assert changes == []
    form.setValue({})
    assert form.value() == {}


def test_what_the_data_decides_is_not_asked_for(form):
    assert "classes" not in form.groups["model"].editors
    assert "in_channels" not in form.groups["model"].editors


def test_a_setting_that_is_added_appears_by_itself(qtbot):
    class More(BaseModel):
        """Settings of the future."""

        wide: int = Field(5, title="Wide", description="A number.")
        rare: float = Field(1e-4, gt=0, le=1, title="Rare", description="A small number.")
        names: tuple[str, ...] = Field(("a", "b"), title="Names", description="Names.")

    form = SettingsForm({"more": More})
    qtbot.addWidget(form)
    assert form.value() == {}
    values = {"more": {"wide": -7, "rare": 3e-6, "names": ("x", "y", "z")}}
    form.setValue(values)
    assert form.value() == values


def test_basic_and_hidden(qtbot):
    form = SettingsForm(KINDS, hidden={"training.epochs"}, basic=True)
    qtbot.addWidget(form)
    shown = {(group, name) for group, rows in form.groups.items() for name in rows.editors}
    basic = {(group, name) for group, name in SHOWN if extra(KINDS[group].model_fields[name]).get("basic")}
    assert shown == basic - {("training", "epochs")}
    form.setValue({"training": {"epochs": 3, "loss": "focal"}, "model": {"dropout": 0.5}})
    assert form.value() == {"training": {"loss": "focal"}}


def test_what_is_typed_is_taken(form, changes, qtbot):
    field = form.groups["training"].editors["learning_rate"]
    field.selectAll()
    qtbot.keyClicks(field, "2e-4")
    assert form.value() == {"training": {"learning_rate": 2e-4}}
    assert changes
    field.selectAll()
    qtbot.keyClicks(field, "0,01")
    assert form.value() == {"training": {"learning_rate": 0.01}}


@pytest.mark.parametrize(
    ("group", "name", "text", "words"),
    [
        ("training", "learning_rate", "fast", "it must be a number (given: 'fast')"),
        ("training", "learning_rate", "2", "at most 1.0 (given: 2.0)"),
        ("training", "max_minutes", "0", "it must be above 0"),
        ("training", "seed", "-1", "at least 0"),
        ("model", "widths", "32 x", "whole number"),
        ("model", "widths", "32", "at least 2 values"),
        ("data", "axes", "QX", "'QX' must name each of its axes once"),
        ("data", "group_pattern", "(", "not a regular expression"),
    ],
)
def test_what_is_not_valid_is_explained_at_its_place(form, changes, group, name, text, words):
    rows = form.groups[group]
    editor = rows.editors[name]
    if hasattr(editor, "box"):
        editor.box.click()
    getattr(editor, "editor", editor).setText(text)
    assert rows.sentences[name].isVisible()
    assert words in rows.sentences[name].text()
    assert words in form.problem()
    assert "not valid" in form.parts[group].text()
    with pytest.raises(SettingsError, match=f"Setting '{name}"):
        form.value()
    assert changes
    form.defaults_button.click()
    assert not rows.sentences[name].isVisible()
    assert form.value() == {}


def test_settings_that_do_not_go_together_are_explained_below_their_group(form):
    rows = form.groups["prediction"]
    rows.editors["tile_size"].setValue(64)
    rows.editors["overlap"].setValue(60)
    assert "at most half the tile size" in rows.sentences[""].text()
    assert rows.sentences[""].isVisible()
    assert not rows.sentences["overlap"].isVisible()
    rows.editors["tile_size"].setValue(128)
    assert form.value() == {"prediction": {"tile_size": 128, "overlap": 60}}
    assert not rows.sentences[""].isVisible()


def test_changes_are_marked_counted_and_undone(form, changes):
    rows = form.groups["training"]
    assert not form.defaults_button.isEnabled()
    rows.editors["epochs"].setValue(7)
    rows.editors["flips"].setValue("off")
    assert rows.labels["epochs"].font().bold()
    assert not rows.labels["loss"].font().bold()
    assert form.parts["training"].text() == "Training · 2 changed"
    assert form.count_label.text() == "2 changed"
    before = len(changes)
    form.defaults_button.click()
    assert form.value() == {}
    assert not rows.labels["epochs"].font().bold()
    assert len(changes) == before + 1


def test_an_optional_setting_is_ticked(form, qtbot):
    editor = form.groups["model"].editors["widths"]
    assert editor.box.text() == "automatic"
    assert not editor.editor.isVisible()
    editor.box.click()
    assert form.value() == {}  # nothing was entered yet
    qtbot.keyClicks(editor.editor, "16, 32 64")
    assert form.value() == {"model": {"widths": (16, 32, 64)}}
    editor.box.click()
    assert form.value() == {}
    assert form.groups["data"].editors["group_pattern"].box.text() == "none"


def test_a_folder_is_chosen(form, monkeypatch, tmp_path):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    editor = form.groups["data"].editors["val"]
    editor.box.click()
    editor.editor.button.click()
    assert form.value() == {"data": {"val": tmp_path}}


def test_the_wheel_changes_only_a_field_that_was_clicked(form):
    editor = form.groups["training"].editors["epochs"]
    assert not editor.hasFocus()
    turned = wheel(editor)
    QApplication.sendEvent(editor, turned)
    assert editor.value() == 100
    assert not turned.isAccepted()


def test_limits_units_and_defaults_are_in_the_tooltips(form):
    rows = form.groups["training"]
    tip = rows.editors["patch_size"].toolTip()
    assert "At least 16, at most 2,048 pixels." in tip
    assert "Default: 64 pixels." in tip
    assert rows.labels["patch_size"].toolTip() == tip
    assert rows.labels["max_minutes"].text() == "Time limit (min)"
    assert "Default: automatic." in form.groups["model"].editors["widths"].toolTip()
