"""Batch normalisation by the patches of all processes, so that several learn as one with the whole batch would."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose mean and variance, while learning, are those of the patches of all processes.

    It is what `nn.SyncBatchNorm` is on GPUs that NCCL connects. Each process must have as many patches as the others.

    Parameters
    ----------
    source
        The layer to take the place of; weights and statistics are its own.
    total
        Returns the sum of a tensor over the processes, with gradients.
    size
        How many processes there are.

    Shape: (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, source: nn.BatchNorm2d, total: Callable[[Tensor], Tensor], size: int) -> None:
        super().__init__(source.num_features, source.eps, source.momentum)
        self.weight, self.bias = source.weight, source.bias
        self.running_mean, self.running_var = source.running_mean, source.running_var
        self.num_batches_tracked = source.num_batches_tracked
        self._total, self._size = total, size

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        # from the running mean, the same on all and near the mean, squares lose no digits; so one exchange is enough
        start, over = self.running_mean.clone(), (0, 2, 3)
        values = x.float() - start[:, None, None]
        count = values.numel() // values.shape[1] * self._size
        mean, square = self._total(torch.stack((values.sum(over), (values * values).sum(over)))) / count
        variance = (square - mean * mean).clamp(min=0)
        self._remember((start + mean).detach(), variance.detach() * (count / max(count - 1, 1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        scaled: Tensor = (values - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]
        return scaled.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def share_batch_norm(model: nn.Module, total: Callable[[Tensor], Tensor], size: int) -> None:
    """Put a `SharedBatchNorm` in the place of each batch normalisation within a network."""
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(model, name, SharedBatchNorm(child, total, size))
        else:
            share_batch_norm(child, total, size)
