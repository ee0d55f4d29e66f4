"""The models that come with the program among those of a folder: where they stand, and whether they fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.annotation.trainings.adoption import adopt
from napari_attnseg.annotation.trainings.folder_models import FolderModels
from napari_attnseg.annotation.trainings.model_choices import BUILT_IN, RECENT, ModelChoice
from napari_attnseg.annotation.trainings.recent_models import recent_models
from napari_attnseg.annotation.trainings.run_history import read_record
from napari_attnseg.annotation.trainings.runs import new_run
from napari_attnseg.events import Finished
from napari_attnseg.models import starter_models as starters
from napari_attnseg.models.starter_models import model_path
from tests.annotation.runs_on_disk import order_of, write_events, write_model
from tests.conftest import MakeFolder


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(tmp_path / "user"))


def nuclei(root: Path) -> ModelChoice:
    """Return the built-in model as it is offered for a folder."""
    first = FolderModels(open_folder(root)).choices()[0]
    assert (first.label, first.group) == ("nuclei (built in)", BUILT_IN)
    return first


def write_classes(root: Path, *names: str) -> None:
    classes = {"0": "background"} | {str(number): name for number, name in enumerate(names, start=1)}
    (root / "classes.json").write_text(json.dumps(classes))


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_first_and_for_grey_and_rgb_images(channels: int, make_folder: MakeFolder) -> None:
    choice = nuclei(make_folder(2, channels=channels))
    assert choice.mismatch == ""
    assert choice.problem is None
    assert "Finds cell nuclei" in choice.tooltip
    assert "of its own data" in choice.details, "a score on other images is not taken for one on these"


def test_it_is_not_for_images_of_two_channels(make_folder: MakeFolder) -> None:
    root = make_folder(1)
    tifffile.imwrite(root / "cell00.tif", np.zeros((2, 48, 40), np.uint8), metadata={"axes": "CYX"}, ome=True)
    choice = nuclei(root)
    assert choice.mismatch == "It was made for RGB or grey images, and cell00.tif has 2 channels."
    assert choice.tooltip.startswith(choice.mismatch)


def test_it_is_not_for_several_classes(make_folder: MakeFolder) -> None:
    root = make_folder(3, classes=2)
    write_classes(root, "liver", "spleen")
    assert nuclei(root).mismatch == "It finds nucleus alone, and the masks here have liver, spleen."


@pytest.mark.parametrize(
    ("name", "fits"), [("nuclei", True), ("Nucleus", True), ("foreground", True), ("mitochondrion", False)]
)
def test_the_name_of_the_only_class_tells_what_is_annotated(name: str, fits: bool, make_folder: MakeFolder) -> None:
    root = make_folder(2)
    write_classes(root, name)
    assert (nuclei(root).mismatch == "") is fits


def test_a_folder_without_images_or_with_damaged_ones_offers_it_too(make_folder: MakeFolder) -> None:
    root = make_folder(1)
    (root / "cell00.tif").write_bytes(b"no image")
    assert nuclei(root).problem is None


def test_in_use_it_is_listed_once_and_is_not_recent(make_folder: MakeFolder, tmp_path: Path) -> None:
    models = FolderModels(open_folder(make_folder(2)))
    path, own = model_path("nuclei"), write_model(tmp_path / "own.safetensors")
    for model in (own, path):
        models.use(model)
        models.save()
    assert [choice.path for choice in models.choices()] == [path, own]
    assert recent_models() == [own]
    other = FolderModels(open_folder(make_folder(2, "others")))
    assert [choice.group for choice in other.choices()] == [BUILT_IN, RECENT]


def test_it_is_found_again_when_the_program_was_moved(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder(2)
    moved = tmp_path / "lib" / "python3.9" / "site-packages" / "napari_attnseg" / "models" / "starters"
    moved.mkdir(parents=True)
    (moved / "nuclei.safetensors").write_bytes(model_path("nuclei").read_bytes())
    models = FolderModels(open_folder(root))
    models.use(moved / "nuclei.safetensors")
    models.save()
    assert FolderModels(open_folder(root)).in_use == moved / "nuclei.safetensors", "as long as it is there"
    shutil.rmtree(moved)
    again = FolderModels(open_folder(root))
    assert again.in_use == model_path("nuclei")
    assert again.problem is None


def test_a_damaged_one_says_so(make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "starters").mkdir()
    (tmp_path / "starters" / "nuclei.safetensors").write_bytes(b"cut off")
    monkeypatch.setattr(starters, "FOLDER", tmp_path / "starters")
    choice = FolderModels(open_folder(make_folder(1))).choices()[0]
    assert choice.label == "nuclei (built in): cannot be used"
    assert choice.problem is not None
    assert "not a readable model file" in choice.problem


@pytest.mark.parametrize("is_used", [False, True])
def test_a_training_that_is_no_better_leaves_it_in_use(is_used: bool, make_folder: MakeFolder, tmp_path: Path) -> None:
    folder, start = open_folder(make_folder(2)), model_path("nuclei")
    models = FolderModels(folder)
    own = write_model(tmp_path / "own.safetensors")
    if is_used:
        models.use(own)
    run = new_run(folder.root, order_of(folder.root, init=start))
    write_model(run / "best.safetensors", scores={"f1": 0.8, "score": 0.8})
    write_events(run, Finished("Ended.", {"score": 0.8, "start_score": 0.8, "improved": False}))
    record = read_record(run)
    assert record is not None
    sentence = adopt(models, record)
    assert models.in_use == (own if is_used else start)
    assert ("the model in use stays" if is_used else "that one is used") in sentence
