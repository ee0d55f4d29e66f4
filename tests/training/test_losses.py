"""Losses against values worked out by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score, log_loss

from napari_attnseg.data.patches import LoadedImage
from napari_attnseg.settings import TrainingSettings, make
from napari_attnseg.training.class_weights import inverse_frequency
from napari_attnseg.training.losses import (
    FOCAL_GAMMA,
    LOSSES,
    SMOOTH,
    bce,
    dice,
    dice_bce,
    dice_focal,
    focal,
    jaccard,
    make_loss,
)

FAR = 30.0  # a logit whose probability is 0 or 1 to float32


def hard_logits(labels: torch.Tensor, classes: int) -> torch.Tensor:
    if classes == 1:
        return torch.where(labels > 0, FAR, -FAR)[:, None].float()
    return (torch.nn.functional.one_hot(labels, classes).movedim(-1, 1) * 2 - 1).float() * FAR


def draw(classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    count = max(classes, 2)
    return tuple(torch.from_numpy(rng.integers(0, count, (2, 9, 7))) for _ in range(2))  # type: ignore[return-value]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 4])
def test_perfect_is_0_and_wrong_is_more(name: str, classes: int) -> None:
    truth, other = draw(classes)
    assert float(LOSSES[name](hard_logits(truth, classes), truth)) == pytest.approx(0, abs=1e-5)
    assert float(LOSSES[name](hard_logits(other, classes), truth)) > 0.1


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 4])
def test_pixels_that_do_not_count_change_nothing_and_get_no_gradient(name: str, classes: int) -> None:
    truth, _ = draw(classes)
    valid = torch.zeros_like(truth, dtype=torch.bool)
    valid[:, :, :3] = True
    logits = torch.randn(2, classes, 9, 7, generator=torch.Generator().manual_seed(1), requires_grad=True)
    other = logits.detach().clone()
    other[:, :, :, 3:] = 5.0
    changed = truth.clone()
    changed[:, :, 3:] = 0
    loss = LOSSES[name](logits, truth, valid)
    assert loss.item() == pytest.approx(float(LOSSES[name](other, changed, valid)), rel=1e-6)
    assert loss.item() == pytest.approx(LOSSES[name](logits[..., :3], truth[..., :3]).item(), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert float(logits.grad[..., 3:].abs().max()) == 0
    assert float(logits.grad[..., :3].abs().max()) > 0


@pytest.mark.parametrize("name", LOSSES)
def test_no_pixel_that_counts_gives_no_nan(name: str) -> None:
    truth, _ = draw(1)
    assert math.isfinite(float(LOSSES[name](torch.randn(2, 1, 9, 7), truth, torch.zeros_like(truth, dtype=torch.bool))))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 3])
def test_empty_truth_pushes_the_prediction_down(name: str, classes: int) -> None:
    logits = torch.zeros(1, classes, 8, 8, requires_grad=True)
    LOSSES[name](logits, torch.zeros(1, 8, 8, dtype=torch.long)).backward()
    assert logits.grad is not None
    assert float(logits.grad[:, -1].min()) > 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [-1000.0, 1000.0])
def test_extreme_logits_stay_finite(name: str, value: float) -> None:
    logits = torch.full((1, 1, 4, 4), value, requires_grad=True)
    loss = LOSSES[name](logits, torch.ones(1, 4, 4, dtype=torch.long))
    loss.backward()
    assert math.isfinite(loss.item())
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("classes", [1, 4])
def test_hard_dice_and_jaccard_are_scikit_learns(classes: int) -> None:
    truth, predicted = draw(classes)
    labels = list(range(1, max(classes, 2)))
    big = 50  # repeated, so that the smoothing of one pixel does not show
    many = truth.repeat(big, 1, 1), hard_logits(predicted, classes).repeat(big, 1, 1, 1)
    flat = truth.numpy().ravel(), predicted.numpy().ravel()
    assert 1 - float(dice(many[1], many[0])) == pytest.approx(f1_score(*flat, labels=labels, average="macro"), abs=1e-3)
    expected = jaccard_score(*flat, labels=labels, average="macro")
    assert 1 - float(jaccard(many[1], many[0])) == pytest.approx(expected, abs=1e-3)


def test_cross_entropy_is_scikit_learns() -> None:
    truth, _ = draw(4)
    logits = torch.randn(2, 4, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    probability = logits.softmax(1).movedim(1, -1).reshape(-1, 4).numpy()
    assert float(bce(logits, truth)) == pytest.approx(log_loss(truth.numpy().ravel(), probability), rel=1e-5)


def test_values_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 0.0]]]])  # probability 0.5 in both pixels
    truth = torch.tensor([[[1, 0]]])
    assert float(bce(logits, truth)) == pytest.approx(math.log(2))
    assert float(focal(logits, truth)) == pytest.approx(0.5**FOCAL_GAMMA * math.log(2))
    assert float(dice(logits, truth)) == pytest.approx(1 - (2 * 0.5 + SMOOTH) / (1 + 1 + SMOOTH))
    assert float(jaccard(logits, truth)) == pytest.approx(1 - (0.5 + SMOOTH) / (1.5 + SMOOTH))
    assert float(dice_bce(logits, truth)) == pytest.approx(float(dice(logits, truth) + bce(logits, truth)))
    assert float(dice_focal(logits, truth)) == pytest.approx(float(dice(logits, truth) + focal(logits, truth)))


@pytest.mark.parametrize("classes", [1, 4])
def test_weighted_cross_entropy_is_pytorchs(classes: int) -> None:
    truth, _ = draw(classes)
    logits = torch.randn(2, classes, 9, 7, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([1.0, 30.0, 7.0, 0.5])[: max(classes, 2)]
    both = torch.cat((torch.zeros_like(logits), logits), dim=1) if classes == 1 else logits
    expected = torch.nn.functional.cross_entropy(both, truth, weight=weights)
    assert float(bce(logits, truth, None, weights)) == pytest.approx(float(expected), rel=1e-5)
    valid = torch.zeros_like(truth, dtype=torch.bool)
    valid[:, :, :3] = True
    expected = torch.nn.functional.cross_entropy(both[..., :3], truth[..., :3], weight=weights)
    assert float(bce(logits, truth, valid, weights)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_weights_count_where_there_is_cross_entropy(name: str) -> None:
    truth, _ = draw(4)
    logits = torch.randn(2, 4, 9, 7, generator=torch.Generator().manual_seed(0))
    settings = make(TrainingSettings, {"loss": name})
    plain = float(make_loss(settings)(logits, truth, None))
    assert plain == float(LOSSES[name](logits, truth))
    same = float(make_loss(settings, torch.ones(4))(logits, truth, None))
    assert same == pytest.approx(plain, rel=1e-5)
    weighted = float(make_loss(settings, torch.tensor([1.0, 50.0, 2.0, 3.0]))(logits, truth, None))
    assert (weighted == plain) == (name in ("dice", "jaccard"))


def test_the_share_of_focal() -> None:
    truth, _ = draw(1)
    logits = torch.randn(2, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    quarter = make_loss(make(TrainingSettings, {"loss": "dice_focal", "focal_share": 0.25}))
    assert float(quarter(logits, truth, None)) == pytest.approx(float(dice(logits, truth) + focal(logits, truth) / 4))


def test_rare_classes_count_more() -> None:
    labels = np.array([[[0, 0, 0, 0, 1, 1, 2, 2]]], np.uint8)
    pixels = np.zeros((1, 1, 1, 8), np.float16)
    assert inverse_frequency([LoadedImage("a", pixels, labels)], 4).tolist() == [2, 4, 4, 0]
    valid = np.array([[[False, False, True, True, True, True, True, False]]])
    two = [LoadedImage("a", pixels, labels), LoadedImage("b", pixels, labels, valid)]
    assert inverse_frequency(two, 3).tolist() == pytest.approx([13 / 6, 13 / 4, 13 / 3])
