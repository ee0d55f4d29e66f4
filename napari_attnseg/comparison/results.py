"""What a comparison found: scores of each image by each trained model, and the means that tables and figures show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.settings.prediction import DEFAULT_BATCH_SIZE
from napari_attnseg.training.evaluation import Evaluation, ImageScore
from napari_attnseg.training.metrics import class_dice, class_iou
from napari_attnseg.training.run_folder import MetricsRow

THEN = ", then "
"""Stands between the devices of a training that went on elsewhere."""

ClassMeasure = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""From a confusion matrix to a figure of each class, background first."""

CLASS_MEASURES: dict[str, ClassMeasure] = {"Dice": class_dice, "IoU": class_iou}
"""By what each class is measured where there are several."""


@dataclass(frozen=True)
class ScoredImage:
    """One held-out image and how one model did on it."""

    image: Path
    mask: Path
    group: str
    """Images of one group, such as a patient's, are of the same name here; the image's path if it stands alone."""
    result: ImageScore

    @property
    def score(self) -> float:
        """F1, which is Dice; with several classes the mean of those that occur in the image."""
        return self.result.scores.f1

    @property
    def has_objects(self) -> bool:
        """Whether anything but background is annotated."""
        return bool(self.result.matrix[1:].sum() > 0)


@dataclass(frozen=True)
class ScoredRun:
    """One trained model and its scores."""

    name: str
    model: Path
    """The model file; it need not be there any more."""
    images: tuple[ScoredImage, ...]
    class_names: tuple[str, ...]
    parameters: int
    seed: int | None = None
    fold: int | None = None
    minutes: float | None = None
    """How long it was trained; None if that is not known."""
    memory: int | None = None
    """The most bytes that the training held, on the GPU or without one in the computer's memory."""
    device: str = ""
    """Where it was trained, and if elsewhere scored; several in their order with `THEN` between. '' if unknown."""
    curve: tuple[MetricsRow, ...] = ()
    """The rows of metrics.csv."""
    time_is_limited: bool = False
    """Whether it was trained for a given time."""

    @property
    def evaluation(self) -> Evaluation:
        """The scores of all its images together."""
        return Evaluation(tuple(image.result for image in self.images), self.class_names)

    @property
    def has_moved(self) -> bool:
        """Whether it was computed on one device and then on another."""
        return THEN in self.device

    @property
    def last_score(self) -> float | None:
        """The score of the last epoch, which nobody chose; None without a curve."""
        return self.curve[-1].get("val_score") if self.curve else None

    @property
    def images_per_second(self) -> float | None:
        """How fast images are predicted; the first batch, or image, is left out, since a device has to warm up."""
        seconds = [image.result.seconds for image in self.images if image.result.seconds is not None]
        measured = seconds[DEFAULT_BATCH_SIZE:] or seconds[1:] or seconds
        return len(measured) / sum(measured) if measured and sum(measured) > 0 else None


@dataclass(frozen=True)
class Spread:
    """The mean of a figure over runs, and its standard deviation (of a sample; None of less than two)."""

    mean: float
    deviation: float | None
    count: int

    def text(self, digits: int = 3, between: str = " ") -> str:
        """Return it for people: '0.873 ± 0.004'."""
        spread = "" if self.deviation is None else f"{between}± {self.deviation:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """Return mean and deviation of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Spread(float(np.mean(known)), deviation, len(known))


@dataclass(frozen=True)
class ByClass:
    """Dice or IoU of each class over all pixels of a repeat, and their means, spread over the repeats."""

    each: tuple[Spread, ...]
    """Background first."""
    mean: Spread
    """Of all classes but the background."""
    mean_with_background: Spread


