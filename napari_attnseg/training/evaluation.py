"""How good a model is on annotated images: per image, pooled over all pixels, and for every class."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.data.atomic import write_text
from napari_attnseg.training.metrics import (
    SCORE_NAMES,
    Scores,
    class_dice,
    class_iou,
    confusion_matrix,
    mean_scores,
    scores,
)


@dataclass(frozen=True)
class ImageScore:
    """One image's confusion matrix over all its planes, (classes, classes), rows the truth."""

    name: str
    matrix: NDArray[np.int64]
    seconds: float | None = None
    """How long the prediction took, without reading the files; None if that was not measured."""

    @property
    def scores(self) -> Scores:
        """The five scores of the image."""
        return scores(self.matrix)


@dataclass(frozen=True)
class Evaluation:
    """Scores of at least one image."""

    images: tuple[ImageScore, ...]
    class_names: tuple[str, ...]
    """Background first."""

    @property
    def mean(self) -> Scores:
        """The mean over images."""
        return mean_scores([image.scores for image in self.images])

    @property
    def matrix(self) -> NDArray[np.int64]:
        """The confusion matrix of all pixels of all images."""
        return np.asarray(np.sum([image.matrix for image in self.images], axis=0), np.int64)

    @property
    def pooled(self) -> Scores:
        """The scores of all pixels together."""
        return scores(self.matrix)

    @property
    def dice(self) -> NDArray[np.float64]:
        """Dice of each class over all pixels together, background first."""
        return class_dice(self.matrix)

    @property
    def selection_score(self) -> float:
        """The one figure by which the best epoch is chosen.

        For binary masks the mean F1 over images; with more classes the mean of the foreground classes' Dice over all
        pixels, since in single slices small organs are there or not by chance.
        """
        return self.mean.f1 if len(self.class_names) == 2 else float(self.dice[1:].mean())

    def called(self, names: Sequence[str]) -> Evaluation:
        """Return the same scores with other names of the images, one for each."""
        images = (replace(image, name=name) for image, name in zip(self.images, names, strict=True))
        return replace(self, images=tuple(images))

    def to_json(self) -> dict[str, Any]:
        """Return the content of evaluate's JSON file."""
        iou = class_iou(self.matrix)
        dice = self.dice
        return {
            "images": len(self.images),
            "mean": self.mean.as_dict(),
            "pooled": self.pooled.as_dict(),
            "classes": [
                {"id": number, "name": name, "dice": float(dice[number]), "iou": float(iou[number])}
                for number, name in enumerate(self.class_names)
            ],
            "mean_dice": {"with_background": float(dice.mean()), "without_background": float(dice[1:].mean())},
            "mean_iou": {"with_background": float(iou.mean()), "without_background": float(iou[1:].mean())},
        }

    def write_csv(self, path: Path) -> None:
        """Write scores.csv: Image, the five scores, then the Dice of each foreground class."""
        write_csv(path, [("", self)])


def write_csv(path: Path, evaluations: Sequence[tuple[str, Evaluation]]) -> None:
    """Write scores.csv for one model, or for several models of the same classes with the model named in front.

    Parameters
    ----------
    path
        The file.
    evaluations
        Names of models, and their scores.

    Raises
    ------
    SaveError
        The file cannot be written.
    """
    several = len(evaluations) > 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    dice = [f"Dice {name}" for name in evaluations[0][1].class_names[1:]]
    writer.writerow([*(["Model"] * several), "Image", *(name.capitalize() for name in SCORE_NAMES), *dice])
    for model, evaluation in evaluations:
        for image in evaluation.images:
            values = [*image.scores.as_dict().values(), *class_dice(image.matrix)[1:]]
            writer.writerow([*([model] * several), image.name, *(f"{value:.6f}" for value in values)])
    write_text(path, text.getvalue())


def score_image(
    name: str,
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    n_classes: int,
    valid: NDArray[np.bool_] | None = None,
) -> ImageScore:
    """Compare class ids (plane, y, x) with the true ones, where `valid` is True; None: everywhere."""
    return ImageScore(name, confusion_matrix(truth, prediction, n_classes, valid))


def table(evaluation: Evaluation) -> Sequence[tuple[str, str, str]]:
    """Return rows of text: score, mean over images, all pixels pooled."""
    mean, pooled = evaluation.mean.as_dict(), evaluation.pooled.as_dict()
    return [(name.capitalize(), f"{mean[name]:.4f}", f"{pooled[name]:.4f}") for name in SCORE_NAMES]
