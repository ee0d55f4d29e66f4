"""How much the pixels of each class count in a loss: the more, the rarer the class is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from napari_attnseg.data.patches import LoadedImage


def inverse_frequency(images: Sequence[LoadedImage], n_classes: int) -> Tensor:
    """Return all pixels divided by the pixels of each class.

    Parameters
    ----------
    images
        What is trained on; pixels that do not count are left out.
    n_classes
        With background, at least 2.

    Returns
    -------
    float32 (n_classes,), at least 1; 0 for a class that no image shows.
    """
    counts = np.zeros(n_classes, np.int64)
    for image in images:
        for plane in range(len(image.labels)):
            labels = image.labels[plane]
            labels = labels if image.valid is None else labels[image.valid[plane]]
            counts += np.bincount(labels.ravel(), minlength=n_classes)
    weights = np.where(counts > 0, counts.sum() / np.maximum(counts, 1), 0.0)
    return torch.from_numpy(weights.astype(np.float32))