@dataclass(frozen=True)
class ComparedModel:
    """All runs of one of the things that are compared."""

    label: str
    """What it is called beside the others."""
    runs: tuple[ScoredRun, ...]
    model: str = ""
    loss: str = ""
    recipe: str = ""

    def mean(self, score: str) -> Spread:
        """Return one of the five scores: its mean over the images of a repeat, spread over the repeats."""
        found = spread_of(getattr(one.mean, score) for one in self.repeats)
        assert found is not None  # a compared model has a run, and a run an image
        return found

    @property
    def repeats(self) -> list[Evaluation]:
        """The scores of the images of each repeat, which is a run or the runs of all folds with one seed."""
        seeds = dict.fromkeys(run.seed for run in self.runs)
        images = [[image.result for run in self.runs if run.seed == seed for image in run.images] for seed in seeds]
        return [Evaluation(tuple(found), self.runs[0].class_names) for found in images]

    def dice(self, class_id: int) -> Spread:
        """Return the Dice of a class over all pixels of a repeat, those of its folds together, spread over repeats."""
        found = spread_of(float(one.dice[class_id]) for one in self.repeats)
        assert found is not None
        return found

    def by_class(self, measure: ClassMeasure) -> ByClass:
        """Return what each class scores over all pixels of a repeat, those of its folds together."""
        values = np.array([measure(one.matrix) for one in self.repeats])  # (repeats, classes)

        def spread(of_repeats: NDArray[np.float64]) -> Spread:
            found = spread_of(of_repeats.tolist())
            assert found is not None
            return found

        means = spread(values[:, 1:].mean(axis=1)), spread(values.mean(axis=1))
        return ByClass(tuple(spread(column) for column in values.T), *means)

    @property
    def image_scores(self) -> dict[Path, float]:
        """The score of each image, averaged over the runs that it was held out from."""
        by_image: dict[Path, list[float]] = {}
        for run in self.runs:
            for image in run.images:
                by_image.setdefault(image.image, []).append(image.score)
        return {path: float(np.mean(values)) for path, values in by_image.items()}

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The confusion matrix over the pixels of all images, (classes, classes), averaged over repeats."""
        return np.asarray(np.mean([one.matrix for one in self.repeats], axis=0), np.float64)


@dataclass(frozen=True)
class Results:
    """All that a report shows."""

    models: tuple[ComparedModel, ...]
    class_names: tuple[str, ...]
    class_colours: tuple[str, ...]
    """'#rrggbb', background first."""
    convention: MaskConvention
    """What the values of the masks mean."""
    failures: tuple[tuple[str, str], ...] = ()
    """Runs that failed, and why."""
    is_grouped: bool = False
    """Whether the images have groups, such as patients."""
    missing: int = 0
    """Runs that were asked for and have neither a score nor a failure, because the comparison was stopped."""

    @property
    def has_classes(self) -> bool:
        """Whether there is more than foreground and background."""
        return len(self.class_names) > 2

    @property
    def devices(self) -> dict[str, int]:
        """Where it was computed, and how many runs were there; of models that came as files nothing is known."""
        return dict(Counter(run.device for model in self.models for run in model.runs if run.device))

    @property
    def images(self) -> dict[Path, ScoredImage]:
        """The images that every model was scored on, by their path; what is kept of each is one of its scores."""
        common = set.intersection(*(set(model.image_scores) for model in self.models))
        known = {image.image: image for run in self.models[0].runs for image in run.images}
        return {path: known[path] for path in sorted(common)}

    def unit_scores(self, model: ComparedModel) -> dict[str, float]:
        """Return the scores that a test pairs: of images, or where they have groups the means of the groups."""
        groups: dict[str, list[float]] = {}
        scores = model.image_scores
        for path, image in self.images.items():
            groups.setdefault(image.group, []).append(scores[path])
        return {name: float(np.mean(values)) for name, values in groups.items()}


def ranked(models: Sequence[ComparedModel]) -> list[ComparedModel]:
    """Return the models, the highest mean score first."""
    return sorted(models, key=lambda model: -model.mean("f1").mean)


def image_dice(image: ScoredImage) -> list[float]:
    """Return the Dice of each foreground class in an image."""
    return [float(value) for value in class_dice(image.result.matrix)[1:]]
