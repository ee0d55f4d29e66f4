"""Recipes: those of the package, a user's own, and a run done again; from the settings to a finished training."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from napari_attnseg.cli import main
from napari_attnseg.engine import fit
from napari_attnseg.errors import SettingsError
from napari_attnseg.settings import (
    DataSettings,
    RunSettings,
    load_recipe,
    make,
    option_name,
    read_recipe,
    recipe_names,
    recipe_values,
)
from napari_attnseg.settings.declared import extra
from napari_attnseg.settings.recipes import OF_THE_DATA
from tests.conftest import TINY, MakeFolder

REFERENCES = ("chaos-report", "dsb-report", "lgg-library", "niblic")
SMALL = ["--widths", "8", "16", "--patch-size", "32", "--batch-size", "4", "--steps-per-epoch", "2", "--epochs", "1"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process and gives exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def used(run: Path, group: str = "training") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())["settings"][group]
    return found


def write(path: Path, settings: Any, **more: Any) -> Path:
    path.write_text(json.dumps({"settings": settings, **more}))
    return path


def test_the_names_are_the_files() -> None:
    folder = files("napari_attnseg.settings") / "recipe-files"
    assert recipe_names() == ("default", *REFERENCES)
    assert {f"{name}.json" for name in recipe_names()} == {item.name for item in folder.iterdir()}


@pytest.mark.parametrize("name", ["default", *REFERENCES])
def test_a_recipe_says_what_it_is_and_survives_being_written_out(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.summary.endswith(".")
    assert 20 < len(recipe.summary) < 150
    whole = make(RunSettings, recipe.settings)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(recipe.to_json()))
    again = read_recipe(path)
    assert (again.about, again.source) == (recipe.about, recipe.source)
    assert make(RunSettings, again.settings) == whole
    written = recipe.to_json()["settings"]
    for group, kind in RunSettings.groups().items():
        assert set(written[group]) == {key for key, info in kind.model_fields.items() if not extra(info).get("derived")}


def test_ours_are_the_defaults() -> None:
    assert make(RunSettings, load_recipe("default")) == RunSettings()
    assert recipe_values("default") == {}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_says_where_it_is_from_and_leaves_nothing_of_ours_to_chance(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.source.startswith("https://")
    for words in ("From the re", "Not known: ", "Different on purpose: "):
        assert words in recipe.about
    asked = {"loss", "epochs", "patch_size", "batch_size", "optimiser", "learning_rate", "schedule", "warmup", "ema"}
    asked |= {"augmentation", "flips", "foreground", "patience"}
    assert asked <= set(recipe.settings["training"])
    assert {"name", "widths", "normalisation", "upsampling"} <= set(recipe.settings["model"])
    assert recipe.settings["training"]["optimiser"] == "adam"


def test_what_the_references_are_known_for() -> None:
    niblic, chaos, dsb, lgg = (make(RunSettings, load_recipe(name)) for name in ("niblic", *REFERENCES[:3]))
    assert (niblic.training.loss, niblic.training.patch_size, niblic.training.learning_rate) == ("dice", 512, 1e-3)
    assert niblic.model.levels == (32, 64, 128, 256, 512)
    assert (chaos.training.loss, chaos.training.class_weights) == ("bce", "inverse")
    assert (dsb.training.schedule, dsb.training.patience, dsb.training.patch_size) == ("plateau", 20, 256)
    assert (lgg.training.loss, lgg.training.focal_share, lgg.training.plateau_factor) == ("dice_focal", 0.25, 0.2)


def test_single_names_are_those_of_options() -> None:
    values = recipe_values("niblic")
    assert (values["model"], values["norm"], values["normalisation"]) == ("attention_se_unet", "batch", "dtype")
    options = {
        option_name(name, info) for kind in RunSettings.groups().values() for name, info in kind.model_fields.items()
    }
    assert set(values) <= options


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "cannot be read"),
        ("[]", "is no recipe"),
        ('{"training": {"epochs": 3}}', "is no recipe"),
        ('{"settings": {"training": 3}}', "is no recipe"),
        ('{"settings": {"training": {"epochs": 0}}}', "epochs"),
        ('{"settings": {"training": {"epoch": 3}}}', "epoch"),
        ('{"settings": {"trainings": {}}}', "trainings"),
        ("\xff", "cannot be read"),
    ],
)
def test_a_bad_recipe_gets_one_sentence_with_its_name(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match=word) as caught:
        load_recipe(path)
    assert "mine.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_an_editor_of_windows_wrote(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"settings": {"training": {"epochs": 3}}}', encoding="utf-8-sig")
    assert load_recipe(path) == {"training": {"epochs": 3}}
    folder = tmp_path / "folder.json"
    folder.mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        load_recipe(folder)


def test_an_unknown_recipe_lists_the_known(tmp_path: Path, run: Run, make_folder: MakeFolder) -> None:
    for command in (
        ["recipes", "niblick"],
        ["train", make_folder(2), "--run", tmp_path / "run", "--recipe", "niblick"],
    ):
        code, _, error = run(*command)
        assert code == 1
        assert error.count("\n") == 1
        assert all(name in error for name in ("niblick", *recipe_names()))
    assert not (tmp_path / "run").exists()


def test_the_command_lists_them_and_prints_one(run: Run) -> None:
    code, output, _ = run("recipes")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == list(recipe_names())
    code, output, _ = run("recipes", "dsb-report")
    assert code == 0
    assert json.loads(output) == json.loads(json.dumps(read_recipe("dsb-report").to_json()))


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_trains_with_single_options_before_its_own(
    make_folder: MakeFolder, tmp_path: Path, run: Run, name: str
) -> None:
    source = make_folder(3, classes=4) if name == "chaos-report" else make_folder(3)
    code, output, _ = run("train", source, "--run", tmp_path / "run", "--recipe", name, *SMALL)
    assert code == 0, output
    training, recipe = used(tmp_path / "run"), load_recipe(name)
    own = {"patch_size", "batch_size", "epochs"}
    assert {key: training[key] for key in recipe["training"] if key not in own} == {
        key: value for key, value in recipe["training"].items() if key not in own
    }
    assert (training["patch_size"], training["epochs"]) == (32, 1)
    model = used(tmp_path / "run", "model")
    assert (model["name"], model["widths"]) == (recipe["model"]["name"], [8, 16])


def test_a_run_is_done_again_and_resumed_with_its_recipe(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(3)
    recipe = write(tmp_path / "mine.json", {"training": {"loss": "focal", "epochs": 1}, "model": {"widths": None}})
    first = fit(source, tmp_path / "first", recipe=recipe, **{**TINY, "epochs": 1})
    assert first.epochs == 1
    longer = fit(source, tmp_path / "first", recipe=recipe, resume=True, epochs=2)
    assert longer.epochs == 2
    again = fit(source, tmp_path / "again", recipe=tmp_path / "first" / "run.json", epochs=1)
    assert used(again.folder.path) == {**used(tmp_path / "first"), "loss": "focal", "epochs": 1}
    assert used(again.folder.path, "model") == used(tmp_path / "first", "model")
    other = write(tmp_path / "other.json", {"training": {"loss": "dice"}})
    with pytest.raises(SettingsError, match="loss dice needs a new run"):
        fit(source, tmp_path / "first", recipe=other, resume=True)


def test_what_the_data_decides_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    """As in the run.json of a run on four classes and three channels, whose settings suit other images as well."""
    model = RunSettings().model.model_copy(update={"classes": 5, "in_channels": 3, "dropout": 0.25})
    path = write(tmp_path / "run.json", RunSettings(model=model).model_dump(mode="json"), source="/data", split={})
    again = make(RunSettings, load_recipe(path)).model
    assert (again.classes, again.in_channels, again.dropout) == (1, 1, 0.25)


def test_a_run_as_a_recipe_leaves_its_own_images_behind(make_folder: MakeFolder, tmp_path: Path, run: Run) -> None:
    first, apart = make_folder(3, "first", suffix="_seg"), make_folder(2, "apart", suffix="_seg")
    own = {"mask_suffix": "_seg", "val": apart, "axes": "YX", "mask_values": "binary", "val_fraction": 0.5}
    own |= {"group_pattern": "cell(.*)"}
    fit(first, tmp_path / "run", **TINY | {"epochs": 1}, **own, normalisation="minmax")
    assert set(own) == set(OF_THE_DATA)
    recipe = load_recipe(tmp_path / "run" / "run.json")
    assert not set(recipe["data"]) & set(OF_THE_DATA)
    other = make_folder(4, "other")
    assert run("train", other, "--run", tmp_path / "again", "--recipe", tmp_path / "run" / "run.json")[0] == 0
    values = json.loads((tmp_path / "again" / "run.json").read_text())
    data = values["settings"]["data"]
    assert {name: data[name] for name in OF_THE_DATA} == json.loads(
        DataSettings().model_dump_json(include=set(OF_THE_DATA))
    )
    assert data["normalisation"] == "minmax"
    assert all(Path(pair["image"]).parent == other.resolve() for side in values["split"].values() for pair in side)


def test_a_recipe_of_ones_own_may_say_how_masks_are_named(tmp_path: Path) -> None:
    own = {"mask_suffix": "_seg", "group_pattern": "(.*)_", "val_fraction": 0.1}
    assert load_recipe(write(tmp_path / "mine.json", {"data": own}))["data"] == own
    order = RunSettings(data=DataSettings(**own)).model_dump(mode="json")
    ordered = write(tmp_path / "run.json", order, source="/data", init=None, focus=[])  # by the viewer, not begun yet
    assert not set(load_recipe(ordered)["data"]) & set(own)


def test_fine_tuning_with_a_recipe_keeps_what_the_recipe_sets(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(4)
    first = fit(source, tmp_path / "first", **TINY | {"epochs": 1})
    recipe = write(tmp_path / "mine.json", {"training": {"schedule": "constant", "warmup": 0, "steps_per_epoch": 2}})
    fit(
        source,
        tmp_path / "tuned",
        init=first.folder.best,
        focus=[source / "cell00.tif"],
        recipe=recipe,
        **{"epochs": 1, "patch_size": 32, "batch_size": 4, "device": "cpu"},
    )
    training = used(tmp_path / "tuned")
    assert (training["schedule"], training["warmup"], training["steps_per_epoch"]) == ("constant", 0, 2)
    assert training["max_minutes"] is not None


def test_a_recipe_beside_whole_settings_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'niblic' has no effect"):
        fit(make_folder(2), tmp_path / "run", recipe="niblic", settings=RunSettings())
    assert not (tmp_path / "run").exists()
