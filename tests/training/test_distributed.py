"""Several processes that train one model: they learn what one would learn, stop and go on, and end together."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import torch.distributed as dist

from napari_attnseg.cli.train_together import train_together
from napari_attnseg.data.patches import LoadedImage, PatchSampler
from napari_attnseg.engine import fit
from napari_attnseg.errors import SettingsError, ShortOfMemoryError
from napari_attnseg.jobs import STOP
from napari_attnseg.settings import TrainingSettings
from napari_attnseg.training import group
from napari_attnseg.training.feed import require_shares
from napari_attnseg.training.group import Group
from napari_attnseg.training.launch import Launch, launch
from napari_attnseg.training.losses import LOSSES, make_loss
from napari_attnseg.training.run_folder import RunFolder
from napari_attnseg.training.shared_norm import share_batch_norm
from tests.conftest import TINY, MakeFolder, blobs

ROOT = Path(__file__).parents[2]
SAME = {**TINY, "augmentation": "none", "precision": "float32", "steps_per_epoch": 8, "epochs": 3}


def torchrun(program: list[str], source: Path, run: Path, **values: Any) -> subprocess.Popen[str]:
    """Start a training with two processes."""
    options = [str(word) for name, value in values.items() for word in _option(name, value)]
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", *program, "train", str(source)]
    command += ["--run-folder", str(run), *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def _option(name: str, value: Any) -> list[Any]:
    flag = f"--{name.replace('_', '-')}"
    return [flag] if value is True else [flag, *(value if isinstance(value, tuple) else (value,))]


def until_first_epoch(process: subprocess.Popen[str]) -> list[str]:
    """Return what was printed until the first epoch was over."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("epoch"):
            return lines
    raise AssertionError(f"it ended before: {lines}, {process.communicate()[1]}")


def kinds(run: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in RunFolder(run).events.read_text().splitlines()]


@pytest.mark.timeout(300)  # three starts of two processes, on machines that do other work besides
def test_two_processes_stop_resume_and_learn_what_one_learns(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, alone, together = make_folder(6), tmp_path / "alone", tmp_path / "together"
    process = torchrun(["-m", "napari_attnseg"], source, together, **SAME)
    until_first_epoch(process)
    (together / STOP).touch()
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert output.count("it was stopped") == 1
    assert kinds(together)[-1] == "cancelled"
    (together / STOP).unlink()

    process = torchrun(["-m", "napari_attnseg"], source, together, resume=True)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert output.count("Resumed after epoch 1") == 1
    assert kinds(together).count("started") == 2
    assert kinds(together).count("epoch_end") == 3
    assert kinds(together)[-1] == "finished"

    fit(source, alone, **SAME)
    ours, theirs = RunFolder(together).read_metrics(), RunFolder(alone).read_metrics()
    assert [row["epoch"] for row in ours] == [1, 2, 3]
    for one, other in zip(ours, theirs, strict=True):
        assert one["learning_rate"] == other["learning_rate"]
        assert one["loss"] == pytest.approx(other["loss"], rel=0.01)
        assert one["val_score"] == pytest.approx(other["val_score"], abs=0.03)
    assert {path.name for path in together.iterdir()} == {path.name for path in alone.iterdir()}


def test_memory_is_agreed_on_and_a_dead_process_ends_all(make_folder: MakeFolder, tmp_path: Path) -> None:
    script = [str(Path(__file__).with_name("short_of_memory.py"))]
    run = tmp_path / "run"
    process = torchrun(script, make_folder(4), run, **SAME | {"epochs": 1000})
    lines = until_first_epoch(process)
    assert sum("going on with 1 patch at a time" in line for line in lines) == 1
    second = next(child for child in psutil.Process(process.pid).children() if child.environ().get("RANK") == "1")
    second.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=100)
    assert process.returncode != 0
    sentences = [line for line in errors.splitlines() if line.startswith("napari-attnseg: ")]
    assert len(sentences) == 1, errors
    assert "has died" in sentences[0]
    assert "--resume" in sentences[0]
    assert kinds(run)[-1] == "failed"
    assert RunFolder(run).read_state() is not None


