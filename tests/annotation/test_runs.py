"""Trainings of a folder: where they go, how they are ordered, and what became of them; real child processes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from napari_attnseg import jobs
from napari_attnseg.annotation.trainings.run_history import (
    RunHistory,
    RunRecord,
    history,
    last_progress,
    read_metrics,
    read_record,
)
from napari_attnseg.annotation.trainings.runs import (
    RUNS,
    TrainingOrder,
    new_run,
    place_notice,
    run_folders,
    running,
    runs_folder,
    train_command,
)
from napari_attnseg.errors import SaveError
from napari_attnseg.events import Cancelled, CheckpointSaved, EpochEnd, Failed, Finished, Notice, Progress
from napari_attnseg.settings import RunSettings, TrainingSettings
from tests.annotation.runs_on_disk import order_of, write_events, write_model
from tests.conftest import TINY, MakeFolder


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(tmp_path / "user"))
    return tmp_path / "user"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "cells").mkdir()
    return tmp_path / "cells"


# Ordering


def test_an_order_goes_beside_the_images(images: Path) -> None:
    settings = RunSettings(training=TrainingSettings(epochs=3))
    run = new_run(images, TrainingOrder(images, settings, images / "m.safetensors", (images / "a.tif",)))
    assert run.parent == images / RUNS == runs_folder(images)
    assert place_notice(images, run) is None
    order = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert order == {
        "source": str(images),
        "settings": settings.model_dump(mode="json"),
        "init": str(images / "m.safetensors"),
        "focus": [str(images / "a.tif")],
    }
    assert RunSettings.model_validate(order["settings"]) == settings


def test_two_orders_of_one_second_get_two_folders(images: Path) -> None:
    runs = [new_run(images, order_of(images)) for _ in range(12)]
    assert len(set(runs)) == 12
    assert run_folders(images) == runs[::-1]


def test_a_folder_that_cannot_be_written_to_has_its_runs_with_the_user(images: Path, user_folder: Path) -> None:
    (images / RUNS).write_text("in the way")
    run = new_run(images, order_of(images))
    assert run.is_relative_to(user_folder / "runs")
    assert run.parent.name.startswith("cells-")
    notice = place_notice(images, run)
    assert notice is not None
    assert str(run.parent) in notice
    assert run_folders(images) == [run]
    assert runs_folder(images) == run.parent


def test_folders_of_the_same_name_do_not_share_their_runs(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name / "cells").mkdir(parents=True)
        (tmp_path / name / "cells" / RUNS).write_text("in the way")
    run = new_run(tmp_path / "one" / "cells", order_of(tmp_path))
    assert run_folders(tmp_path / "other" / "cells") == []
    assert run_folders(tmp_path / "one" / "cells") == [run]


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_has_its_runs_with_the_user(images: Path, user_folder: Path) -> None:
    images.chmod(0o500)
    try:
        assert new_run(images, order_of(images)).is_relative_to(user_folder)
    finally:
        images.chmod(0o700)


def test_nowhere_to_write_is_one_sentence(images: Path, user_folder: Path) -> None:
    (images / RUNS).write_text("in the way")
    user_folder.write_text("in the way")
    with pytest.raises(SaveError, match="cannot be made in"):
        new_run(images, order_of(images))


def test_runs_of_both_places_are_listed_by_time(images: Path, user_folder: Path) -> None:
    first = new_run(images, order_of(images))
    shutil.move(images / RUNS, images / "aside")
    (images / RUNS).write_text("in the way")
    second = new_run(images, order_of(images))
    second = second.rename(second.with_name("29990101-000000"))
    (images / RUNS).unlink()
    shutil.move(images / "aside", images / RUNS)
    assert run_folders(images) == [second, first]


# Running


@pytest.fixture
def sleeper(images: Path) -> Iterator[jobs.Job]:
    run = new_run(images, order_of(images))
    job = jobs.start([sys.executable, "-c", "import time; time.sleep(100)"], folder=run)
    yield job
    with contextlib.suppress(psutil.Error):
        psutil.Process(job.pid).kill()
    while job.state == "running":
        job.poll()


def test_a_training_that_runs_is_found(images: Path, sleeper: jobs.Job) -> None:
    idle = new_run(images, order_of(images))
    assert running(images) == [sleeper.folder]
    states = {record.path: record.state for record in history(images)}
    assert states == {sleeper.folder: "running", idle: "interrupted"}


def test_a_training_that_was_killed_is_no_longer_running(images: Path, sleeper: jobs.Job) -> None:
    psutil.Process(sleeper.pid).kill()
    while sleeper.state == "running":
        sleeper.poll()
    assert running(images) == []
    assert history(images)[0].state == "interrupted"


def test_a_real_training_and_one_that_goes_on_from_it(make_folder: MakeFolder) -> None:
    root = make_folder(5)
    settings = RunSettings.model_validate(
        {"model": {"widths": TINY["widths"]}, "training": {k: v for k, v in TINY.items() if k != "widths"}}
    )
    first = _trained(root, TrainingOrder(root, settings))
    assert first.state == "finished"
    assert first.model == first.path / "best.safetensors"
    assert (first.images, first.held_out) == (4, 1)
    assert first.score is not None
    assert first.start_score is None
    assert first.improved is None
    assert first.source == root
    assert abs((datetime.now().astimezone() - first.when).total_seconds()) < 600
    assert [row["epoch"] for row in read_metrics(first.path)] == [1, 2]
    second = _trained(root, TrainingOrder(root, settings, first.model, (root / "cell00.tif",)))
    assert second.init == first.model
    assert second.start_score == pytest.approx(first.score, abs=0.02)
    assert second.score is not None
    assert second.improved == (second.score > second.start_score)
    assert [record.path for record in history(root)] == [second.path, first.path]


def _trained(root: Path, order: TrainingOrder) -> RunRecord:
    run = new_run(root, order)
    subprocess.run(train_command(run), check=True, capture_output=True, timeout=100)
    record = read_record(run)
    assert record is not None
    return record


# What became of them


def test_the_last_event_says_how_a_training_ended(images: Path) -> None:
    ends = {
        "finished": Finished("All epochs are done.", {"score": 0.9, "start_score": 0.8, "improved": True}),
        "cancelled": Cancelled("It was stopped."),
        "failed": Failed("No space is left.", "Traceback\n" * 500),
        "interrupted": Progress(0.5, images_per_second=30.0),
    }
    runs = {}
    for state, event in ends.items():
        run = runs[state] = new_run(images, order_of(images, init=images / "m.safetensors"))
        write_events(run, Notice("Hello."), event)
    records = {record.path: record for record in history(images)}
    assert {state: records[run].state for state, run in runs.items()} == {state: state for state in ends}
    assert records[runs["failed"]].message == "No space is left."
    finished = records[runs["finished"]]
    assert (finished.score, finished.start_score, finished.improved) == (0.9, 0.8, True)


def test_a_training_that_was_resumed_and_killed_has_not_ended(images: Path) -> None:
    run = new_run(images, order_of(images))
    write_events(run, Finished("All epochs are done."), Progress(0.5))
    assert history(images)[0].state == "interrupted"


def test_a_line_that_was_cut_off_is_no_event(images: Path) -> None:
    run = new_run(images, order_of(images))
    write_events(run, Cancelled("It was stopped."))
    with (run / "events.jsonl").open("a") as file:
        file.write('{"kind": "finis')
    assert history(images)[0].state == "cancelled"


def test_a_stopped_training_is_compared_with_its_start(images: Path) -> None:
    run = new_run(images, order_of(images, init=images / "m.safetensors"))
    best = str(run / "best.safetensors")
    write_model(run / "best.safetensors", scores={"score": 0.7})
    write_events(
        run,
        *(Progress(0.0, f"reading images, {number} of 2000") for number in range(2000)),
        CheckpointSaved(best, True, 0.75),
        EpochEnd(1, {"epoch": 1.0}),
        CheckpointSaved(best, True, 0.9),
        Cancelled("It was stopped."),
    )
    record = history(images)[0]
    assert (record.score, record.start_score, record.improved) == (0.7, 0.75, False)


def test_class_scores_come_from_the_card(images: Path) -> None:
    run = new_run(images, order_of(images))
    names = ("background", "liver", "left kidney")
    scores = {"score": 0.8, "f1": 0.81, "dice_background": 0.99, "dice_liver": 0.9, "dice_left kidney": 0.7}
    write_model(run / "best.safetensors", names, scores=scores)
    record = history(images)[0]
    assert record.class_scores == {"liver": 0.9, "left kidney": 0.7}
    assert record.score == 0.8
    assert record.card is not None
    assert record.card.class_names == names


def test_without_a_model_the_best_epoch_counts(images: Path) -> None:
    run = new_run(images, order_of(images))
    (run / "metrics.csv").write_text("epoch,loss,val_score\n1,0.9,0.5\n2,0.8,0.6\n3,0.7,0.55\n4,0.6,\n")
    record = history(images)[0]
    assert record.score == 0.6
    assert record.model is None
    assert read_metrics(run)[3] == {"epoch": 4.0, "loss": 0.6}


def test_the_last_progress_with_a_speed(images: Path) -> None:
    run = new_run(images, order_of(images))
    assert last_progress(run) is None
    write_events(run, Progress(0.1, images_per_second=20.0), Progress(0.2, images_per_second=25.0), Progress(1.0, "x"))
    found = last_progress(run)
    assert found is not None
    assert found["images_per_second"] == 25.0


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"source": 5}', '{"source": "x", "split": 3}', "\0"])
def test_a_damaged_training_is_left_out(content: str | None, images: Path, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = new_run(images, order_of(images)), new_run(images, order_of(images))
    if content is None:
        (bad / "run.json").unlink()
    else:
        (bad / "run.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        assert [record.path for record in history(images)] == [good]
    assert str(bad) in caplog.text


def test_a_damaged_model_is_no_model(images: Path) -> None:
    run = new_run(images, order_of(images))
    (run / "best.safetensors").write_bytes(b"1234567890")
    (run / "job.json").write_text("{")
    (run / "metrics.csv").write_bytes(b"\xff\xfe,epoch\n1,x\n")
    (run / "events.jsonl").write_bytes(b"\xff\n\n[]\n")
    record = history(images)[0]
    assert record.model is None
    assert record.score is None
    assert record.state == "interrupted"


def test_what_was_read_is_read_again_once_it_changes(images: Path) -> None:
    found = RunHistory(images)
    first, second = new_run(images, order_of(images)), new_run(images, order_of(images))
    before = found.records()
    write_events(first, Cancelled("It was stopped."))
    now = found.records()
    assert now[0] is before[0]
    assert [record.state for record in now] == ["interrupted", "cancelled"]
    shutil.rmtree(second)
    assert [record.path for record in found.records()] == [first]


def test_no_trainings(images: Path) -> None:
    assert history(images) == []
    assert running(images) == []
