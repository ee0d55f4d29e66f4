"""Scoring held-out images of several sizes while a network is trained."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from napari_attnseg.data.patches import LoadedImage
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import build_model
from napari_attnseg.settings import ModelSettings, TrainingSettings
from napari_attnseg.training import validation
from napari_attnseg.training.group import Group
from napari_attnseg.training.losses import make_loss
from napari_attnseg.training.validation import Validation, validate

CPU = Compute(torch.device("cpu"), torch.float32, "")
SHAPES = [(1, 32, 32), (1, 32, 48), (3, 32, 32), (1, 32, 32), (2, 32, 48)]


def images() -> list[LoadedImage]:
    """Return images and stacks of two sizes, one of them with pixels that do not count."""
    rng = np.random.default_rng(0)
    found = []
    for number, (planes, height, width) in enumerate(SHAPES):
        pixels = rng.random((planes, 1, height, width)).astype(np.float16)
        valid = rng.random((planes, height, width)) > 0.1 if number == 2 else None
        found.append(LoadedImage(f"image{number}", pixels, (pixels[:, 0] > 0.5).astype(np.uint8), valid))
    return found


def scored(group: Group | None = None) -> tuple[Validation, list[int]]:
    torch.manual_seed(0)
    model = build_model(ModelSettings(widths=(8, 16))).eval()
    plan: Any = SimpleNamespace(convention=SimpleNamespace(class_names=("background", "object")))
    told: list[int] = []
    more = {} if group is None else {"group": group}
    loss = make_loss(TrainingSettings())
    return validate(model, images(), CPU, plan, loss, lambda: False, told.append, **more), told


def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    predict = validation.predict_within_memory

    def noted(model: Any, planes: Any, *rest: Any, **options: Any) -> Any:
        seen.append((len(planes), *planes.shape[2:]))
        return predict(model, planes, *rest, **options)

    monkeypatch.setattr(validation, "predict_within_memory", noted)
    return seen


def test_planes_of_one_size_share_passes_and_score_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = passes(monkeypatch)
    together, told = scored()
    assert seen == [(5, 32, 32), (3, 32, 48)]
    assert told == [5 * 5 // 8, 5]
    monkeypatch.setattr(validation, "DEFAULT_TILE_SIZE", 1)
    seen.clear()
    alone, _ = scored()
    assert len(seen) == 8
    assert [one.name for one in together.evaluation.images] == [f"image{number}" for number in range(5)]
    for one, other, image in zip(together.evaluation.images, alone.evaluation.images, images(), strict=True):
        assert np.abs(one.matrix - other.matrix).sum() <= 2
        assert one.matrix.sum() == (image.labels.size if image.valid is None else image.valid.sum())
    assert together.loss == pytest.approx(alone.loss, rel=1e-4)


def test_processes_share_the_planes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each scores every second plane; together these are all."""
    whole, _ = scored()
    parts: list[Any] = []

    def only_own(group: Group, part: Any) -> list[Any]:
        parts.append(part)
        return [part]

    monkeypatch.setattr(Group, "each", lambda group, work: work())
    monkeypatch.setattr(Group, "gathered", only_own)
    for rank in range(2):
        scored(Group(rank=rank, size=2))
    matrices = [np.sum(matrix, axis=0) for matrix in zip(*(part[0] for part in parts), strict=True)]
    for matrix, one in zip(matrices, whole.evaluation.images, strict=True):
        assert np.abs(matrix - one.matrix).sum() <= 2
    losses = np.sum([part[1] for part in parts], axis=0)
    assert float(losses.mean()) == pytest.approx(whole.loss, rel=1e-4)
