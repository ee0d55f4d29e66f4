"""Scores of a predicted mask against the true one, from one confusion matrix.

Accuracy, F1 (= Dice), Jaccard (= IoU), recall and precision are those of scikit-learn for the flattened masks; where
truth and prediction are both empty they count as 1. With more than two classes F1, Jaccard, recall and precision of an
image are averaged over the foreground classes that occur in its truth or its prediction (1 when none does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

SCORE_NAMES = ("accuracy", "f1", "jaccard", "recall", "precision")


@dataclass(frozen=True)
class Scores:
    """The five scores, each in [0, 1]."""

    accuracy: float
    f1: float
    jaccard: float
    recall: float
    precision: float

    def as_dict(self) -> dict[str, float]:
        """Return name to value, in the order of `SCORE_NAMES`."""
        return asdict(self)


def confusion_matrix(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], n_classes: int, valid: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Count the pixels of each true and predicted class.

    Parameters
    ----------
    truth, prediction
        Class ids 0..n_classes-1, of equal shape.
    n_classes
        Number of classes, background included; 2 for binary masks.
    valid
        False where a pixel is left out; None when all count.

    Returns
    -------
    (n_classes, n_classes) pixel counts; rows are the truth, columns the prediction.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth has shape {truth.shape}, prediction {prediction.shape}")
    if valid is not None:
        truth, prediction = truth[valid], prediction[valid]
    joint = truth.astype(np.int64).ravel() * n_classes + prediction.ravel()
    return np.bincount(joint, minlength=n_classes**2).reshape(n_classes, n_classes)


def class_dice(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the Dice of each class, background first; 1 where truth and prediction are both empty."""
    hit = np.diag(matrix)
    return _ratio(2 * hit, matrix.sum(0) + matrix.sum(1))


def class_iou(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the IoU of each class, background first; 1 where truth and prediction are both empty."""
    hit = np.diag(matrix)
    return _ratio(hit, matrix.sum(0) + matrix.sum(1) - hit)


def scores(matrix: NDArray[np.int64]) -> Scores:
    """Return the scores of one image, or of all pixels pooled, from its confusion matrix."""
    hit = np.diag(matrix)[1:]
    true, predicted = matrix.sum(1)[1:], matrix.sum(0)[1:]
    occurs = (true + predicted) > 0
    total = matrix.sum()
    accuracy = float(np.trace(matrix) / total) if total else 1.0
    if not occurs.any():
        return Scores(accuracy, 1.0, 1.0, 1.0, 1.0)
    hit, true, predicted = hit[occurs], true[occurs], predicted[occurs]
    return Scores(
        accuracy=accuracy,
        f1=float((2 * hit / (true + predicted)).mean()),
        jaccard=float((hit / (true + predicted - hit)).mean()),
        recall=float((hit / np.maximum(true, 1)).mean()),
        precision=float((hit / np.maximum(predicted, 1)).mean()),
    )


def mean_scores(each: Sequence[Scores]) -> Scores:
    """Return the mean over images."""
    return Scores(**{name: float(np.mean([getattr(one, name) for one in each])) for name in SCORE_NAMES})


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)
