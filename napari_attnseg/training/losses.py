"""The losses, all on logits, for binary and multi-class masks, each honouring a map of the pixels that count.

Every loss takes

- `logits`: float (N, K, H, W); K = 1 for binary masks (sigmoid), else one plane a class, background first (softmax),
- `target`: int64 (N, H, W), class ids 0..K-1 (0 and 1 when K = 1),
- `valid`: bool (N, H, W), False where a pixel is left out; None when all count,

and, where it has cross-entropy in it,

- `weights`: float (classes with background,), how much a pixel of each class counts; None when all count the same,

and, where several processes share a batch,

- `total`: what sums a tensor over them; None when the batch is whole,

and returns a scalar: 0 is perfect. Dice and Jaccard are the soft forms (Milletari et al. 2016, arXiv:1606.04797),
summed over the whole batch and averaged over the foreground classes, so that a patch without a class is no special
case.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_attnseg.settings import LossName, TrainingSettings

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Total = Callable[[Tensor], Tensor]

SMOOTH = 1.0
"""Added to numerator and denominator, in pixels: an absent class that is not predicted costs nothing."""

FOCAL_GAMMA = 2.0
"""The focusing parameter that the focal loss paper found best."""


def dice(logits: Tensor, target: Tensor, valid: Tensor | None = None, total: Total | None = None) -> Tensor:
    """1 - 2 |A and B| / (|A| + |B|), soft."""
    overlap, predicted, true = _overlaps(logits, target, valid, total)
    return (1 - (2 * overlap + SMOOTH) / (predicted + true + SMOOTH)).mean()


def jaccard(logits: Tensor, target: Tensor, valid: Tensor | None = None, total: Total | None = None) -> Tensor:
    """1 - |A and B| / |A or B|, soft."""
    overlap, predicted, true = _overlaps(logits, target, valid, total)
    return (1 - (overlap + SMOOTH) / (predicted + true - overlap + SMOOTH)).mean()


def bce(
    logits: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    weights: Tensor | None = None,
    total: Total | None = None,
) -> Tensor:
    """Cross-entropy, binary or over classes, averaged over the pixels that count."""
    return _mean(_cross_entropy(logits.float(), target), _counts(target, valid, weights), total)


def focal(
    logits: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    weights: Tensor | None = None,
    total: Total | None = None,
) -> Tensor:
    """Cross-entropy times (1 - p)^2, p the probability of the true class (Lin et al. 2017, arXiv:1708.02002)."""
    entropy = _cross_entropy(logits.float(), target)
    focused = (1 - torch.exp(-entropy)) ** FOCAL_GAMMA * entropy
    return _mean(focused, _counts(target, valid, weights), total)


def dice_focal(
    logits: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    weights: Tensor | None = None,
    focal_share: float = 1.0,
    total: Total | None = None,
) -> Tensor:
    """Dice + focal times `focal_share`."""
    return dice(logits, target, valid, total) + focal_share * focal(logits, target, valid, weights, total)


def dice_bce(
    logits: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    weights: Tensor | None = None,
    total: Total | None = None,
) -> Tensor:
    """Dice + cross-entropy."""
    return dice(logits, target, valid, total) + bce(logits, target, valid, weights, total)


LOSSES: dict[LossName, Callable[..., Tensor]] = {
    "dice": dice,
    "jaccard": jaccard,
    "bce": bce,
    "focal": focal,
    "dice_focal": dice_focal,
    "dice_bce": dice_bce,
}


def make_loss(settings: TrainingSettings, weights: Tensor | None = None, total: Total | None = None) -> Loss:
    """Return the loss that the settings name, with these weights of the classes where it knows weights.

    With `total`, which sums a tensor over the processes that share a batch, it is the loss of the whole batch.
    """
    loss = partial(LOSSES[settings.loss], total=total)
    if settings.loss in ("dice", "jaccard"):
        return loss
    if settings.loss == "dice_focal":
        return partial(loss, weights=weights, focal_share=settings.focal_share)
    return partial(loss, weights=weights)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of each pixel, (N, H, W)."""
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits[:, 0], target.to(logits.dtype), reduction="none")
    return F.cross_entropy(logits, target, reduction="none")


def _counts(target: Tensor, valid: Tensor | None, weights: Tensor | None) -> Tensor | None:
    """Return how much each pixel counts, (N, H, W); None when all count the same."""
    if weights is None:
        return valid
    found = weights.to(target.device)[target]
    return found if valid is None else found * valid


def _mean(values: Tensor, counts: Tensor | None, total: Total | None) -> Tensor:
    """Average over the pixels, each as much as it counts; 0 when none does."""
    if total is not None:
        counts = torch.ones_like(values) if counts is None else counts
        summed, count = total(torch.stack(((values * counts).sum(), counts.sum().to(values.dtype))))
        found: Tensor = summed / count.clamp(min=1)
        return found
    if counts is None:
        return values.mean()
    return (values * counts).sum() / counts.sum().clamp(min=1)


def _overlaps(
    logits: Tensor, target: Tensor, valid: Tensor | None, total: Total | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return intersection, predicted size and true size of each foreground class, in pixels, each (classes,)."""
    logits = logits.float()
    if logits.shape[1] == 1:
        probability = torch.sigmoid(logits)
        truth = target[:, None].to(probability.dtype)
    else:
        probability = torch.softmax(logits, dim=1)[:, 1:]
        truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1)[:, 1:].to(probability.dtype)
    if valid is not None:
        probability, truth = probability * valid[:, None], truth * valid[:, None]
    over = (0, 2, 3)
    overlap, predicted, true = (probability * truth).sum(over), probability.sum(over), truth.sum(over)
    if total is not None:
        overlap, predicted, true = total(torch.stack((overlap, predicted, true)))
    return overlap, predicted, true
