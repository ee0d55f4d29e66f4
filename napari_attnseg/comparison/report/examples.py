"""The pictures of a comparison: the best, the median and the worst image, predicted by each model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.comparison.results import ComparedModel, Results, ScoredImage, ScoredRun
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.loading import network_input
from napari_attnseg.data.masks import read_mask
from napari_attnseg.data.tiff import read_image
from napari_attnseg.errors import AttnSegError
from napari_attnseg.prediction.figures import displayed
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.tiling import FloatArray
from napari_attnseg.settings import PredictionSettings

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Predicted:
    """One model's prediction of a plane: class ids (y, x), attention (gate, y, x) in [0, 1], None without gates."""

    label: str
    score: float
    """The model's score of the whole image, averaged over its runs."""
    labels: Labels
    attention: FloatArray | None


@dataclass(frozen=True)
class ExampleImage:
    """A plane of an image as (y, x, 3) in [0, 1], its true class ids (y, x), and what each model says."""

    rank: str
    """'best', 'median' or 'worst'."""
    name: str
    score: float
    """The mean over the models."""
    picture: FloatArray
    truth: Labels
    predicted: tuple[Predicted, ...]
    plane: str = ""
    """Which plane of a stack it is; '' for a single image."""


def chosen_images(results: Results) -> list[tuple[str, ScoredImage, float]]:
    """Return the best, the median and the worst image by the mean score over the models.

    Images without any object are passed over as long as there are others: there is nothing to see in them.
    """
    by_model = [model.image_scores for model in results.models]
    images = results.images
    shown = [path for path, image in images.items() if image.has_objects] or list(images)
    means = {path: float(np.mean([scores[path] for scores in by_model])) for path in shown}
    order = sorted(shown, key=lambda path: (-means[path], path))
    if not order:
        return []
    picks = {"best": 0, "median": len(order) // 2, "worst": len(order) - 1}
    chosen: dict[int, str] = {}
    for rank, number in picks.items():
        chosen.setdefault(number, rank)
    return [(rank, images[order[number]], means[order[number]]) for number, rank in sorted(chosen.items())]


def predict_examples(results: Results, settings: PredictionSettings) -> tuple[list[ExampleImage], list[str]]:
    """Predict the chosen images by the first run of each model that they were held out from.

    Parameters
    ----------
    results
        The scores, with the model files.
    settings
        The device, and whatever else prediction is told; attention is added.

    Returns
    -------
    The images, and a sentence for each model that could not be applied, such as when its file is gone.
    """
    settings = settings.model_copy(update={"attention": True})
    chosen = chosen_images(results)
    planes: dict[Path, tuple[FloatArray, Labels, int, int]] = {}
    found: dict[Path, list[Predicted]] = {image.image: [] for _, image, _ in chosen}
    troubles = []
    for model in results.models:
        try:
            _predict_by(model, [image for _, image, _ in chosen], results.convention, settings, planes, found)
        except AttnSegError as error:
            troubles.append(f"{model.label} has no pictures: {error}")
    examples = []
    for rank, image, score in chosen:
        if image.image not in planes:
            continue
        picture, truth, plane, count = planes[image.image]
        where = f"plane {plane + 1} of {count}" if count > 1 else ""
        predicted = tuple(found[image.image])
        examples.append(ExampleImage(rank, image.result.name, score, picture, truth, predicted, where))
    return examples, troubles


def _predict_by(
    model: ComparedModel,
    images: Sequence[ScoredImage],
    convention: MaskConvention,
    settings: PredictionSettings,
    planes: dict[Path, tuple[FloatArray, Labels, int, int]],
    found: dict[Path, list[Predicted]],
) -> None:
    """Predict images by one model, whose files are loaded one at a time: several would fill a GPU's memory."""
    scores = model.image_scores
    runs: dict[str, ScoredRun] = {}
    wanted: dict[str, list[ScoredImage]] = {}
    for scored in images:
        run = next(run for run in model.runs if any(one.image == scored.image for one in run.images))
        runs[run.name] = run
        wanted.setdefault(run.name, []).append(scored)
    for name, run in runs.items():
        predictor = Predictor(run.model, settings)
        for scored in wanted[name]:
            image = read_image(scored.image, predictor.data.axes)
            prediction = predictor.predict_image(image)
            if scored.image not in planes:
                truth = read_mask(scored.mask, convention, image.info)
                plane = int(np.argmax((truth > 0).sum((1, 2))))  # the one with most to see
                pixels = network_input(image, predictor.data)[plane]
                planes[scored.image] = displayed(pixels), truth[plane], plane, len(truth)
            plane = planes[scored.image][2]
            attention = None if prediction.attention is None else prediction.attention[plane]
            gates = attention if attention is not None and len(attention) else None
            predicted = Predicted(model.label, scores[scored.image], prediction.labels[plane], gates)
            found[scored.image].append(predicted)
