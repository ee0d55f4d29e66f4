"""How unsure a model is: of each pixel, to be looked at, and of an image, to choose which one to annotate next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SURE = 0.15
"""A pixel whose likeliest class leaves at most this probability to the others counts as sure."""
_SMOOTHING = 0.002

Array = NDArray[np.floating[Any]]


def uncertainty_map(probability: Array) -> NDArray[np.float32]:
    """Return how unsure the model is of each pixel: the entropy of its classes as a share of the largest possible.

    Parameters
    ----------
    probability
        (class, y, x) in [0, 1]: one plane for a binary model, else one a class, summing to 1.

    Returns
    -------
    ndarray
        float32 (y, x) in [0, 1]: 0 where one class is certain, 1 where all are equally likely.
    """
    classes = max(len(probability), 2)
    entropy = np.zeros(probability.shape[1:], np.float32)
    for share in _shares(probability):
        positive = np.clip(share, np.finfo(np.float32).tiny, 1)
        entropy -= positive * np.log(positive)
    return np.asarray(np.clip(entropy / np.float32(np.log(classes)), 0, 1), np.float32)


def image_uncertainty(probability: Array) -> float:
    """Return how much of what the model finds in an image is probably wrong, 0 to 1.

    With d the probability that a pixel is not of its likeliest class, taken as 0 up to 0.15, this is

        sum d / (2 sum over found pixels of (1 - d) + sum d + 0.002 n)

    over the n pixels; found are those whose likeliest class is not the background. Were the probabilities true, the
    sums would be the expected numbers of wrong and of right pixels, and the whole 1 - F1. So the sharp border of an
    object counts for little beside its area, and a doubtful object for all of its area. What is small everywhere is
    left out, since a network never says quite 0: else a large empty background would outweigh a few objects. The last
    term keeps a handful of doubtful pixels from making an empty image an unsure one.

    Parameters
    ----------
    probability
        (class, y, x) as for `uncertainty_map`.
    """
    if not probability.size:
        return 0.0
    likeliest = np.zeros(probability.shape[1:], np.float32)
    for share in _shares(probability):
        np.maximum(likeliest, share, out=likeliest)
    found = probability[0] > 0.5 if len(probability) == 1 else probability[0] < likeliest
    doubt = np.where(likeliest < 1 - SURE, 1 - likeliest, np.float32(0))
    wrong = float(doubt.sum(dtype=np.float64))
    right = float((1 - doubt).sum(where=found, dtype=np.float64))
    return wrong / (2 * right + wrong + _SMOOTHING * doubt.size)


def _shares(probability: Array) -> list[NDArray[np.float32]]:
    """Return the probability of each class, the background of a binary model included."""
    planes = [np.asarray(plane, np.float32) for plane in probability]
    return planes if len(planes) > 1 else [planes[0], 1 - planes[0]]
