"""A training step and an inference of our network against MONAI's AttentionUnet of the same widths, alternating."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_attnseg.data.augment import Augmenter
from napari_attnseg.models.device import choose_compute
from napari_attnseg.models.fold import folded
from napari_attnseg.models.unet import build_model
from napari_attnseg.settings import ModelSettings, TrainingSettings
from napari_attnseg.training.learner import Learner

WIDTHS = (32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Pair:
    """Median seconds an image of ours and of the peer, and the median of their ratios, round by round."""

    ours: float
    peer: float
    ratio: float
    """How many times faster ours is."""


def compare(size: int, batch: int, rounds: int) -> tuple[Pair, Pair]:
    """Return a training step and an inference, each an image of `size` x `size` RGB."""
    from monai.networks.nets import AttentionUnet

    images, target = torch.rand(batch, 3, size, size), (torch.rand(batch, size, size) > 0.7).long()
    compute = choose_compute()
    settings = TrainingSettings(patch_size=size, batch_size=batch, augmentation="none")
    learner = Learner(build_model(ModelSettings(in_channels=3, widths=WIDTHS)), settings, compute)
    augment = Augmenter("none", size)
    peer = AttentionUnet(2, 3, 1, WIDTHS, (2, 2, 2, 2))
    optimiser = torch.optim.AdamW(peer.parameters(), 1e-3)

    def our_step() -> None:
        learner.step(*augment(compute.images(images), target.to(compute.device), None), rate=1e-3)

    def peer_step() -> None:
        loss = nn.functional.binary_cross_entropy_with_logits(peer(images)[:, 0], target.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    train = _alternate(our_step, peer_step, rounds, batch)
    fast, slow = compute.place(folded(learner.averaged)), peer.eval()

    @torch.inference_mode()
    def our_forward() -> Tensor:
        with compute.autocast():
            return torch.sigmoid(fast(compute.images(images)).float())

    @torch.inference_mode()
    def peer_forward() -> Tensor:
        return torch.sigmoid(slow(images))

    return train, _alternate(our_forward, peer_forward, rounds, batch)


def _alternate(ours: Callable[[], object], peer: Callable[[], object], rounds: int, batch: int) -> Pair:
    ours()
    peer()
    times = [(_seconds(ours), _seconds(peer)) for _ in range(rounds)]
    return Pair(
        statistics.median(t[0] for t in times) / batch,
        statistics.median(t[1] for t in times) / batch,
        statistics.median(t[1] / t[0] for t in times),
    )


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
