"""Ourselves as one of the workers: the trainer's own step, and predictions as the command makes them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks.model_file import write_fresh_model
from benchmarks.peers.arrays import batch_of
from napari_attnseg.data.augment import Augmenter
from napari_attnseg.models.cost import cost_of
from napari_attnseg.models.device import choose_compute
from napari_attnseg.models.heap import keep_heap
from napari_attnseg.models.unet import build_model
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.to_files import predict_to_files
from napari_attnseg.settings import ModelSettings, PredictionSettings, TrainingSettings, make
from napari_attnseg.training.learner import Learner

_WARM_UP, _MULTIPLIED = 3, 20


class Ours:
    """`attention_se_unet` with all default settings but the sizes that are compared; see `peer.Peer`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._model = Path(self._folder.name) / "model.safetensors"
        self._learners: dict[tuple[int, int], tuple[Learner, tuple[Tensor, Tensor]]] = {}
        self._predictor: Predictor | None = None

    def prepare(
        self, *, widths: list[int], threads: int, device: Literal["cpu", "cuda"], channels: int = 3
    ) -> dict[str, Any]:
        """Write a model file with fresh weights."""
        torch.set_num_threads(threads)
        keep_heap()  # as the program does
        self._network = ModelSettings(in_channels=channels, widths=tuple(widths))
        self._device: Literal["cpu", "cuda"] = device
        self._compute = choose_compute(device)
        write_fresh_model(self._model, self._network)
        cost = cost_of(self._network)
        return {
            "parameters": cost.parameters,
            "multiply_adds": cost.multiply_adds,
            "computes": f"{str(self._compute.dtype).removeprefix('torch.')} on {device}",
        }

    def train(self, *, size: int, batch: int, steps: int) -> float:
        """Learn steps of one batch; return the seconds an image."""
        if (size, batch) not in self._learners:
            self._learners = {(size, batch): self._learner(size, batch)}
        learner, (images, masks) = self._learners[size, batch]
        augment = Augmenter("none", size)
        began = self._now()
        for _ in range(steps):
            patches, labels = self._compute.images(images), masks.to(self._compute.device).long()
            learner.step(*augment(patches, labels, None), rate=1e-3)
        return (self._now() - began) / (steps * batch)

    def predict(self, *, image: str, repeats: int) -> float:
        """Read an image and make its mask, again and again; return the seconds that one takes."""
        if self._predictor is None:
            self._predictor = self._new_predictor("auto")
        began = self._now()
        for _ in range(repeats):
            self._predictor.predict_file(Path(image))
        return (self._now() - began) / repeats

    def predict_large(self, *, image: str, out: str, tile_by_tile: Literal["auto", "always"] = "auto") -> float:
        """Make the mask of a large image as `predict` does; return the seconds."""
        predictor = self._new_predictor(tile_by_tile)
        began = self._now()
        predict_to_files(predictor, Path(image), Path(out))
        return self._now() - began

    def matmul(self, *, size: int) -> float:
        """Return the multiply-adds a second of a large product of matrices in the number type that we compute in."""
        one = torch.randn(size, size, device=self._compute.device, dtype=self._compute.dtype)
        for _ in range(_WARM_UP):
            one @ one
        began = self._now()
        for _ in range(_MULTIPLIED):
            one @ one
        return _MULTIPLIED * size**3 / (self._now() - began)

    def _learner(self, size: int, batch: int) -> tuple[Learner, tuple[Tensor, Tensor]]:
        torch.manual_seed(0)
        settings = TrainingSettings(patch_size=size, batch_size=batch, augmentation="none")
        images, masks = batch_of(size, batch, self._network.in_channels)
        learner = Learner(build_model(self._network), settings, self._compute)
        return learner, (torch.from_numpy(images), torch.from_numpy(masks))

    def _new_predictor(self, tile_by_tile: str) -> Predictor:
        settings = make(PredictionSettings, {"device": self._device, "tile_by_tile": tile_by_tile})
        return Predictor(self._model, settings)

    def _now(self) -> float:
        if self._compute.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()
