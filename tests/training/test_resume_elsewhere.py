"""A run that goes on on another machine: what it computes on may change, what it learns may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_attnseg.engine import fit
from napari_attnseg.errors import SettingsError
from napari_attnseg.events import Event, Notice, Started
from napari_attnseg.models.model_card import load_card
from napari_attnseg.settings import settings_from
from napari_attnseg.training.plan import Plan, resumed
from napari_attnseg.training.planning import make_plan
from tests.conftest import TINY, MakeFolder

ELSEWHERE: dict[str, Any] = {"device": "cpu", "precision": "bfloat16", "image_memory": 0}


@pytest.fixture
def plan(make_folder: MakeFolder) -> Plan:
    return make_plan(make_folder(3), settings_from({**TINY, "device": "auto", "image_memory": 2, "max_minutes": 9}))


def test_what_concerns_the_machine_may_be_another(plan: Plan) -> None:
    again = resumed(plan, {**TINY, **ELSEWHERE, "epochs": 7})
    training = again.settings.training
    assert (training.device, training.precision, training.image_memory, training.epochs) == ("cpu", "bfloat16", 0, 7)
    assert training == plan.settings.training.model_copy(update={**ELSEWHERE, "epochs": 7})
    assert Plan.from_json(again.to_json()).settings.training == training


def test_what_is_not_given_stays(plan: Plan) -> None:
    assert resumed(plan, {}) == plan
    unset = {"image_memory": None, "max_minutes": None}  # as in a recipe that is written out
    assert resumed(plan, unset) == plan


@pytest.mark.parametrize("name", ["batch_size", "patch_size", "seed", "learning_rate", "dropout"])
def test_what_is_learnt_may_not(plan: Plan, name: str) -> None:
    given = {"batch_size": 8, "patch_size": 64, "seed": 5, "learning_rate": 0.5, "dropout": 0.5}[name]
    with pytest.raises(SettingsError, match=f"{name} {given} needs a new run"):
        resumed(plan, {name: given, "device": "cpu"})
    with pytest.raises(SettingsError, match="device"):
        resumed(plan, {"device": "abacus"})


def test_a_run_goes_on_on_another_machine(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, told = make_folder(3), list[Event]()
    fit(source, tmp_path / "run", **{**TINY, "epochs": 1, "device": "auto", "precision": "float32"})
    with pytest.raises(SettingsError, match="is for GPUs"):
        fit(source, tmp_path / "run", resume=True, device="cpu", precision="float16")
    result = fit(source, tmp_path / "run", resume=True, epochs=3, **ELSEWHERE, on_event=told.append)
    assert result.epochs == 3
    assert np.isfinite([row["loss"] for row in result.folder.read_metrics()]).all()
    device = next(event.device for event in told if isinstance(event, Started))
    assert device.startswith("CPU")
    assert "bfloat16" in device
    assert any("do not fit into the 0.0 GB" in event.message for event in told if isinstance(event, Notice))
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["training"]
    for training in (kept, load_card(result.folder.last).training["settings"]):
        assert {name: training[name] for name in ELSEWHERE} == ELSEWHERE
