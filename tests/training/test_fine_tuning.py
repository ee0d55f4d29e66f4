"""Learning on from a model: what is concentrated on, what stays held out, what counts as better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from napari_attnseg.data.split import Roles, image_digest
from napari_attnseg.engine import fit
from napari_attnseg.errors import DataError
from napari_attnseg.events import Event, Notice, Started
from napari_attnseg.models.model_card import load_card
from napari_attnseg.models.model_file import load_model, save_model
from napari_attnseg.settings import (
    ModelSettings,
    RunSettings,
    TrainingSettings,
    fine_tuning,
    make,
    read_recipe,
    recipe_values,
    settings_from,
)
from napari_attnseg.training.planning import make_plan
from tests.conftest import TINY, MakeFolder, blobs


def learn(source: Path, run: Path, **values: Any) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    return fit(source, run, on_event=events.append, **{**TINY, **values}), events


def notices(events: list[Event]) -> str:
    return " ".join(event.message for event in events if isinstance(event, Notice))


def split_of(run: Path) -> tuple[set[str], set[str]]:
    split = json.loads((run / "run.json").read_text())["split"]
    train, held_out = ({Path(pair["image"]).stem for pair in split[side]} for side in ("train", "held_out"))
    return train, held_out


def add_images(folder: Path, count: int, classes: int = 1) -> list[Path]:
    """Put further pairs into a folder; return their images."""
    made = []
    for number in range(count):
        image, mask = blobs(5000 + number, classes=classes)
        made.append(folder / f"new{number}.tif")
        tifffile.imwrite(made[-1], image)
        tifffile.imwrite(folder / f"new{number}_MASK.tif", mask if classes > 1 else mask * 255)
    return made


def test_old_and_new_model_are_measured_on_the_same_unseen_images(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(5)
    first, _ = learn(source, tmp_path / "first", epochs=1)
    train, held_out = split_of(tmp_path / "first")
    assert (len(train), len(held_out)) == (4, 1)
    add_images(source, 5)
    second, events = learn(source, tmp_path / "second", init=first.folder.best, epochs=1, seed=9)
    train_later, held_out_later = split_of(tmp_path / "second")
    assert train < train_later
    assert held_out < held_out_later
    assert len(held_out_later) == 2  # 0.2 x 10
    assert "can be too good" not in notices(events)
    card = load_card(second.folder.last)
    expected = Roles.of(second_pairs(source, train_later), second_pairs(source, held_out_later))
    assert Roles.from_lists(card.training) == expected
    third, _ = learn(source, tmp_path / "third", init=second.folder.last, epochs=1, seed=11)
    assert split_of(tmp_path / "third") == (train_later, held_out_later)
    assert third.start_score is not None


def second_pairs(source: Path, stems: set[str]) -> list[Any]:
    from napari_attnseg.data.pairs import Pair

    return [Pair(source / f"{stem}.tif", None) for stem in stems]


def test_a_model_that_does_not_tell_what_it_has_seen(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(5)
    first, _ = learn(source, tmp_path / "first", epochs=1)
    model, card = load_model(first.folder.best)
    untold = {key: value for key, value in card.training.items() if key not in ("trained_on", "held_out_images")}
    save_model(tmp_path / "older.safetensors", model, card.model_copy(update={"training": untold}))
    plain, _ = learn(source, tmp_path / "plain", epochs=1, seed=3)
    _, events = learn(source, tmp_path / "run", init=tmp_path / "older.safetensors", epochs=1, seed=3)
    assert split_of(tmp_path / "run") == split_of(tmp_path / "plain")
    assert "may have been trained on images that are held out now" in notices(events)
    assert plain.start_score is None


def test_a_held_out_folder_that_was_trained_on_is_named(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, other = make_folder(4), make_folder(6, "other")
    first, _ = learn(source, tmp_path / "first", epochs=1)
    _, events = learn(other, tmp_path / "run", init=first.folder.best, val=source, epochs=1)
    assert "has been trained on images that are held out now" in notices(events)


def test_only_held_out_images_are_nothing_to_learn_from(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, apart = make_folder(3), tmp_path / "apart"
    apart.mkdir()
    for path in add_images(source, 2):
        for name in (path.name, f"{path.stem}_MASK.tif"):
            (source / name).rename(apart / name)
    first, _ = learn(source, tmp_path / "first", val=apart, epochs=1)
    with pytest.raises(DataError, match="All 2 annotated images were held out"):
        learn(apart, tmp_path / "run", init=first.folder.best)
    assert not (tmp_path / "run").exists()


def test_a_worse_model_is_not_used(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(6)
    first, _ = learn(source, tmp_path / "first", epochs=6, steps_per_epoch=15, learning_rate=0.02)
    assert first.improved
    assert first.start_score is None
    new = add_images(source, 2)
    spoilt, _ = learn(source, tmp_path / "spoilt", init=first.folder.best, learning_rate=1.0, epochs=1)
    assert not spoilt.improved
    assert spoilt.best_score == spoilt.start_score
    results = spoilt.to_json()
    assert results["best"] == str(tmp_path / "spoilt" / "best.safetensors")
    assert (results["epochs"], results["improved"]) == (1, False)
    expected, found = (load_model(run.folder.best)[0].state_dict() for run in (first, spoilt))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    # The file that is kept says what its weights have seen, which no new image is part of.
    kept = load_card(spoilt.folder.best)
    assert kept.training["trained_on"] == load_card(first.folder.best).training["trained_on"]
    assert not {image_digest(path) for path in new} & set(kept.training["trained_on"])
    assert kept.scores["score"] == pytest.approx(spoilt.start_score)


def test_a_better_model_says_so(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(6)
    first, _ = learn(source, tmp_path / "first", epochs=1, steps_per_epoch=1, learning_rate=1e-6)
    better, _ = learn(
        source, tmp_path / "better", init=first.folder.best, epochs=6, steps_per_epoch=15, learning_rate=0.02
    )
    assert better.improved
    assert better.best_score > better.start_score + 0.2


def test_focus_is_counted_written_and_resumed(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(5)
    first, _ = learn(source, tmp_path / "first", epochs=1)
    train, held_out = split_of(tmp_path / "first")
    focus = [source / f"{stem}.tif" for stem in (*sorted(train)[:2], *held_out)] + [source / "gone.tif"]
    values = {"init": first.folder.best, "max_minutes": 1000}  # or the learning rate would depend on the clock
    straight, events = learn(source, tmp_path / "straight", focus=focus, **values)
    started = next(event for event in events if isinstance(event, Started))
    assert started.details == {"run": str(tmp_path / "straight"), "images": 4, "held_out": 1, "focus": 2}
    assert "1 of the 4 images to concentrate on is held out" in notices(events)
    assert "gone.tif" in notices(events)
    order = json.loads((tmp_path / "straight" / "run.json").read_text())
    assert order["focus"] == [str(path.resolve()) for path in focus[:2]]

    count = {"asked": 0}

    def should_stop() -> bool:
        count["asked"] += 1
        return count["asked"] > 14

    stopped, _ = learn(source, tmp_path / "run", focus=focus, should_stop=should_stop, **values)
    assert stopped.was_stopped
    resumed, _ = learn(source, tmp_path / "run", resume=True)
    expected, found = (load_model(run.folder.last)[0].state_dict() for run in (straight, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert resumed.start_score == straight.start_score
    unfocused, _ = learn(source, tmp_path / "unfocused", **values)
    other = load_model(unfocused.folder.last)[0].state_dict()
    assert not all(torch.equal(other[name], found[name]) for name in found)


def test_settings_for_fine_tuning_are_used_unless_set(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(4)
    first, _ = learn(source, tmp_path / "first", epochs=1)
    focus = [source / "cell00.tif"]
    learn(source, tmp_path / "tuned", init=first.folder.best, focus=focus, epochs=1, learning_rate=1e-4)
    used = json.loads((tmp_path / "tuned" / "run.json").read_text())["settings"]["training"]
    suited = fine_tuning(RunSettings()).training
    assert used["learning_rate"] == 1e-4
    assert (used["ema"], used["warmup"]) == (suited.ema, suited.warmup)
    assert suited.max_minutes is not None
    assert suited.ema != TrainingSettings().ema
    learn(source, tmp_path / "untuned", init=first.folder.best, epochs=1)
    used = json.loads((tmp_path / "untuned" / "run.json").read_text())["settings"]["training"]
    assert used["max_minutes"] is None


def test_dropout_is_the_starting_models_unless_it_is_given(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(4)
    first, _ = learn(source, tmp_path / "first", epochs=1, dropout=0.25)

    def used(settings: RunSettings) -> float:
        return make_plan(source, settings, first.folder.best).settings.model.dropout

    assert used(RunSettings()) == used(settings_from({"epochs": 3, "widths": (4, 8)})) == 0.25
    assert used(settings_from({"dropout": 0})) == used(RunSettings(model=ModelSettings(dropout=0))) == 0
    assert used(fine_tuning(settings_from({"dropout": 0}))) == 0
    assert used(fine_tuning(settings_from({}))) == 0.25
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"settings": {"model": {"dropout": 0}}}))
    assert used(settings_from(recipe_values(mine))) == 0
    mine.write_text(json.dumps(read_recipe("default").to_json()))
    assert used(settings_from(recipe_values(mine))) == 0, "written out, and so asked for"
    # the viewer's order names all settings, whether or not the form was touched
    assert used(make(RunSettings, RunSettings().model_dump(mode="json"))) == 0.25
    assert used(make(RunSettings, settings_from({"dropout": 0.1}).model_dump(mode="json"))) == 0.1


CHANGES = {  # classes before and now, and what the user is told
    "more": (2, 3, "does not know class 3"),
    "fewer": (3, 2, "also knows class 3"),
    "several instead of one": (1, 2, "knows one class"),
    "one instead of several": (2, 1, "knows 3 classes with the background"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_classes_that_changed_since(make_folder: MakeFolder, tmp_path: Path, change: str) -> None:
    before, now, words = CHANGES[change]
    old = make_folder(4, "old", classes=before)
    new = make_folder(4, "new", classes=now)
    first, _ = learn(old, tmp_path / "first", epochs=1)
    result, events = learn(new, tmp_path / "run", init=first.folder.best, epochs=1)
    assert words in notices(events)
    assert load_card(result.folder.best).model.classes == (1 if now == 1 else now + 1)
    assert np.isfinite(result.best_score)
    # A model part of which begins anew has no score of its own; one that merely knows more has.
    assert (result.start_score is not None) == (change == "fewer")


def test_classes_that_changed_places_or_names(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(6, classes=2)

    def name_classes(*names: str) -> None:
        listed = [{"id": number, "name": name} for number, name in enumerate(("background", *names))]
        (source / "classes.json").write_text(json.dumps({"classes": listed}))

    name_classes("liver", "spleen")
    first, _ = learn(source, tmp_path / "first", epochs=8, steps_per_epoch=15, learning_rate=0.02)
    name_classes("liver", "milt")
    renamed, events = learn(source, tmp_path / "renamed", init=first.folder.best, epochs=1)
    assert "spleen is taken for milt" in notices(events)
    assert renamed.start_score == pytest.approx(first.best_score)
    name_classes("spleen", "liver")
    for path in source.glob("*_MASK.tif"):
        tifffile.imwrite(path, np.array([0, 2, 1], np.uint8)[tifffile.imread(path)])
    swapped, events = learn(source, tmp_path / "swapped", init=first.folder.best, epochs=1)
    assert "taken for" not in notices(events)
    assert swapped.start_score == pytest.approx(first.best_score), "each class found its own output again"
