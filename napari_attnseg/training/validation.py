"""Scoring the network on whole held-out images while it is being trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_attnseg.data.patches import LoadedImage
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet
from napari_attnseg.prediction.fitting import Tiling, predict_within_memory
from napari_attnseg.prediction.labels import to_labels
from napari_attnseg.prediction.tiling import FloatArray
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
    with the number of images that are done. The planes are shared out over the processes of `group`.

    Raises
    ------
    Stopped
        `should_stop` returned True.
    """
    names = plan.convention.class_names
    planes = [(number, plane) for number, image in enumerate(images) for plane in range(len(image.labels))]

    def scored() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        matrices, losses = np.zeros((len(images), len(names), len(names)), np.int64), np.zeros(len(planes))
        for place in range(group.rank, len(planes), group.size):
            number, plane = planes[place]
            matrix, losses[place] = _scored(model, images[number], plane, compute, loss_of, len(names), should_stop)
            matrices[number] += matrix
            if plane == len(images[number].labels) - 1:
                on_image(number + 1)
        return matrices, losses

    parts = group.gathered(group.each(scored))
    matrices, losses = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    found = tuple(ImageScore(image.name, matrix) for image, matrix in zip(images, matrices, strict=True))
    return Validation(Evaluation(found, names), float(np.mean(losses)))


def _scored(
    model: UNet,
    image: LoadedImage,
    plane: int,
    compute: Compute,
    loss_of: Loss,
    n_classes: int,
    should_stop: Callable[[], bool],
) -> tuple[NDArray[np.int64], float]:
    """Return the confusion matrix of a plane and its loss."""
    # A CPU gains nothing from several tiles at once, and a stop is seen between two passes.
    tiling = Tiling(batch_size=1) if compute.device.type == "cpu" else Tiling()
    pixels = image.pixels[plane].astype(np.float32)
    probability = predict_within_memory(model, pixels[None], compute, tiling, should_stop=should_stop)[0].probability
    truth, valid = image.labels[plane][None], None if image.valid is None else image.valid[plane][None]
    loss = loss_of(
        _logits(probability), torch.from_numpy(truth).long(), None if valid is None else torch.from_numpy(valid)
    )
    return confusion_matrix(truth, to_labels(probability)[None], n_classes, valid), float(loss)


def _logits(probability: FloatArray) -> torch.Tensor:
    """Return (1, classes, y, x) from which sigmoid or softmax give back the blended probabilities."""
    tensor = torch.from_numpy(probability)[None].clamp(1e-6, 1 - 1e-6)
    return torch.logit(tensor) if tensor.shape[1] == 1 else torch.log(tensor)
