"""The optimisers: how gradients become steps."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from napari_attnseg.settings import TrainingSettings

_ADAMW_BETAS = (0.9, 0.95)  # a shorter memory of squared gradients than usual: trainings have hundreds of steps
_ADAM_BETAS = (0.9, 0.999)  # as published, since Adam is there for repeating what others did


def make_optimiser(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return the optimiser that the settings name, for these parameters.

    AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) with weight decay; Adam (Kingma and Ba 2015, arXiv:1412.6980)
    and stochastic gradient descent with momentum without any.
    """
    rate = settings.learning_rate
    if settings.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum)
    if settings.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=rate, betas=_ADAM_BETAS)
    return torch.optim.AdamW(parameters, lr=rate, betas=_ADAMW_BETAS, weight_decay=settings.weight_decay)
