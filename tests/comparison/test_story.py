"""What a report says in words: for how long the models learnt, and what its terms mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_attnseg.comparison.asked import Asked
from napari_attnseg.comparison.record import Record
from napari_attnseg.comparison.report.glossary import terms
from napari_attnseg.comparison.report.story import story_of
from napari_attnseg.comparison.report.table_sections import cost_section
from napari_attnseg.comparison.results import ComparedModel, Results
from napari_attnseg.data.pairs import Pair
from tests.comparison.test_paired_statistics import model, results

SPLIT = tuple((Pair(Path(f"{name}.tif"), Path(f"{name}_MASK.tif")),) for name in "ab")


def told(training: dict[str, Any], recipes: dict[str, dict[str, Any]] | None = None) -> str:
    """Return what a report says first: what was compared, and for how long it was trained."""
    made = {name: {"training": values} for name, values in (recipes or {}).items()}
    asked = Asked(Path("data"), ("unet",), recipes=made, given={"training": training})
    assert len(SPLIT) == 2
    record = Record(asked, (SPLIT,), "")
    return story_of(record, results(*(model(name, {"b": 10}) for name in made or ["unet"]))).paragraphs[0]


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"epochs": 30}, ", for 30 epochs."),
        ({"epochs": 1}, ", for 1 epoch."),
        ({"epochs": 30, "patience": 2}, ", for at most 30 epochs, ending after 2 without gain."),
        ({"epochs": 30, "patience": 30}, ", for 30 epochs."),
        ({"epochs": 30, "max_minutes": 2.5}, ", for 2.5 minutes or 30 epochs, whichever came first."),
        (
            {"epochs": 30, "max_minutes": 3, "patience": 5},
            ", for at most 3 minutes or 30 epochs, ending after 5 without gain.",
        ),
    ],
)
def test_how_long_the_models_learnt(training: dict[str, Any], words: str) -> None:
    assert words in told(training)


def test_recipes_of_other_limits_are_told_one_by_one() -> None:
    recipes = {"ours": {"epochs": 100}, "theirs": {"epochs": 50, "patience": 20}}
    ours, theirs = "ours for 100 epochs", "theirs for at most 50 epochs, ending after 20 without gain."
    assert f", within limits of its own: {ours}; {theirs}" in told({}, recipes)
    text = told({"max_minutes": 3, "epochs": 40}, recipes)
    assert "ours for 3 minutes or 40 epochs, whichever came first; theirs for at most 3 minutes or 40 epochs" in text
    assert ", for 9 epochs. " in told({"epochs": 9}, recipes), "patience cannot end so few"


def test_settings_given_to_all_recipes_are_named() -> None:
    recipes: dict[str, dict[str, Any]] = {"ours": {}, "theirs": {"patch_size": 512}}
    assert told({"epochs": 2, "seed": 3}, recipes).endswith("All other settings are those of the recipes.")
    given = {"epochs": 2, "steps_per_epoch": 1, "patch_size": 64, "batch_size": 2}
    words = "given to all: steps per epoch 1, patch size 64, batch size 2."
    assert told(given, recipes).endswith(f"All other settings are those of the recipes, but for these, {words}")
    assert told({"optimiser": "sgd"}, recipes).endswith(", but for this one, given to all: optimiser sgd.")
    assert "recipes" not in told({**given, "optimiser": "sgd"})

    groups = {"data": {"normalisation": "dtype", "mask_suffix": "_m"}, "model": {"normalisation": "group"}}
    asked = Asked(Path("data"), ("unet",), recipes={name: {} for name in recipes}, given=groups)
    record = Record(asked, (SPLIT,), "")
    story = story_of(record, results(*(model(name, {"b": 10}) for name in recipes)))
    assert story.paragraphs[0].endswith("given to all: normalisation dtype, norm group."), "a suffix is no recipe's"
    assert dict(story.facts)["Settings given"] == "mask suffix _m; normalisation dtype; norm group"


def test_settings_that_changed_are_told_with_what_they_were() -> None:
    asked = Asked(Path("data"), ("unet",), given={"training": {"device": "auto", "precision": "float32"}})
    record = Record(asked, (SPLIT,), "", {"device": ["cpu", "cuda"], "precision": [None]})
    facts = dict(story_of(record, results(model("unet", {"b": 10}))).facts)
    assert facts["Settings given"] == "device auto (before cpu, then cuda); precision float32 (before not given)"


def test_one_and_several_images_and_groups_are_told_in_the_right_number() -> None:
    def held_out(*names: str, groups: dict[str, str] | None = None, val: str | None = None) -> str:
        given = {"data": {"group_pattern": "p", **({"val": val} if val else {})}}
        train = SPLIT[0]
        pairs = tuple(Pair(Path(f"{name}.tif"), Path(f"{name}_MASK.tif")) for name in names)
        models = [model(label, dict.fromkeys(names, 10), groups=groups) for label in "ab"]
        record = Record(Asked(Path("data"), given=given), ((train, pairs),), "")
        return story_of(record, results(*models, is_grouped=groups is not None)).paragraphs[1]

    one = held_out("b", groups={"b": "p1"})
    assert "the other one was held out, was never learnt from, and is what all scores below" in one
    assert "Images of one group (1 group was held out in all) stayed together." in one
    two = held_out("b", "c", groups={"b": "p1", "c": "p2"})
    assert "the other 2 were held out, were never learnt from, and are what all scores below" in two
    assert "Images of one group (2 groups were held out in all) stayed together." in two
    assert "; the 1 image in the folder apart was never learnt from, and is what" in held_out("b", val="apart")
    assert "group" not in held_out("b")


def on_devices(*devices: str) -> Results:
    (run,) = model("unet", {"x": 10}).runs
    runs = [replace(run, name=str(seed), seed=seed, device=device) for seed, device in enumerate(devices)]
    return results(ComparedModel("unet", tuple(replace(one, minutes=2.0, time_is_limited=True) for one in runs)))


def test_a_report_tells_what_was_computed_where() -> None:
    record = Record(Asked(Path("data"), ("unet",), repeats=3), (SPLIT,), "")
    one = on_devices("CPU, 2 threads, float32", "CPU, 2 threads, float32")
    assert not story_of(record, one).paragraphs[3]
    assert dict(story_of(record, one).facts)["Computed on"] == "CPU, 2 threads, float32"
    assert "Computed on" not in "".join(cost_section(one))
    both = on_devices("CPU, x", "GPU A, y", "CPU, x, then GPU A, y")
    told_of = "CPU, x (1 training); GPU A, y (1 training); CPU, x, then GPU A, y (1 training)"
    assert f"Not everything was computed alike: {told_of}." in story_of(record, both).paragraphs[3]
    assert dict(story_of(record, both).facts)["Computed on"] == told_of
    page = "".join(cost_section(both))
    assert all(f'<td class="text">{device}</td>' in page for device in both.devices)
    assert "its trainings moved" in page
    assert "its trainings moved" not in "".join(cost_section(on_devices("CPU, x", "GPU A, y")))


def test_the_interval_is_explained_as_it_is_worked_out() -> None:
    two = dict(terms(results(model("a", {"x": 10}), model("b", {"x": 20}))))["95 % interval"]
    assert "signed-rank test" in two
    assert "Hodges" in two
    assert "six" in two
    assert "bootstrap" not in two
    assert "drawn anew" not in two
    assert "Holm" not in two
    three = dict(terms(results(*(model(name, {"x": 10}) for name in "abc"))))["95 % interval"]
    assert "Holm" in three
