"""Tidying predicted class ids: small objects dropped, holes filled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label


def tidy(labels: NDArray[np.uint8], *, min_size: int = 0, fill_holes: bool = False) -> NDArray[np.uint8]:
    """Return class ids (y, x) without objects of fewer than `min_size` pixels and, on request, without holes.

    An object is a connected region of one class, diagonals included. Dropped objects become background; a hole is
    background that one class surrounds, and it becomes that class.
    """
    if min_size <= 1 and not fill_holes:
        return labels
    tidied = labels.copy()
    if min_size > 1:
        objects = label(labels, background=0, connectivity=2)
        too_small = np.bincount(objects.ravel()) < min_size
        too_small[0] = False
        tidied[too_small[objects]] = 0
    if fill_holes:
        for value in np.unique(tidied[tidied > 0]):
            filled = ndimage.binary_fill_holes(tidied == value)
            tidied[filled & (tidied == 0)] = value
    return tidied
