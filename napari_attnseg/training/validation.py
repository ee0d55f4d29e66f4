"""Scoring the network on whole held-out images while it is being trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_attnseg.data.patches import LoadedImage
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet
from napari_attnseg.prediction.labels import to_labels
from napari_attnseg.prediction.tiling import FloatArray, Stopped, predict_plane
from napari_attnseg.training.evaluation import Evaluation, score_image
from napari_attnseg.training.losses import Loss
from napari_attnseg.training.plan import Plan

__all__ = ["Stopped", "Validation", "validate"]

_SMALLEST_TILE = 128


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
) -> Validation:
    """Predict whole images as `predict` does and score them.

    `loss_of` is what the network learns by; `should_stop` is asked between batches of tiles, and `on_image` is called
    with the number of images that are done.

    Raises
    ------
    Stopped
        `should_stop` returned True.
    """
    names = plan.convention.class_names
    scored, losses = [], []
    for count, image in enumerate(images, start=1):
        labels = np.empty_like(image.labels)
        for plane, pixels in enumerate(image.pixels):
            probability = _predict(model, pixels.astype(np.float32), compute, should_stop)
            labels[plane] = to_labels(probability)
            valid = None if image.valid is None else torch.from_numpy(image.valid[plane][None])
            truth = torch.from_numpy(image.labels[plane][None]).long()
            losses.append(float(loss_of(_logits(probability), truth, valid)))
        on_image(count)
        scored.append(score_image(image.name, image.labels, labels, len(names), image.valid))
    return Validation(Evaluation(tuple(scored), names), float(np.mean(losses)))


def _predict(model: UNet, plane: FloatArray, compute: Compute, should_stop: Callable[[], bool]) -> FloatArray:
    """Return the probabilities of a plane, in smaller pieces where the GPU's memory is too small."""
    # A CPU gains nothing from several tiles at once, and a stop is seen between two passes.
    batch, tile = (1 if compute.device.type == "cpu" else 4), 512
    while True:
        try:
            return predict_plane(
                model, plane, compute, tile_size=tile, batch_size=batch, should_stop=should_stop
            ).probability
        except torch.OutOfMemoryError:
            if batch == 1 and tile <= _SMALLEST_TILE:
                raise
        batch, tile = (1, tile) if batch > 1 else (1, tile // 2)


def _logits(probability: FloatArray) -> torch.Tensor:
    """Return (1, classes, y, x) from which sigmoid or softmax give back the blended probabilities."""
    tensor = torch.from_numpy(probability)[None].clamp(1e-6, 1 - 1e-6)
    return torch.logit(tensor) if tensor.shape[1] == 1 else torch.log(tensor)
