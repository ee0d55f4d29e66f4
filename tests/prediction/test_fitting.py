"""Prediction where memory runs out: tried with fewer and smaller tiles, as a GPU that is too small would want it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_attnseg.errors import DataError
from napari_attnseg.prediction.fitting import Tiling
from napari_attnseg.prediction.predictor import Predictor
from tests.prediction.test_predictor import model, predictor

PLANE = np.random.default_rng(0).random((1, 300, 280), np.float32)


def with_room_for(one: Predictor, pixels: int, error: Exception) -> list[tuple[int, ...]]:
    """Let forward passes of more pixels than `pixels` fail; return the list that all passes' shapes are added to."""
    forward = one.model.forward_with_attention
    seen: list[tuple[int, ...]] = []

    def limited(images: torch.Tensor) -> Any:
        seen.append(tuple(images.shape))
        if images.shape[0] * images.shape[2] * images.shape[3] > pixels:
            raise error
        return forward(images)

    one.model.forward_with_attention = limited  # type: ignore[method-assign]
    return seen


def test_what_is_lowered() -> None:
    tiling = Tiling(512, 64, 3)
    seen = []
    while tiling.lower():
        seen.append((tiling.batch_size, tiling.tile_size, tiling.overlap))
    assert seen == [(1, 512, 64), (1, 256, 64), (1, 128, 32)]


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_fewer_then_smaller_tiles_say_the_same(tmp_path: Path, error: Exception) -> None:
    path = model(tmp_path / "m.safetensors", name="unet")
    whole = predictor(path).predict_plane(PLANE, attention=False)
    one = predictor(path)
    seen = with_room_for(one, 160 * 160, error)
    found = one.predict_plane(PLANE, attention=False)
    assert np.abs(found.probability - whole.probability).max() < 0.02  # where tiles meet
    assert (one.tiling.batch_size, one.tiling.tile_size) == (1, 128)
    tried = len(seen)
    one.predict_plane(PLANE, attention=False)
    assert max(shape[2] for shape in seen[tried:]) == 128, "what was too much is tried again"


def test_no_room_at_all_is_one_sentence(tmp_path: Path) -> None:
    one = predictor(model(tmp_path / "m.safetensors"))
    with_room_for(one, 0, torch.cuda.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(DataError, match="memory is not enough to predict even 128 x 128 pixels"):
        one.predict_plane(PLANE, attention=False)


def test_other_errors_are_not_hidden(tmp_path: Path) -> None:
    one = predictor(model(tmp_path / "m.safetensors"))
    with_room_for(one, 0, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        one.predict_plane(PLANE, attention=False)
