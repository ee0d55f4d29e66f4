"""From probabilities to class ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_labels(probability: NDArray[np.floating[Any]], threshold: float = 0.5) -> NDArray[np.uint8]:
    """Return class ids (y, x) from probability (classes, y, x): above the threshold if binary, else the likeliest."""
    if len(probability) == 1:
        return np.asarray(probability[0] > threshold, np.uint8)
    return np.asarray(probability.argmax(axis=0), np.uint8)
