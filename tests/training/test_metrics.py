"""Scores against scikit-learn, and by hand where scikit-learn has no answer."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from napari_attnseg.training.evaluation import Evaluation, score_image
from napari_attnseg.training.metrics import SCORE_NAMES, class_dice, class_iou, confusion_matrix, mean_scores, scores


def draw(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(0, classes, (3, 20, 11)).astype(np.uint8) for _ in range(2))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(3))
def test_binary_scores_are_scikit_learns(seed: int) -> None:
    truth, predicted = draw(2, seed)
    found = scores(confusion_matrix(truth, predicted, 2)).as_dict()
    flat = truth.ravel(), predicted.ravel()
    expected = [
        f(*flat) for f in (sk.accuracy_score, sk.f1_score, sk.jaccard_score, sk.recall_score, sk.precision_score)
    ]
    assert list(found) == list(SCORE_NAMES)
    assert list(found.values()) == pytest.approx(expected)


def test_multi_class_scores_are_scikit_learns_over_the_foreground() -> None:
    truth, predicted = draw(5)
    found = scores(confusion_matrix(truth, predicted, 5))
    flat, labels = (truth.ravel(), predicted.ravel()), [1, 2, 3, 4]
    assert found.f1 == pytest.approx(sk.f1_score(*flat, labels=labels, average="macro"))
    assert found.jaccard == pytest.approx(sk.jaccard_score(*flat, labels=labels, average="macro"))
    assert found.recall == pytest.approx(sk.recall_score(*flat, labels=labels, average="macro"))
    assert found.precision == pytest.approx(sk.precision_score(*flat, labels=labels, average="macro"))
    matrix = confusion_matrix(truth, predicted, 5)
    assert np.array_equal(matrix, sk.confusion_matrix(*flat))
    assert class_dice(matrix) == pytest.approx(sk.f1_score(*flat, average=None))
    assert class_iou(matrix) == pytest.approx(sk.jaccard_score(*flat, average=None))


@pytest.mark.parametrize(
    ("truth", "predicted", "f1", "recall", "precision"),
    [(0, 0, 1, 1, 1), (1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (1, 1, 1, 1, 1)],
)
def test_empty_and_full_masks(truth: int, predicted: int, f1: float, recall: float, precision: float) -> None:
    shape = (1, 4, 4)
    found = score_image("a", np.full(shape, truth, np.uint8), np.full(shape, predicted, np.uint8), 2).scores
    assert (found.f1, found.jaccard, found.recall, found.precision) == (f1, f1, recall, precision)


def test_a_class_that_is_nowhere_does_not_lift_the_mean() -> None:
    truth, predicted = np.array([[[1, 1, 0, 0]]], np.uint8), np.array([[[1, 0, 0, 0]]], np.uint8)
    matrix = confusion_matrix(truth, predicted, 5)
    assert scores(matrix).f1 == pytest.approx(2 / 3)
    assert class_dice(matrix)[2] == 1


def test_pixels_that_do_not_count_are_left_out() -> None:
    truth, predicted = draw(2)
    valid = np.zeros(truth.shape, bool)
    valid[0] = True
    part = confusion_matrix(truth, predicted, 2, valid)
    assert np.array_equal(part, confusion_matrix(truth[0], predicted[0], 2))


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        confusion_matrix(np.zeros((1, 2, 2), int), np.zeros((1, 2, 3), int), 2)


def test_mean_and_pooled_differ_as_they_should() -> None:
    truth = [np.ones((1, 10, 10), np.uint8), np.eye(2, dtype=np.uint8)[None]]
    predicted = [np.ones((1, 10, 10), np.uint8), np.zeros((1, 2, 2), np.uint8)]
    images = tuple(score_image(str(n), t, p, 2) for n, (t, p) in enumerate(zip(truth, predicted, strict=True)))
    found = Evaluation(images, ("background", "object"))
    assert found.mean == mean_scores([image.scores for image in images])
    assert found.mean.f1 == pytest.approx(0.5)
    assert found.pooled.f1 == pytest.approx(2 * 100 / 202)
