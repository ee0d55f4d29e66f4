"""Schedules and optimisers: the rates by themselves, and whole trainings that are stopped, resumed and go on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_attnseg.engine import fit
from napari_attnseg.errors import SettingsError
from napari_attnseg.events import Event, Notice
from napari_attnseg.models.model_file import load_model
from napari_attnseg.settings import RunSettings, TrainingSettings, fine_tuning, make
from napari_attnseg.training.optimiser import make_optimiser
from napari_attnseg.training.run_folder import RunFolder
from napari_attnseg.training.schedule import SMALLEST_GAIN, Plateau, learning_rate
from tests.conftest import TINY, MakeFolder

PLATEAU = {"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.5, "min_learning_rate": 1e-3}


def settings(**values: Any) -> TrainingSettings:
    return make(TrainingSettings, values)


def learn(source: Path, run: Path, **values: Any) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    return fit(source, run, on_event=events.append, **{**TINY, **values}), events


def after(times: int) -> Callable[[], bool]:
    """Return a `should_stop` that says yes once it was asked that many times; see test_trainer."""
    asked = iter(range(1, 10**9))
    return lambda: next(asked) > times


def rates(run: Path) -> list[float]:
    return [row["learning_rate"] for row in RunFolder(run).read_metrics()]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_model(path)[0].state_dict()


# The rates by themselves


def test_the_cosine_rises_and_falls() -> None:
    found = [
        learning_rate(settings(learning_rate=0.1, warmup=0.2), share, Plateau()) for share in (0, 0.1, 0.2, 0.6, 1)
    ]
    assert found == pytest.approx([0.001, 0.05, 0.1, 0.05, 0.001])


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_the_others_stay_after_the_warm_up(schedule: str) -> None:
    of = settings(schedule=schedule, learning_rate=0.1, warmup=0.2)
    assert [learning_rate(of, share, Plateau()) for share in (0.1, 0.2, 0.6, 1)] == pytest.approx([0.05, 0.1, 0.1, 0.1])
    assert learning_rate(settings(schedule=schedule, learning_rate=0.1, warmup=0), 0, Plateau()) == 0.1


def test_only_the_plateau_schedule_pays_heed_to_a_plateau() -> None:
    low = Plateau(factor=0.01)
    assert learning_rate(settings(schedule="constant"), 0.5, low) == learning_rate(
        settings(schedule="constant"), 0.5, Plateau()
    )
    assert learning_rate(settings(schedule="plateau", learning_rate=0.1), 0.5, low) == pytest.approx(0.001)


def test_the_plateau_does_as_pytorchs() -> None:
    """PyTorch counts the epochs after which nothing is done yet, so that its patience is one less."""
    of = settings(schedule="plateau", learning_rate=0.1, plateau_factor=0.3, plateau_patience=3, min_learning_rate=1e-3)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, "max", factor=0.3, patience=2, threshold=1e-4, threshold_mode="abs", min_lr=1e-3
    )
    ours = Plateau()
    scores = np.concatenate([np.linspace(0.2, 0.6, 10), np.random.default_rng(0).uniform(0.5, 0.61, 50)])
    for score in scores:
        before = learning_rate(of, 1, ours)
        lowered = ours.see(float(score), of)
        theirs.step(float(score))
        assert learning_rate(of, 1, ours) == pytest.approx(optimiser.param_groups[0]["lr"])
        assert lowered == (learning_rate(of, 1, ours) < before)
    assert learning_rate(of, 1, ours) == 1e-3


def test_a_highest_rate_below_the_lowest_is_left() -> None:
    of = settings(schedule="plateau", learning_rate=1e-5, min_learning_rate=1e-3, plateau_patience=1)
    plateau = Plateau()
    assert not any(plateau.see(0.5, of) for _ in range(5))
    assert learning_rate(of, 1, plateau) == 1e-5


def test_a_gain_of_next_to_nothing_is_none() -> None:
    of = settings(schedule="plateau", plateau_patience=2)
    plateau = Plateau()
    assert [plateau.see(0.5 + step * 1e-5, of) for step in range(4)] == [False, False, True, False]


# The optimisers


def test_sgd_steps_as_worked_out_by_hand() -> None:
    value = torch.nn.Parameter(torch.tensor(1.0))
    optimiser = make_optimiser([value], settings(optimiser="sgd", learning_rate=0.1, momentum=0.5, weight_decay=0.9))
    for expected in (1 - 0.1, 1 - 0.1 - 0.1 * 1.5):
        value.grad = torch.tensor(1.0)
        optimiser.step()
        assert value.item() == pytest.approx(expected)


@pytest.mark.parametrize(("name", "decays"), [("adamw", True), ("adam", False)])
def test_only_adamw_decays_weights(name: str, decays: bool) -> None:
    value = torch.nn.Parameter(torch.tensor(1.0))
    optimiser = make_optimiser([value], settings(optimiser=name, learning_rate=0.1, weight_decay=0.5))
    value.grad = torch.tensor(2.0)
    optimiser.step()
    assert value.item() == pytest.approx((1 - 0.05 if decays else 1) - 0.1)


# Whole trainings


def test_a_run_with_a_plateau_that_was_paused_and_stopped_goes_on_as_if_nothing_had_been(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    source, within_the_third_epoch = make_folder(), 17
    values = {**PLATEAU, "optimiser": "sgd", "learning_rate": 0.01, "epochs": 4, "steps_per_epoch": 2, "warmup": 0}
    values |= {"ema": 0, "loss": "bce", "class_weights": "inverse"}
    straight, _ = learn(source, tmp_path / "straight", **values)
    asked = iter(range(10**9))
    stopped, _ = learn(
        source,
        tmp_path / "run",
        should_stop=after(within_the_third_epoch),
        should_pause=lambda: next(asked) == 9,
        **values,
    )
    assert (stopped.was_stopped, stopped.epochs) == (True, 2)
    resumed, _ = learn(source, tmp_path / "run", resume=True, **values)
    assert resumed.best_score == straight.best_score
    expected, found = weights(straight.folder.last), weights(resumed.folder.last)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    rows = [run.folder.read_metrics() for run in (straight, resumed)]
    timed = {"minutes": 0, "waiting": 0}
    assert [row | timed for row in rows[0]] == [row | timed for row in rows[1]]


def test_a_plateau_lowers_the_rate_says_so_and_is_resumed(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder()
    stuck = {"learning_rate": 4e-7, "min_learning_rate": 1e-7, "optimiser": "sgd", "steps_per_epoch": 1, "warmup": 0}
    _, events = learn(source, tmp_path / "run", **{**PLATEAU, **stuck, "plateau_patience": 2, "epochs": 3})
    assert [event.message for event in events if isinstance(event, Notice) and "learning rate" in event.message] == [
        "No better score for 2 epochs: the learning rate is 2e-07 now."
    ]
    fit(source, tmp_path / "run", resume=True, epochs=7)
    assert rates(tmp_path / "run") == pytest.approx([4e-7, 4e-7, 4e-7, 2e-7, 2e-7, 1e-7, 1e-7], rel=1e-5)


def test_without_held_out_images_the_loss_decides(make_folder: MakeFolder, tmp_path: Path) -> None:
    values = {**PLATEAU, "val_fraction": 0, "warmup": 0, "learning_rate": 0.02, "optimiser": "sgd", "epochs": 8}
    learn(make_folder(), tmp_path / "run", steps_per_epoch=1, **{**values, "augmentation": "strong"})
    rows = RunFolder(tmp_path / "run").read_metrics()
    best, rate = math.inf, 0.02
    for row in rows:
        assert row["learning_rate"] == pytest.approx(rate)
        if row["loss"] < best - SMALLEST_GAIN:
            best = row["loss"]
        else:
            rate = max(rate / 2, 1e-3)
    assert rate < 0.02, "some epoch was worse than the best before it"


def test_a_constant_rate_ends_with_the_time_limit(make_folder: MakeFolder, tmp_path: Path) -> None:
    limited, _ = learn(
        make_folder(),
        tmp_path / "run",
        schedule="constant",
        epochs=10_000,
        max_minutes=0.01,
        warmup=0,
        learning_rate=0.02,
    )
    assert "time limit" in limited.reason
    assert set(rates(tmp_path / "run")) == {0.02}


def test_early_stopping_the_best_model_and_the_logs_with_a_plateau(make_folder: MakeFolder, tmp_path: Path) -> None:
    values = {**PLATEAU, "epochs": 50, "patience": 2, "learning_rate": 1e-9, "steps_per_epoch": 1, "optimiser": "adam"}
    stopped, _ = learn(make_folder(), tmp_path / "run", **values)
    assert "no better score" in stopped.reason
    best = load_model(stopped.folder.best)[1].scores["score"]
    assert best == pytest.approx(max(row["val_score"] for row in stopped.folder.read_metrics()), abs=1e-6)
    assert len(rates(tmp_path / "run")) == stopped.epochs
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_starting_models_score_does_not_count_for_the_plateau(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder()
    first, _ = learn(source, tmp_path / "first", epochs=1)
    tuned, _ = learn(source, tmp_path / "tuned", init=first.folder.best, **{**PLATEAU, "epochs": 1, "learning_rate": 1})
    state = tuned.folder.read_state()
    assert state is not None
    assert tuned.start_score is not None
    found = state["position"]["plateau"]["best"]
    assert found == pytest.approx(tuned.folder.read_metrics()[0]["val_score"], abs=1e-6)
    assert found != tuned.start_score


def test_fine_tuning_leaves_schedule_and_optimiser_alone() -> None:
    given = make(RunSettings, {"training": {"schedule": "plateau", "optimiser": "sgd", "learning_rate": 0.05}})
    tuned = fine_tuning(given).training
    assert (tuned.schedule, tuned.optimiser, tuned.learning_rate) == ("plateau", "sgd", 0.05)
    assert tuned.max_minutes is not None


def test_a_state_from_before_there_were_schedules_is_resumed_but_with_no_other_optimiser(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    source = make_folder()
    result, _ = learn(source, tmp_path / "run", epochs=1)
    with pytest.raises(SettingsError, match="optimiser sgd needs a new run"):
        learn(source, tmp_path / "run", resume=True, optimiser="sgd", epochs=1)
    state = result.folder.read_state()
    assert state is not None
    del state["position"]["plateau"]
    result.folder.write_state(state)
    longer, _ = learn(source, tmp_path / "run", resume=True, epochs=2)
    assert longer.epochs == 2
