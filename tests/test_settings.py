"""Settings: what is entered as an option is what the engine gets, and what cannot be gets one sentence."""

from __future__ import annotations

import argparse
import json
import math
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from napari_attnseg.cli.options import add_settings, given_settings
from napari_attnseg.errors import SettingsError
from napari_attnseg.settings import (
    DataSettings,
    ModelSettings,
    ObjectSettings,
    PredictionSettings,
    RunSettings,
    make,
    option_name,
    settings_from,
)

OTHER: dict[str, Any] = {  # a value that is not the default, where the type and the limits do not give one
    "mask_suffix": "_seg",
    "axes": "ZCYX",
    "group_pattern": r"^(patient\d+)",
    "val": Path("apart"),
    "widths": (8, 16, 32),
    "max_minutes": 2.5,
    "steps_per_epoch": 7,
    "image_memory": 4.5,
    "overlap": 32,
    "tile_size": 256,
    "batch_size": 3,
    "encoder_weights": "imagenet",
    "min_zoom": 0.75,
    "max_zoom": 1.5,
    "threshold": 0.3,
    "smoothing": 2.0,
}
GROUPS = {**RunSettings.groups(), "prediction": PredictionSettings, "objects": ObjectSettings}
ALONE: dict[str, type[BaseModel]] = {"prediction": PredictionSettings, "objects": ObjectSettings}
"""Those that are no part of a training's settings."""
FIELDS = [
    pytest.param(group, name, id=f"{group}-{name}")
    for group, kind in GROUPS.items()
    for name, info in kind.model_fields.items()
    if not (info.json_schema_extra or {}).get("derived")  # type: ignore[union-attr]
]


def limits(info: FieldInfo) -> dict[str, float]:
    return {
        name: getattr(item, name) for item in info.metadata for name in ("ge", "gt", "le", "lt") if hasattr(item, name)
    }


def another(name: str, info: FieldInfo) -> Any:
    """Return a valid value that is not the default."""
    default = info.default
    choices = typing.get_args(info.annotation) if typing.get_origin(info.annotation) is typing.Literal else ()
    if name in OTHER:
        return OTHER[name]
    if choices:
        return next(choice for choice in choices if choice != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 1
    bounds = limits(info)
    return (default + bounds.get("le", bounds.get("lt", 1))) / 2


def words(name: str, info: FieldInfo, value: Any) -> list[str]:
    option = "--" + option_name(name, info).replace("_", "-")
    if isinstance(value, bool):
        return [option if value else f"--no-{option[2:]}"]
    return [option, *map(str, value)] if isinstance(value, tuple) else [option, str(value)]


def parsed(kind: type[BaseModel], arguments: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_settings(parser, kind, "settings")
    return given_settings(parser.parse_args(arguments))


@pytest.mark.parametrize(("group", "name"), FIELDS)
def test_an_option_becomes_its_setting_and_comes_back_from_json(group: str, name: str) -> None:
    kind = GROUPS[group]
    info = kind.model_fields[name]
    value = another(name, info)
    assert value != info.default
    values = parsed(kind, words(name, info, value))
    assert list(values) == [option_name(name, info)]
    if group in ALONE:
        made: BaseModel = make(kind, values)
        again = kind.model_validate(json.loads(made.model_dump_json()))
    else:
        run = settings_from(values)
        made, again = getattr(run, group), getattr(RunSettings.model_validate(json.loads(run.model_dump_json())), group)
        untouched = [other for other in RunSettings.groups() if other != group]
        assert all(getattr(run, other) == GROUPS[other]() for other in untouched)
    assert getattr(made, name) == value
    assert again == made
    assert made == kind().model_copy(update={name: value})


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_not_given_is_the_default(group: str) -> None:
    assert parsed(GROUPS[group], []) == {}
    made = make(ALONE[group], {}) if group in ALONE else getattr(settings_from({}), group)
    assert made == GROUPS[group]()


def test_options_have_one_name_each() -> None:
    names = [
        option_name(name, info) for kind in RunSettings.groups().values() for name, info in kind.model_fields.items()
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("group", "name"), FIELDS)
def test_help_tells_the_default_the_unit_and_the_limits(group: str, name: str) -> None:
    kind = GROUPS[group]
    info = kind.model_fields[name]
    parser = argparse.ArgumentParser()
    add_settings(parser, kind, "settings")
    option = words(name, info, True)[0]
    text = next(action.help for action in parser._actions if option in action.option_strings) or ""
    assert (info.description or "missing") in text.replace("%%", "%")
    unit = (info.json_schema_extra or {}).get("unit", "")  # type: ignore[union-attr]
    assert str(unit) in text
    if info.default is not None:
        default = {True: "yes", False: "no"}.get(info.default) if isinstance(info.default, bool) else info.default
        assert f"default {default}" in text
    for bound in limits(info).values():
        assert f"{bound:g}" in text


@pytest.mark.parametrize(
    ("group", "name"), [field for field in FIELDS if limits(GROUPS[field.values[0]].model_fields[field.values[1]])]
)  # type: ignore[index]
def test_values_beyond_the_limits_get_one_sentence(group: str, name: str) -> None:
    info = GROUPS[group].model_fields[name]
    step = 1 if isinstance(info.default, int) else 1e-6
    beyond = {"ge": -step, "gt": 0, "le": step, "lt": 0}
    for kind, bound in limits(info).items():
        for value in (bound + beyond[kind], math.nan):
            with pytest.raises(SettingsError) as caught:
                make(GROUPS[group], {name: value})
            text = str(caught.value)
            assert text.startswith(f"Setting '{name}': ")
            assert text.endswith(".")
            assert "\n" not in text


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"axes": "YY"}, "axes"),
        ({"axes": "ZC"}, "Y and X"),
        ({"group_pattern": "("}, "regular expression"),
        ({"mask_suffix": ""}, "mask_suffix"),
        ({"widths": (8,)}, "'model > widths': it needs at least 2 values and has 1"),
        ({"widths": (8, 2)}, "4 to 2048"),
        ({"epochs": "many"}, "'training > epochs': it must be a whole number"),
        ({"epochs": 0}, "at least 1 .given: 0"),
        ({"min_zoom": 1.5, "max_zoom": 0.5}, "smallest zoom 1.5 is larger"),
        ({"loss": "nonsense"}, "loss"),
        ({"model": "nonsense"}, "name"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_nonsense_gets_one_sentence(values: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word) as caught:
        settings_from(values)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_settings_that_do_not_go_together_begin_with_what_is_wrong() -> None:
    with pytest.raises(SettingsError, match=r"^res_se_unet needs 5 widths"):
        make(ModelSettings, {"name": "res_se_unet", "widths": (8, 16)})


def test_axes_may_be_written_small() -> None:
    assert make(DataSettings, {"axes": "zyx"}).axes == "ZYX"


def test_a_derived_setting_is_no_option() -> None:
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parsed(ModelSettings, ["--in-channels", "3"])
