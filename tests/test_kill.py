"""A training that is killed at any moment leaves a whole folder, from which it goes on as if nothing had been."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from napari_attnseg import jobs
from napari_attnseg.events import Cancelled, EpochEnd, Event, Failed, Finished
from napari_attnseg.models.model_file import load_model
from tests.conftest import MakeFolder

SETTINGS = [
    "--widths",
    "8",
    "16",
    "--patch-size",
    "32",
    "--batch-size",
    "4",
    "--steps-per-epoch",
    "4",
    "--device",
    "cpu",
]
KILLS = 6


def command(source: Path, run: Path, *more: str, epochs: int = 30) -> list[str]:
    base = [sys.executable, "-m", "napari_attnseg", "train", str(source), "--run", str(run), "--resume", "--events"]
    return [*base, *SETTINGS, "--epochs", str(epochs), *more]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def require_whole(run: Path) -> None:
    """Every file that is there can be read to its end; no temporary file counts as one of ours."""
    if (run / "run.json").exists():
        assert json.loads((run / "run.json").read_text())["split"]["train"]
    if (run / "metrics.csv").exists():
        rows = list(csv.reader((run / "metrics.csv").read_text().splitlines()))
        assert len({len(row) for row in rows}) == 1
    for name in ("best.safetensors", "last.safetensors"):
        if (run / name).exists():
            with safe_open(run / name, framework="pt") as file:
                assert all(torch.isfinite(file.get_tensor(key)).all() for key in file.keys())  # noqa: SIM118
    if (run / "state.pt").exists():
        assert torch.load(run / "state.pt", weights_only=True)["position"]["step"] > 0


def until_first_progress(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if re.search(r'"message": "epoch \d+, batch', line) or '"epoch_end"' in line:  # something has been learnt
            return


@pytest.mark.timeout(300)
def test_kill_9_at_any_moment(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, run = make_folder(4), tmp_path / "run"
    rng = random.Random(1)
    for number in range(KILLS):
        child = start(command(source, run))
        if number % 3 == 0:
            time.sleep(rng.uniform(0.2, 3.0))  # while it starts
        else:
            until_first_progress(child)
            time.sleep(rng.uniform(0.0, 0.4))  # while it learns and saves
        child.kill()
        child.communicate()
        require_whole(run)
    last = start(command(source, run))
    output, error = last.communicate()
    assert last.returncode == 0, error
    assert json.loads(output.splitlines()[-1])["kind"] == "finished"
    straight = tmp_path / "straight"
    uninterrupted = start(command(source, straight))
    uninterrupted.communicate()
    assert uninterrupted.returncode == 0
    expected, found = (load_model(folder / "last.safetensors")[0].state_dict() for folder in (straight, run))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert len((run / "metrics.csv").read_text().splitlines()) == 31
    assert len([line for line in (run / "events.jsonl").read_text().splitlines() if '"finished"' in line]) == 1


@pytest.mark.timeout(120)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a child")
def test_ctrl_c_saves_exits_130_and_goes_on(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, run = make_folder(4), tmp_path / "run"
    child = start(command(source, run, epochs=100_000))
    until_first_progress(child)
    child.send_signal(signal.SIGINT)
    output, error = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in error
    assert json.loads(output.splitlines()[-1])["kind"] == "cancelled"
    require_whole(run)
    assert (run / "state.pt").exists()


@pytest.mark.timeout(120)
def test_a_real_training_as_a_job_is_stopped_attached_to_and_finished(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, run = make_folder(4), tmp_path / "run"

    def follow(job: jobs.Job, until: type[Event]) -> list[Event]:
        events: list[Event] = []
        while job.state == "running" and not any(isinstance(event, until) for event in events):
            events += job.poll()
            time.sleep(0.05)
        return events

    job = jobs.start(command(source, run, epochs=100_000), folder=run)
    follow(job, EpochEnd)
    other = jobs.attach(run)
    other.stop()
    events = follow(job, Cancelled)
    assert isinstance(events[-1], Cancelled)
    assert (run / "last.safetensors").exists()
    job = jobs.start(command(source, run, epochs=3), folder=run)
    assert isinstance(follow(job, Finished)[-1], Finished)
    assert job.state == "finished"


STATES = {  # what is in the events when the child is where it is to be killed
    "reading": "reading images",
    "training": '"epoch 1, batch',
    "scoring": "scoring held-out images",
    "saving": '"checkpoint_saved"',
    "paused": '"paused": true',
}


def until(job: jobs.Job, sign: str) -> list[Event]:
    """Follow a job until an event's line holds `sign`; it must not end before."""
    events: list[Event] = []
    while not any(sign in event.to_json() for event in events):
        assert job.state == "running", events[-1]
        events += job.poll()
        time.sleep(0.01)
    return events


def to_the_end(job: jobs.Job) -> Event:
    """Follow a job to its end; return its last event, of which there must be one."""
    events: list[Event] = []
    while job.state == "running":
        events += job.poll()
        time.sleep(0.02)
    assert [event for event in events if isinstance(event, Finished | Cancelled | Failed)] == events[-1:]
    return events[-1]


@pytest.fixture
def begin(make_folder: MakeFolder, tmp_path: Path) -> Iterator[Callable[..., jobs.Job]]:
    """Return a function that starts the training of one run as a job; none outlives the test."""
    source, run = make_folder(4), tmp_path / "run"
    begun = []

    def start_job(**values: int) -> jobs.Job:
        begun.append(jobs.start(command(source, run, **values), folder=run, priority="normal"))
        return begun[-1]

    yield start_job
    for job in begun:
        if job.state == "running":
            job.stop(grace_seconds=0)
            to_the_end(job)


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_kill_9_in_every_state_is_one_failure_and_the_run_goes_on(begin: Callable[..., jobs.Job]) -> None:
    for state, sign in STATES.items():
        job = begin(epochs=1000)
        if state == "paused":
            job.pause()
        until(job, sign)
        assert job.pid is not None
        os.kill(job.pid, signal.SIGKILL)
        ending = to_the_end(job)
        assert isinstance(ending, Failed), state
        assert "was killed" in ending.message
        require_whole(job.folder)
    job = begin(epochs=len((job.folder / "metrics.csv").read_text().splitlines()))
    ending = to_the_end(job)
    assert isinstance(ending, Finished), ending
    assert ending.results["best"] == str(job.folder / "best.safetensors")


@pytest.mark.timeout(120)
def test_a_real_training_rests_and_is_stopped_while_it_rests(begin: Callable[..., jobs.Job]) -> None:
    job = begin(epochs=100_000)
    until(job, '"epoch_end"')
    job.pause()
    until(job, '"paused": true')
    job.stop()
    ending = to_the_end(job)
    assert isinstance(ending, Cancelled)
    assert ending.results["best"] == str(job.folder / "best.safetensors")
    assert not (job.folder / "pause").exists()
