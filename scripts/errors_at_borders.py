"""How much of a binary model's error lies at borders: `errors_at_borders.py MODEL FOLDER`.

Of the images that were held out while the model was trained, so that nothing is learnt about those that it is reported
on. Prints the mean F1 as it is, with the best threshold for each image, and with what is wrong within one and two
pixels of a border of the masks forgiven; then the same for each image, the worst first.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from napari_attnseg.data.masks import read_mask
from napari_attnseg.data.pairs import Pair, find_pairs
from napari_attnseg.data.split import image_digest
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.settings import PredictionSettings

TITLES = ("F1", "best threshold", "1 px forgiven", "2 px forgiven")
THRESHOLDS = np.arange(0.2, 0.85, 0.05)

Array = np.ndarray[Any, Any]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Show how much of a binary model's error lies at borders.")
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    predictor = Predictor(asked.model, PredictionSettings(probability=True))
    held_out = set(predictor.card.training["held_out_images"])
    pairs = [pair for pair in find_pairs(asked.folder).pairs if image_digest(pair.image) in held_out]
    rows = sorted((_scores(predictor, pair), pair.image.name) for pair in pairs)
    print(f"{len(rows)} held-out images", *TITLES, sep="\t")
    print("mean", *(f"{value:.4f}" for value in np.mean([row for row, _ in rows], axis=0)), sep="\t")
    for row, name in rows:
        print(name, *(f"{value:.3f}" for value in row), sep="\t")


def _scores(predictor: Predictor, pair: Pair) -> tuple[float, ...]:
    prediction = predictor.predict_file(pair.image)
    assert prediction.probability is not None
    assert pair.mask is not None
    probability = prediction.probability[0, 0]
    true = read_mask(pair.mask, predictor.convention, prediction.info)[0] > 0
    found = probability > predictor.settings.threshold
    best = max(_f1(probability > threshold, true) for threshold in THRESHOLDS)
    return _f1(found, true), best, *(_f1(np.where(_border(true, width), true, found), true) for width in (1, 2))


def _border(mask: Array, width: int) -> Array:
    """Return what lies within so many pixels of a border, on either side."""
    around = ndimage.binary_dilation(mask, iterations=width)
    return np.asarray(around & ~ndimage.binary_erosion(mask, iterations=width, border_value=1))


def _f1(found: Array, true: Array) -> float:
    return float(2 * np.sum(found & true) / max(np.sum(found) + np.sum(true), 1))


if __name__ == "__main__":
    main()
