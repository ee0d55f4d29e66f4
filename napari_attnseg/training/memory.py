"""Memory of a training: how much it holds, and what is done when it runs out."""

from __future__ import annotations

import psutil
import torch

from napari_attnseg.errors import AttnSegError
from napari_attnseg.training.feed import Feed
from napari_attnseg.training.learner import Learner


def memory_used(device: torch.device) -> int:
    """Return the bytes that this process holds on the GPU, or without one in the computer's memory."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return int(psutil.Process().memory_info().rss)


def need_less(learner: Learner, feed: Feed) -> str:
    """Put less through the network at once from now on: first fewer patches, then smaller ones.

    Returns
    -------
    What has changed, a sentence for the user.

    Raises
    ------
    AttnSegError
        A single one of the smallest patches does not fit.
    """
    size, owner = feed.patch_size, learner.compute.owner
    if learner.split_further():
        part = -(-learner.patches // learner.chunks)
        return f"The {owner}'s memory ran out; going on with {part} patch{'es' * (part != 1)} at a time."
    if feed.halve_patches():
        return (
            f"The {owner}'s memory is too small for a single patch of {size} pixels; going on with patches of "
            f"{feed.patch_size}."
        )
    raise AttnSegError(
        f"The {owner}'s memory is too small for a single patch of {size} pixels; choose a smaller patch size or "
        "smaller widths."
    )
