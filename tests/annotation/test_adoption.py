"""What becomes of a training that has ended: which model is used then, and what still counts as edited."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_attnseg.annotation.folder.folder import AnnotationFolder, open_folder
from napari_attnseg.annotation.trainings.adoption import adopt, missed
from napari_attnseg.annotation.trainings.folder_models import FolderModels
from napari_attnseg.annotation.trainings.run_history import RunRecord, read_record
from napari_attnseg.annotation.trainings.runs import new_run
from napari_attnseg.events import Cancelled, Event, Failed, Finished
from napari_attnseg.job_process import JOB
from tests.annotation.runs_on_disk import order_of, write_events, write_model
from tests.conftest import MakeFolder

NAME = "20250301-100000"


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(tmp_path / "user"))


@pytest.fixture
def folder(make_folder: MakeFolder) -> AnnotationFolder:
    return open_folder(make_folder(3))


def ended_run(folder: AnnotationFolder, *end: Event, name: str = NAME, init: Path | None = None) -> RunRecord:
    """Make a training of a given time with a model, and with the events of its end."""
    run = new_run(folder.root, order_of(folder.root, init=init))
    run = run.rename(run.with_name(name))
    write_model(run / "best.safetensors", scores={"f1": 0.8, "score": 0.8})
    write_events(run, *end)
    record = read_record(run)
    assert record is not None
    return record


def result(improved: bool | None) -> dict[str, object]:
    return {"score": 0.8, "start_score": 0.75, "improved": improved}


@pytest.mark.parametrize("end", [Finished("Ended."), Cancelled("Stopped.")])
def test_the_model_of_a_new_training_is_used_also_if_it_was_stopped(folder: AnnotationFolder, end: Event) -> None:
    record, models = ended_run(folder, end), FolderModels(folder)
    assert adopt(models, record) == ""
    assert models.in_use == record.path / "best.safetensors"


def test_a_killed_training_leaves_its_best_model(folder: AnnotationFolder) -> None:
    record, models = ended_run(folder), FolderModels(folder)
    assert record.state == "interrupted"
    assert adopt(models, record) == ""
    assert models.in_use == record.model


def test_a_failed_training_changes_nothing(folder: AnnotationFolder) -> None:
    models = FolderModels(folder)
    assert adopt(models, ended_run(folder, Failed("No memory."))) == ""
    assert models.in_use is None
    assert folder.last_training is None


def test_a_model_that_is_no_better_is_kept_aside(folder: AnnotationFolder, tmp_path: Path) -> None:
    old, models = write_model(tmp_path / "old.safetensors"), FolderModels(folder)
    models.use(old)
    record = ended_run(folder, Finished("Ended.", result(False)), init=old)
    sentence = adopt(models, record)
    assert "no better" in sentence
    assert "0.750" in sentence
    assert models.in_use == old
    assert folder.last_training == record.when.timestamp(), "the masks were learnt from all the same"


def test_a_better_one_is_used_and_can_be_rolled_back(folder: AnnotationFolder, tmp_path: Path) -> None:
    old, models = write_model(tmp_path / "old.safetensors"), FolderModels(folder)
    models.use(old)
    record = ended_run(folder, Finished("Ended.", result(True)), init=old)
    assert adopt(models, record) == ""
    assert models.in_use == record.model
    assert models.roll_back() == old


def test_what_is_saved_while_it_ran_counts_as_edited(folder: AnnotationFolder) -> None:
    record, models = ended_run(folder, Finished("Ended.")), FolderModels(folder)
    began = record.when.timestamp() + 0.5
    first, second, third = (pair.image for pair in folder.pairs)
    folder.state.edited = {folder.name(first): began - 0.1, folder.name(second): began + 0.1}
    adopt(models, record, began)
    assert folder.edited_since_training() == [second]
    assert third not in folder.edited_since_training()


def test_masks_saved_by_the_press_of_the_button_do_not_count(folder: AnnotationFolder) -> None:
    record, models = ended_run(folder, Finished("Ended.")), FolderModels(folder)
    pressed = record.when.timestamp() + 0.3  # the folder's name knows nothing of fractions
    job = record.path / JOB
    job.write_text("{}")
    os.utime(job, (pressed + 0.2, pressed + 0.2))
    folder.state.edited = {folder.name(folder.pairs[0].image): pressed + 0.1}
    adopt(models, record)
    assert folder.edited_since_training() == []


def test_a_training_is_missed_once(folder: AnnotationFolder) -> None:
    assert missed(folder) is None
    record, models = ended_run(folder, Finished("Ended.")), FolderModels(folder)
    found = missed(folder)
    assert found is not None
    assert found.path == record.path
    adopt(models, record, record.when.timestamp() - 0.2)  # begun just before the full second of its name
    assert missed(folder) is None
    models.save()
    assert missed(open_folder(folder.root)) is None


def test_only_the_latest_training_is_missed_and_none_without_a_model(folder: AnnotationFolder) -> None:
    ended_run(folder, Finished("Ended."))
    later = ended_run(folder, Finished("Ended."), name="20250301-110000")
    ended_run(folder, Failed("No memory."), name="20250301-120000")
    found = missed(folder)
    assert found is not None
    assert found.path == later.path
    assert later.model is not None
    later.model.unlink()
    assert missed(folder) is None
