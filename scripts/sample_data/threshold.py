"""Global threshold: the simplest segmentation, as a measure of how hard an image is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.filters import threshold_otsu


def otsu_f1(image: NDArray[np.generic], mask: NDArray[np.uint8]) -> float:
    """F1 of the best single threshold by Otsu's rule on the grey image, with the better of the two polarities."""
    grey = rgb2gray(image) if image.shape[-1] == 3 else image
    truth, bright = mask > 0, grey > threshold_otsu(grey)
    return max(2.0 * float((guess & truth).sum()) / float(guess.sum() + truth.sum()) for guess in (bright, ~bright))