def test_parts_of_a_batch_are_the_batch() -> None:
    pixels, labels = blobs(0, (64, 64))
    image = LoadedImage("a", (pixels[None, None] / 255).astype(np.float16), labels[None])
    sampler = PatchSampler([image], size=16, foreground=0.5, seed=3)
    whole = sampler.batch(7, 6, flips=True)
    parts = [sampler.batch(7, 6, flips=True, part=slice(rank, None, 3)) for rank in range(3)]
    for rank, part in enumerate(parts):
        assert np.array_equal(part.images, whole.images[rank::3])
        assert np.array_equal(part.labels, whole.labels[rank::3])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 3])
def test_sums_over_processes_give_the_loss_of_the_whole_batch(name: Any, classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((4, classes, 8, 8), generator=generator)
    target = torch.randint(0, max(classes, 2), (4, 8, 8), generator=generator)
    valid = torch.rand((4, 8, 8), generator=generator) > 0.3
    settings = TrainingSettings(loss=name)
    whole = make_loss(settings)(logits, target, valid)

    # the first process sees two patches; what the other two would add is counted on the second call
    seen: list[torch.Tensor] = []
    make_loss(settings, total=lambda values: (seen.append(values), values)[1])(logits[2:], target[2:], valid[2:])
    others = iter(seen)
    found = make_loss(settings, total=lambda values: values + next(others))(logits[:2], target[:2], valid[:2])
    assert float(found) == pytest.approx(float(whole), rel=1e-5)


def test_shared_batch_norm_is_batch_norm() -> None:
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    shared = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    share_batch_norm(shared, lambda values: values, 1)
    assert type(shared[0]) is not torch.nn.BatchNorm2d
    x = torch.randn(4, 3, 5, 5) * 3 + 1
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.randn_like(x)
    (plain(one) * weight).sum().backward()
    (shared(other) * weight).sum().backward()
    assert one.grad is not None
    assert other.grad is not None
    assert torch.allclose(one.grad, other.grad, atol=1e-5)
    for name, value in plain.state_dict().items():
        assert torch.allclose(value.float(), shared.state_dict()[name].float(), atol=1e-5), name
    assert torch.allclose(plain.eval()(x), shared.eval()(x), atol=1e-5)


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    require_shares(TrainingSettings(batch_size=16), Group(0, 4))
    with pytest.raises(SettingsError, match=r"16 patches .* 3 processes; give --batch-size 15 or 18"):
        require_shares(TrainingSettings(batch_size=16), Group(0, 3))
    with pytest.raises(SettingsError, match=r"--batch-size 8\."):
        require_shares(TrainingSettings(batch_size=2), Group(0, 8))


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")  # some clusters set these two by themselves
    assert launch() == Launch()
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "1234")
    assert launch() == Launch(1, 2, 0, 2)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_whose_memory_runs_out_says_so_itself(
    rank: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong for all the first says; of this the others only learn that a process is gone."""

    def ended_by(error: Exception) -> str:
        def train(*_: Any) -> int:
            raise error

        assert train_together(argparse.Namespace(), train) == 1
        return capsys.readouterr().err

    monkeypatch.setattr(Group, "join", lambda place: Group(rank, 2))
    assert ended_by(ShortOfMemoryError("Memory ran out.")) == "napari-attnseg: Memory ran out.\n"
    assert ended_by(SettingsError("A setting.")) == ("napari-attnseg: A setting.\n" if rank == 0 else "")
    # the first process never says anything, as where it waits for this one
    monkeypatch.setattr(group, "_TIME_TO_SPEAK", timedelta(seconds=0.3))
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setattr(Group, "join", lambda place: Group(rank, 2, _store=store))
    assert ended_by(SettingsError("A setting.")) == "napari-attnseg: A setting.\n"
    store.set(group._SAID, "yes")
    assert ended_by(SettingsError("A setting.")) == ("napari-attnseg: A setting.\n" if rank == 0 else "")
