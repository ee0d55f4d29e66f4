"""Networks of other libraries on PyTorch, in a plain float32 loop such as their tutorials have."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers.arrays import (
    Floats,
    batch_of,
    lesson_patches,
    padded,
    read_rgb,
    write_mask,
    write_probabilities,
)
from benchmarks.peers.sliding import slide

Build = Callable[[int, Sequence[int]], nn.Module]
_COUNTED = 256
_RATE = 1e-3


def monai() -> TorchPeer:
    """MONAI's AttentionUnet (Oktay 2018)."""

    def build(channels: int, widths: Sequence[int]) -> nn.Module:
        from monai.networks.nets import AttentionUnet

        network: nn.Module = AttentionUnet(2, channels, 1, list(widths), [2] * (len(widths) - 1))
        return network

    return TorchPeer(build)


def smp() -> TorchPeer:
    """U-Net of segmentation-models-pytorch with its ResNet-34 and scSE; it has its own widths."""

    def build(channels: int, widths: Sequence[int]) -> nn.Module:
        from segmentation_models_pytorch import Unet

        network: nn.Module = Unet(
            "resnet34", encoder_weights=None, decoder_attention_type="scse", in_channels=channels, classes=1
        )
        return network

    return TorchPeer(build)


class TorchPeer:
    """A network that gives one plane of logits, and AdamW; see `peer.Peer`."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._batches: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def prepare(self, *, widths: list[int], threads: int, device: str, channels: int = 3) -> dict[str, Any]:
        """Build the network."""
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self._channels = channels
        self._device = torch.device(device)
        self._network = self._build(channels, widths).to(self._device)
        self._optimiser = torch.optim.AdamW(self._network.parameters(), lr=_RATE)
        parameters = sum(one.numel() for one in self._network.parameters())
        return {"parameters": parameters, "multiply_adds": self._multiply_adds(), "computes": f"float32 on {device}"}

    def train(self, *, size: int, batch: int, steps: int) -> float:
        """Learn steps of one batch; return the seconds an image."""
        if (size, batch) not in self._batches:
            self._batches = {(size, batch): self._tensors(*batch_of(size, batch, self._channels))}
        images, masks = self._batches[size, batch]
        self._network.train()
        began = self._now()
        for _ in range(steps):
            self._step(images, masks)
        return (self._now() - began) / (steps * batch)

    def predict(self, *, image: str, repeats: int) -> float:
        """Read an image and make its mask, again and again; return the seconds that one takes."""
        began = self._now()
        for _ in range(repeats):
            mask = self._probability(read_rgb(image)) > 0.5
        assert mask.ndim == 2
        return (self._now() - began) / repeats

    def predict_large(self, *, image: str, out: str) -> float:
        """Make the mask of a large image by MONAI's sliding window; return the seconds."""
        self._network.eval()
        began = self._now()
        logits = slide(torch.from_numpy(read_rgb(image))[None], self._network)
        write_mask(out, image, (logits > 0).numpy())
        return self._now() - began

    def begin(self, *, lesson: str) -> None:
        """Take a folder to learn from."""
        self._patches = lesson_patches(lesson)

    def learn(self, *, seconds: float) -> None:
        """Go on learning for so long."""
        self._network.train()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self._step(*self._tensors(*next(self._patches)))

    def probabilities(self, *, images: list[str], out: str) -> list[str] | None:
        """Write the probability of each image."""
        return write_probabilities(images, out, self._probability)

    def _step(self, images: Tensor, masks: Tensor) -> None:
        loss = dice_bce(self._network(images)[:, 0], masks)
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()

    @torch.inference_mode()
    def _probability(self, image: Floats) -> Floats:
        """Return (y, x) of an image (channel, y, x)."""
        self._network.eval()
        seen = torch.from_numpy(padded(image))[None].to(self._device)
        probability = torch.sigmoid(self._network(seen))[0, 0, : image.shape[1], : image.shape[2]]
        return np.asarray(probability.cpu().numpy())

    def _tensors(self, images: Floats, masks: Floats) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(images).to(self._device), torch.from_numpy(masks).to(self._device)

    def _multiply_adds(self) -> int:
        self._network.eval()
        image = torch.zeros(1, self._channels, _COUNTED, _COUNTED, device=self._device)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self._network(image)
        return int(counter.get_total_flops()) // 2

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def dice_bce(logits: Tensor, masks: Tensor) -> Tensor:
    """Return soft Dice over the batch plus cross-entropy, the loss that we train with too; both (n, y, x)."""
    probability = torch.sigmoid(logits)
    dice = (2 * (probability * masks).sum() + 1) / (probability.sum() + masks.sum() + 1)
    return 1 - dice + F.binary_cross_entropy_with_logits(logits, masks)
