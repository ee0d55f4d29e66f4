"""The learning rate over a training: a linear warm-up, then half a cosine down to nothing."""

from __future__ import annotations

import math


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Return what the highest learning rate is multiplied with.

    Parameters
    ----------
    progress
        Share of the training that is over, in steps or in time, 0 to 1.
    warmup
        Share of the training over which the rate rises, 0 to below 1.

    Returns
    -------
    From 0.01 to 1 (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts).
    """
    if progress < warmup:
        return max(progress / warmup, 0.01)
    fall = min((progress - warmup) / (1 - warmup), 1.0)
    return max(0.5 * (1 + math.cos(math.pi * fall)), 0.01)
