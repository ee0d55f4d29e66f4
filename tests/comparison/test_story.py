"""What a report says in words: for how long the models learnt, and what its terms mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_attnseg.comparison.asked import Asked
from napari_attnseg.comparison.record import Record
from napari_attnseg.comparison.report.glossary import terms
from napari_attnseg.comparison.report.story import story_of
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
