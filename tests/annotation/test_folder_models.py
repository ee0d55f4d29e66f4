"""The models of a folder: which is in use, going back, and the choices in words."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from napari_attnseg.annotation.folder.entries import ImageState
from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.annotation.trainings.folder_models import FolderModels, model_key
from napari_attnseg.annotation.trainings.model_choices import BUILT_IN, HERE, RECENT, ModelChoice, when_text
from napari_attnseg.annotation.trainings.recent_models import KEPT, recent_models, remember_model
from napari_attnseg.annotation.trainings.runs import new_run
from napari_attnseg.events import Finished
from tests.annotation.runs_on_disk import order_of, write_events, write_model
from tests.conftest import MakeFolder

NOW = datetime(2025, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(tmp_path / "user"))
    return tmp_path / "user"


@pytest.fixture
def root(make_folder: MakeFolder) -> Path:
    return make_folder(3)


def run_with_model(root: Path, name: str, f1: float = 0.88, *, improved: bool | None = None) -> Path:
    """Make an ended run of a given time; return its best model."""
    run = new_run(root, order_of(root, init=root / "start.safetensors" if improved is not None else None))
    run = run.rename(run.with_name(name))
    training = {"images": 41, "held_out": 8, "finished": "2025-03-01T10:00:00+00:00"}
    write_model(run / "best.safetensors", scores={"f1": f1, "score": f1, "jaccard": 0.8}, training=training)
    write_model(run / "last.safetensors", scores={"f1": f1 - 0.1, "score": f1 - 0.1}, training=training)
    results = {} if improved is None else {"improved": improved, "start_score": 0.8, "score": f1}
    write_events(run, Finished("Ended.", results))
    return run / "best.safetensors"


def own(models: FolderModels) -> list[ModelChoice]:
    """Return what can be chosen besides the models that come with the program."""
    return [choice for choice in models.choices(_local(NOW)) if choice.group != BUILT_IN]


# In use


def test_nothing_is_in_use_at_first(root: Path) -> None:
    models = FolderModels(open_folder(root))
    assert models.in_use is None
    assert models.problem is None
    assert models.before is None
    assert models.roll_back() is None


def test_the_model_in_use_is_remembered_also_when_the_folder_moves(root: Path, tmp_path: Path) -> None:
    first, second = run_with_model(root, "20250301-100000"), run_with_model(root, "20250301-110000")
    elsewhere = write_model(tmp_path / "elsewhere" / "m.safetensors")
    models = FolderModels(open_folder(root))
    for path in (first, elsewhere, second):
        models.use(path)
    models.save()
    moved = tmp_path / "moved"
    shutil.move(root, moved)
    again = FolderModels(open_folder(moved))
    assert again.in_use == moved / second.relative_to(root)
    assert again.roll_back() == elsewhere
    assert again.roll_back() == moved / first.relative_to(root)
    assert again.roll_back() is None
    assert again.in_use == moved / first.relative_to(root)


def test_using_the_same_model_again_is_no_change(root: Path) -> None:
    first, second = run_with_model(root, "20250301-100000"), run_with_model(root, "20250301-110000")
    models = FolderModels(open_folder(root))
    for path in (first, second, second):
        models.use(path)
    assert models.before == first
    assert models.roll_back() == first


def test_going_back_leaves_out_models_that_are_gone(root: Path) -> None:
    paths = [run_with_model(root, f"20250301-1{number}0000") for number in range(3)]
    models = FolderModels(open_folder(root))
    for path in paths:
        models.use(path)
    paths[1].unlink()
    assert models.roll_back() == paths[0]
    assert models.before is None


def test_after_going_back_another_model_can_be_used(root: Path) -> None:
    first, second, third = (run_with_model(root, f"20250301-1{number}0000") for number in range(3))
    models = FolderModels(open_folder(root))
    for path in (first, second):
        models.use(path)
    models.roll_back()
    models.use(third)
    assert models.roll_back() == first


def test_a_model_in_use_that_is_gone_or_damaged_is_said(root: Path) -> None:
    path = run_with_model(root, "20250301-100000")
    models = FolderModels(open_folder(root))
    models.use(path)
    path.write_bytes(b"12345")
    assert models.problem is not None
    assert "not a readable model file" in models.problem
    path.unlink()
    assert models.in_use is None
    assert models.problem is not None
    assert "no longer there" in models.problem


@pytest.mark.parametrize("content", ['{"model": 5, "models_used": 3}', '{"models_used": [1, "", null]}', "{"])
def test_a_damaged_state_names_no_model(content: str, root: Path) -> None:
    (root / ".attnseg").mkdir()
    (root / ".attnseg" / "folder.json").write_text(content)
    models = FolderModels(open_folder(root))
    assert models.in_use is None
    assert models.before is None


# Choices


def test_choices_say_when_how_good_and_from_how_many_images(root: Path) -> None:
    run_with_model(root, "20250301-101200")
    run_with_model(root, "20250302-101200", 0.9, improved=True)
    choices = own(FolderModels(open_folder(root)))
    labels = [choice.label for choice in choices]
    assert labels == ["today 10:12, F1 0.90, 41 images", "yesterday 10:12, F1 0.88, 41 images"]
    assert {choice.group for choice in choices} == {HERE}
    assert choices[0].tooltip.splitlines() == [
        "Finds: nucleus",
        "On 8 held-out images: F1 0.90, Jaccard 0.80",
        "Trained 2 Mar 2025, 10:12",
        str(choices[0].path),
    ]
    assert choices[0].details == "nucleus · F1 0.90, Jaccard 0.80 on 8 held-out images · trained today 10:12"


def test_of_a_training_without_gain_the_model_kept_aside_can_be_chosen(root: Path) -> None:
    best = run_with_model(root, "20250302-101200", 0.8, improved=False)
    choice = own(FolderModels(open_folder(root)))[0]
    assert choice.path == best.with_name("last.safetensors")
    assert choice.label == "today 10:12, F1 0.70, 41 images, not better than the one before: kept aside"


def test_a_training_without_a_model_is_no_choice(root: Path) -> None:
    new_run(root, order_of(root))
    run_with_model(root, "20250302-101200").unlink()
    run_with_model(root, "20250302-101300", improved=False).with_name("last.safetensors").unlink()
    assert own(FolderModels(open_folder(root))) == []


def test_models_of_other_folders_are_recent(root: Path, make_folder: MakeFolder) -> None:
    other = make_folder(1, "other cells")
    models = FolderModels(open_folder(other))
    models.use(run_with_model(other, "20250301-101200"))
    models.save()
    mine = run_with_model(root, "20250302-101200")
    choices = own(FolderModels(open_folder(root)))
    assert [choice.group for choice in choices] == [HERE, RECENT]
    assert choices[0].path == mine
    assert choices[1].label.startswith("other cells: yesterday ")
    assert [choice.group for choice in own(models)] == [HERE]


def test_a_chosen_file_is_listed_first_of_the_others_and_gone_ones_are_left_out(root: Path, tmp_path: Path) -> None:
    names = [f"{name}.safetensors" for name in ("gone", "damaged", "good", "chosen")]
    gone, damaged, good, chosen = (write_model(tmp_path / "models" / name) for name in names)
    for path in (gone, damaged, good):
        remember_model(path)
    gone.unlink()
    damaged.write_bytes(b"no model")
    models = FolderModels(open_folder(root))
    models.use(chosen)
    choices = own(models)
    assert [choice.path for choice in choices] == [chosen, good, damaged]
    assert choices[0].label == "chosen: not measured"
    assert [choice.problem is None for choice in choices] == [True, True, False]
    assert "not a readable model file" in choices[2].tooltip


def test_recent_models_are_few_and_each_is_there_once(tmp_path: Path, user_folder: Path) -> None:
    assert recent_models() == []
    for number in range(KEPT + 3):
        remember_model(tmp_path / f"{number}.safetensors")
    remember_model(tmp_path / "5.safetensors")
    found = [path.stem for path in recent_models()]
    assert found[:3] == ["5", "14", "13"]
    assert len(found) == len(set(found)) == KEPT
    for content in ("[", "[]", '{"models": 3}', '{"models": [1, ""]}'):
        (user_folder / "recent_models.json").write_text(content)
        assert recent_models() == []


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (datetime(2025, 3, 2, 9, 5, tzinfo=UTC), "today 09:05"),
        (datetime(2025, 3, 1, 23, 59, tzinfo=UTC), "yesterday 23:59"),
        (datetime(2025, 2, 28, 1, 0, tzinfo=UTC), "28 Feb 01:00"),
        (datetime(2024, 12, 31, 1, 0, tzinfo=UTC), "31 Dec 2024"),
    ],
)
def test_times_in_words(when: datetime, text: str) -> None:
    assert when_text(when, NOW) == text


def test_a_replaced_model_has_another_key(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.safetensors")
    key = model_key(path)
    assert key == model_key(path) != ""
    write_model(path, scores={"f1": 0.5})
    assert model_key(path) not in ("", key)
    path.unlink()
    assert model_key(path) == ""


# What a folder remembers besides


def test_masks_saved_while_a_training_ran_count_as_edited(root: Path) -> None:
    folder = open_folder(root)
    first, second, third = (root / f"cell0{number}.tif" for number in range(3))
    for image in (first, second):
        folder.note_saved(image, image.with_name(f"{image.stem}_MASK.tif"))
    folder.state.edited["cell00.tif"] = 1000.0
    folder.state.edited["cell01.tif"] = 2000.0
    assert folder.edited_since_training() == [first, second]
    folder.note_trained(1500.0)
    assert folder.edited_since_training() == [second]
    folder.save()
    again = open_folder(root)
    assert again.last_training == 1500.0
    assert again.edited_since_training() == [second]
    assert again.entry(first).state == ImageState.HAS_MASK
    folder.note_trained()
    assert folder.edited_since_training() == []
    assert third in [pair.image for pair in folder.pairs]


def test_how_unsure_a_model_is_of_images_is_remembered(root: Path) -> None:
    (root / "cell02_MASK.tif").unlink()
    folder = open_folder(root)
    assert folder.entry(root / "cell00.tif").unsure is None
    folder.note_unsure(root / "cell00.tif", 0.621, "model 1")
    folder.note_unsure(root / "cell01.tif", 1.7, "model 2")
    folder.save_uncertainty()
    again = open_folder(root)
    entries = {entry.name: entry for entry in again.entries()}
    assert (entries["cell00.tif"].unsure, entries["cell00.tif"].note) == (0.621, "unsure 62 %")
    assert (entries["cell01.tif"].unsure, entries["cell01.tif"].note) == (1.0, "unsure 100 %")
    assert (entries["cell02.tif"].unsure, entries["cell02.tif"].note) == (None, "")
    assert again.without_uncertainty("model 1") == [root / "cell02.tif", root / "cell01.tif"]


@pytest.mark.parametrize("content", ["{", "[]", '{"cell00.tif": 3, "cell01.tif": [true, "a"], "cell02.tif": ["a", 1]}'])
def test_damaged_uncertainties_are_none(content: str, root: Path) -> None:
    (root / ".attnseg").mkdir()
    (root / ".attnseg" / "uncertainty.json").write_text(content)
    assert all(entry.unsure is None for entry in open_folder(root).entries())


def test_a_saved_mask_is_read_again(root: Path) -> None:
    folder = open_folder(root)
    document = folder.document(root / "cell00.tif")
    before = folder.mask_values(root / "cell00.tif")
    assert before is not None
    document.labels[:] = 0
    document.touch()
    document.save()
    folder.note_saved(document.image, document.mask_path)
    convention = folder.convention
    folder.survey(decide=False)
    found = folder.mask_values(root / "cell00.tif")
    assert found is not None
    assert found.is_empty
    assert not before.is_empty
    assert folder.convention is convention


def test_a_folder_state_is_readable_by_people(root: Path) -> None:
    models = FolderModels(open_folder(root))
    models.use(run_with_model(root, "20250301-100000"))
    models.save()
    state = json.loads((root / ".attnseg" / "folder.json").read_text(encoding="utf-8"))
    assert state["model"] == "attnseg_runs/20250301-100000/best.safetensors"
    assert (root / ".attnseg" / "README.txt").exists()


def _local(when: datetime) -> datetime:
    """Return the same reading of the clock where the tests run, as run folders are named by the local time."""
    return when.replace(tzinfo=None).astimezone()
