"""Scoring the network on whole held-out images while it is being trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from napari_attnseg.data.patches import LoadedImage
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet
from napari_attnseg.prediction.fitting import Tiling, predict_within_memory
from napari_attnseg.prediction.labels import to_labels
from napari_attnseg.prediction.tiling import FloatArray
from napari_attnseg.settings.prediction import DEFAULT_BATCH_SIZE, DEFAULT_TILE_SIZE
from napari_attnseg.training.evaluation import Evaluation, ImageScore
from napari_attnseg.training.group import ALONE, Group
from napari_attnseg.training.losses import Loss
from napari_attnseg.training.metrics import confusion_matrix
from napari_attnseg.training.plan import Plan


@dataclass(frozen=True)
class Validation:
    """What the held-out images say."""

    evaluation: Evaluation
    loss: float

    @property
    def score(self) -> float:
        """The figure by which the best epoch is chosen."""
        return self.evaluation.selection_score

    @property
    def row(self) -> dict[str, float]:
        """Columns of metrics.csv."""
        names = self.evaluation.class_names
        dice = {f"val_dice_{name}": float(value) for name, value in zip(names, self.evaluation.dice, strict=True)}
        means = {f"val_{name}": value for name, value in self.evaluation.mean.as_dict().items()}
        return {"val_loss": self.loss, "val_score": self.score, **means, **(dice if len(names) > 2 else {})}


def validate(
    model: UNet,
    images: Sequence[LoadedImage],
    compute: Compute,
    plan: Plan,
    loss_of: Loss,
    should_stop: Callable[[], bool],
    on_image: Callable[[int], None] = lambda count: None,
    group: Group = ALONE,
) -> Validation:
    """Predict whole images as `predict` does and score them.

    `loss_of` is what the network learns by; `should_stop` is asked between batches of tiles, and `on_image` is called
    with as many images as the planes that are done amount to. The planes are shared out over the processes of `group`.

    Raises
    ------
    Stopped
        `should_stop` returned True.
    """
    names = plan.convention.class_names
    planes = [(number, plane) for number, image in enumerate(images) for plane in range(len(image.labels))]
    planes.sort(key=lambda place: images[place[0]].labels.shape[1:])  # so that those of one size follow each other

    def scored() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        matrices, losses = np.zeros((len(images), len(names), len(names)), np.int64), np.zeros(len(planes))
        own = range(group.rank, len(planes), group.size)
        done = 0
        for places in _batches(own, [images[number].labels.shape[1:] for number, _ in planes], compute):
            batch = [(images[planes[place][0]], planes[place][1]) for place in places]
            found = _predicted(model, [image.pixels[plane] for image, plane in batch], compute, should_stop)
            for place, (image, plane), probability in zip(places, batch, found, strict=True):
                matrix, losses[place] = _scored(image, plane, probability, loss_of, len(names))
                matrices[planes[place][0]] += matrix
            done += len(batch)
            on_image(len(images) * done // len(own))
        return matrices, losses

    parts = group.gathered(group.each(scored))
    matrices, losses = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    found = tuple(ImageScore(image.name, matrix) for image, matrix in zip(images, matrices, strict=True))
    return Validation(Evaluation(found, names), float(np.mean(losses)))


def _batches(places: Iterable[int], sizes: Sequence[tuple[int, ...]], compute: Compute) -> Iterator[list[int]]:
    """Yield the planes that go through the network together: small ones of one size, which follow each other.

    On a CPU they are as many pixels as a tile: more at once gain nothing, and a stop is seen between two passes.
    """
    most = DEFAULT_TILE_SIZE**2 * (1 if compute.device.type == "cpu" else DEFAULT_BATCH_SIZE)
    for size, alike in groupby(places, key=lambda place: sizes[place]):
        together = list(alike)
        count = max(most // prod(size), 1)
        for first in range(0, len(together), count):
            yield together[first : first + count]


def _predicted(
    model: UNet, planes: Sequence[NDArray[np.float16]], compute: Compute, should_stop: Callable[[], bool]
) -> list[FloatArray]:
    """Return the probabilities (class, y, x) of planes (channel, y, x) of one size."""
    tiles = len(planes) if compute.device.type == "cpu" else max(len(planes), DEFAULT_BATCH_SIZE)
    pixels = np.stack(planes).astype(np.float32)
    found = predict_within_memory(model, pixels, compute, Tiling(batch_size=tiles), should_stop=should_stop)
    return [one.probability for one in found]


def _scored(
    image: LoadedImage, plane: int, probability: FloatArray, loss_of: Loss, n_classes: int
) -> tuple[NDArray[np.int64], float]:
    """Return the confusion matrix of a plane and its loss."""
    truth, valid = image.labels[plane][None], None if image.valid is None else image.valid[plane][None]
    loss = loss_of(
        _logits(probability), torch.from_numpy(truth).long(), None if valid is None else torch.from_numpy(valid)
    )
    return confusion_matrix(truth, to_labels(probability)[None], n_classes, valid), float(loss)


def _logits(probability: FloatArray) -> torch.Tensor:
    """Return (1, classes, y, x) from which sigmoid or softmax give back the blended probabilities."""
    tensor = torch.from_numpy(probability)[None].clamp(1e-6, 1 - 1e-6)
    return torch.logit(tensor) if tensor.shape[1] == 1 else torch.log(tensor)
