"""What a training would be, before it starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.folder.folder import AnnotationFolder, open_folder
from napari_attnseg.annotation.trainings.facts import TrainingFacts, training_facts
from napari_attnseg.annotation.trainings.runs import TrainingOrder, new_run
from napari_attnseg.data.pairs import Pair, find_pairs
from napari_attnseg.data.split import Roles
from napari_attnseg.events import Progress
from napari_attnseg.models.model_card import load_card
from napari_attnseg.settings import RunSettings
from napari_attnseg.training.planning import make_plan
from tests.annotation.runs_on_disk import write_events, write_model
from tests.conftest import MakeFolder


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(tmp_path / "user"))
    return tmp_path / "user"


def settings_of(**groups: dict[str, Any]) -> RunSettings:
    return RunSettings.model_validate(groups)


def facts_of(root: Path, settings: RunSettings | None = None, **more: Any) -> TrainingFacts:
    return training_facts(open_folder(root), settings or RunSettings(), **more)


def empty(mask: Path) -> None:
    tifffile.imwrite(mask, np.zeros((48, 40), np.uint8))


def test_what_there_is_to_learn_from(make_folder: MakeFolder) -> None:
    facts = facts_of(make_folder(10))
    assert facts.can_train
    assert (facts.masks, facts.trained_on, facts.held_out, facts.edited) == (10, 8, 2, 0)
    assert (facts.size, facts.pixels) == ("48 x 40", 10 * 48 * 40)
    assert facts.warnings == ()
    assert facts.text.startswith("10 masks, 2 held out · 48 x 40 pixels · about ")


def test_stopped_while_most_masks_are_unread(make_folder: MakeFolder) -> None:
    root = make_folder(20)
    assert facts_of(root, should_stop=lambda: True).masks < 20, "of no use, and no error"


def test_planes_of_stacks_and_several_sizes(make_folder: MakeFolder) -> None:
    root = make_folder(2, planes=3)
    tifffile.imwrite(root / "large.tif", np.zeros((100, 50), np.uint8))
    tifffile.imwrite(root / "large_MASK.tif", np.full((100, 50), 255, np.uint8))
    facts = facts_of(root)
    assert facts.size == "48 x 40 to 100 x 50"
    assert facts.pixels == 2 * 3 * 48 * 40 + 5000


@pytest.mark.parametrize("count", [2, 3, 7, 11])
def test_the_numbers_are_those_of_the_training(count: int, make_folder: MakeFolder) -> None:
    root = make_folder(count)
    settings = settings_of(data={"val_fraction": 0.3}, training={"device": "cpu"})
    facts, plan = facts_of(root, settings), make_plan(root, settings)
    assert (facts.trained_on, facts.held_out) == (len(plan.train), len(plan.held_out))


def test_images_keep_the_roles_that_they_had_for_the_starting_model(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(6)
    pairs = find_pairs(root).pairs
    roles = Roles.of(pairs[:1], pairs[1:5])
    init = write_model(tmp_path / "m.safetensors", training=roles.to_lists())
    assert facts_of(root, init_card=load_card(init)).held_out == 4
    everything = write_model(tmp_path / "n.safetensors", training=Roles.of((), pairs).to_lists())
    facts = facts_of(root, init_card=load_card(everything))
    assert not facts.can_train
    assert facts.problem is not None
    assert "held out when the starting model was trained" in facts.problem


def test_held_out_images_of_a_folder_of_their_own(make_folder: MakeFolder) -> None:
    root, other = make_folder(3), make_folder(2, "other")
    facts = facts_of(root, settings_of(data={"val": other}))
    assert (facts.trained_on, facts.held_out) == (3, 2)
    facts = facts_of(root, settings_of(data={"val": other / "nowhere"}))
    assert facts.problem is not None
    assert "nowhere" in facts.problem


# What is in the way


def test_no_masks(make_folder: MakeFolder) -> None:
    root = make_folder(2)
    for number in range(2):
        (root / f"cell0{number}_MASK.tif").unlink()
    facts = facts_of(root)
    assert facts.problem is not None
    assert facts.problem.startswith("No image has a mask yet")
    assert facts.text == "No masks yet"
    assert facts.minutes is None


def test_no_images(tmp_path: Path) -> None:
    problem = facts_of(tmp_path).problem
    assert problem is not None
    assert "no TIFF images" in problem


def test_one_mask_can_be_learnt_from_but_tells_nothing(make_folder: MakeFolder) -> None:
    facts = facts_of(make_folder(1))
    assert facts.can_train
    assert (facts.trained_on, facts.held_out) == (1, 0)
    assert facts.text.startswith("1 mask, none held out")
    assert facts.warnings[0].startswith("Only one image has a mask")


def test_nothing_held_out_by_choice(make_folder: MakeFolder) -> None:
    facts = facts_of(make_folder(3), settings_of(data={"val_fraction": 0}))
    assert facts.warnings == (
        "No image is held out, so nothing will tell how good the model is on images that it has not seen.",
    )


@pytest.mark.parametrize(("count", "start"), [(1, "The only mask is empty"), (3, "All 3 masks are empty")])
def test_empty_masks(count: int, start: str, make_folder: MakeFolder) -> None:
    root = make_folder(count)
    for number in range(count):
        empty(root / f"cell0{number}_MASK.tif")
    problem = facts_of(root).problem
    assert problem is not None
    assert problem.startswith(start)


def test_a_damaged_mask_is_named(make_folder: MakeFolder) -> None:
    root = make_folder(3)
    (root / "cell01_MASK.tif").write_bytes(b"II*\0 cut off")
    facts = facts_of(root)
    assert facts.problem is not None
    assert "cell01_MASK.tif" in facts.problem
    assert facts.masks == 2


def test_masks_that_contradict_each_other_are_said(make_folder: MakeFolder) -> None:
    root = make_folder(2)
    for number, value in enumerate((3, 91)):
        tifffile.imwrite(root / f"cell0{number}_MASK.tif", np.where(np.eye(48, 40) > 0, value, 0).astype(np.uint8))
    folder = open_folder(root)
    problem = training_facts(folder, RunSettings()).problem
    assert problem is not None
    assert "cell00_MASK.tif" in problem
    shutil.copyfile(root / "cell00_MASK.tif", root / "cell01_MASK.tif")  # mended by another program
    assert training_facts(folder, RunSettings()).problem is None


def test_names_that_leave_open_what_belongs_together(make_folder: MakeFolder) -> None:
    root = make_folder(1)
    (root / "cell00_MASK.TIFF").write_bytes((root / "cell00_MASK.tif").read_bytes())
    problem = facts_of(root).problem
    assert problem is not None
    assert "has 2 masks" in problem


def test_a_group_pattern_that_matches_nothing(make_folder: MakeFolder) -> None:
    problem = facts_of(make_folder(3), settings_of(data={"group_pattern": "patient(.)"})).problem
    assert problem is not None
    assert "patient(.)" in problem


# Since the last training


def saved(folder: AnnotationFolder, image: Path) -> None:
    mask = image.with_name(f"{image.stem}_MASK.tif")
    tifffile.imwrite(mask, np.full((48, 40), 255, np.uint8))
    folder.note_saved(image, mask)


def test_masks_that_were_saved_since_count(make_folder: MakeFolder) -> None:
    root = make_folder(4)
    (root / "cell03_MASK.tif").unlink()
    empty(root / "cell00_MASK.tif")
    folder = open_folder(root)
    folder.note_trained(5.0)
    saved(folder, root / "cell03.tif")
    saved(folder, root / "cell00.tif")
    facts = training_facts(folder, RunSettings())
    assert (facts.masks, facts.edited) == (4, 2)
    assert "2 edited since the last training" in facts.text


def test_images_from_elsewhere_are_not_trained_on(make_folder: MakeFolder) -> None:
    folder = open_folder(make_folder(3))
    other = make_folder(1, "other") / "cell00.tif"
    folder.add(Pair(other, other.with_name("cell00_MASK.tif")))
    assert training_facts(folder, RunSettings()).masks == 3


CHANGES: list[Any] = [
    (("background", "nucleus"), 1, None),
    (("background", "a", "b"), 1, "all classes are learnt anew"),
    (("background", "foreground"), 3, "all classes are learnt anew"),
    (("background", "class 1", "class 2", "class 3"), 3, None),
    (("background", "class 2", "CLASS 1", "class 3"), 3, None),
    (("background", "class 1", "class 2"), 3, "(new: class 3)"),
    (("background", "class 1", "class 2", "liver"), 3, "(new: class 3; no longer there: liver)"),
    (("background", "class 1", "class 2", "class 3", "liver"), 3, "(no longer there: liver)"),
]


@pytest.mark.parametrize(("names", "classes", "expected"), CHANGES)
def test_classes_that_changed_are_said(
    names: tuple[str, ...], classes: int, expected: str | None, make_folder: MakeFolder, tmp_path: Path
) -> None:
    init = write_model(tmp_path / "m.safetensors", names)
    facts = facts_of(make_folder(3, classes=classes), init_card=load_card(init))
    assert facts.can_train
    if expected is None:
        assert facts.classes_changed is None
        assert facts.warnings == ()
    else:
        assert facts.classes_changed is not None
        assert expected in facts.classes_changed
        assert facts.warnings == (facts.classes_changed,)


# How long


def test_the_time_is_that_of_earlier_trainings(make_folder: MakeFolder) -> None:
    root = make_folder(5)
    training = {"epochs": 10, "steps_per_epoch": 30, "patch_size": 32, "batch_size": 4}
    settings = settings_of(training=training)
    assert not facts_of(root, settings).is_measured
    run = new_run(root, TrainingOrder(root, settings_of(training={"patch_size": 64})))
    write_events(run, Progress(0.5, images_per_second=25.0))
    facts = facts_of(root, settings)
    assert facts.is_measured
    pixels = 10 * (30 * 4 * 32 * 32 + 48 * 40 / 3)  # ten epochs; the one held-out image costs a third
    assert facts.minutes == pytest.approx(pixels / (25 * 64 * 64) / 60)


def test_a_time_limit_is_the_longest(make_folder: MakeFolder) -> None:
    root = make_folder(3)
    facts = facts_of(root, settings_of(training={"epochs": 100_000, "max_minutes": 5}))
    assert facts.minutes == 5
    assert facts.text.endswith("about 5 minutes at a guess")
    short = facts_of(root, settings_of(training={"epochs": 1}))
    assert short.minutes is not None
    assert short.minutes < 1
    assert "seconds" in short.text
    fast = facts_of(root, settings_of(training={"epochs": 1}), device="gpu")
    assert fast.minutes is not None
    assert fast.minutes < short.minutes


@pytest.mark.parametrize("content", ["{", '{"settings": 3}', '{"settings": {"training": {"patch_size": "a"}}}'])
def test_a_damaged_training_tells_no_speed(content: str, make_folder: MakeFolder) -> None:
    root = make_folder(3)
    good = new_run(root, TrainingOrder(root, RunSettings()))
    bad = new_run(root, TrainingOrder(root, RunSettings()))
    for run in (good, bad):
        write_events(run, Progress(0.5, images_per_second=25.0))
    assert json.loads((bad / "run.json").read_text(encoding="utf-8"))["settings"]
    (bad / "run.json").write_text(content)
    assert facts_of(root).is_measured
    (good / "events.jsonl").unlink()
    assert not facts_of(root).is_measured
