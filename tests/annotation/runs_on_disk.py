"""Runs and model files as trainings leave them, made without a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from napari_attnseg.annotation.trainings.runs import TrainingOrder
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.events import Event
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.settings import DataSettings, ModelSettings, RunSettings


def order_of(source: Path, **values: Any) -> TrainingOrder:
    return TrainingOrder(source, RunSettings(), **values)


def write_model(path: Path, names: tuple[str, ...] = ("background", "nucleus"), **values: Any) -> Path:
    """Write a model file with a card and a weight that nobody uses."""
    classes = len(names) if len(names) > 2 else 1
    masks = MaskConvention("classes" if classes > 1 else "binary", {n: n for n in range(len(names))}, names)
    card = ModelCard(
        model=ModelSettings(classes=classes), data=DataSettings(), masks=masks.to_dict(), patch_size=64, **values
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"weight": np.zeros(3, np.float32)}, path, {"napari_attnseg": card.model_dump_json()})
    return path


def write_events(run: Path, *events: Event) -> None:
    with (run / "events.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(event.to_json() + "\n" for event in events)
