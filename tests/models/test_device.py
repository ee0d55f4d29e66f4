"""Which device is chosen, also where PyTorch finds a GPU that it cannot compute on; there is none in these tests."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from napari_attnseg.errors import SettingsError
from napari_attnseg.models import device
from napari_attnseg.models.device import Compute, choose_compute
from napari_attnseg.prediction.describe import describe_device

KERNELS = "no kernel image is available for execution on the device"
Pretend = Callable[..., None]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Return a function that lets PyTorch find a GPU of a name, and the trial on it fail for a reason."""

    def pretend(name: str, capability: tuple[int, int], failure: str = "") -> None:
        properties = SimpleNamespace(name=name, total_memory=8 * 2**30)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: properties)
        monkeypatch.setattr(device, "_failure", lambda kind, index: failure)

    return pretend


def test_a_gpu_without_kernels_is_not_taken_and_that_is_said(gpu: Pretend) -> None:
    gpu("NVIDIA GeForce GTX 1080", (6, 1), KERNELS)
    found = choose_compute()
    assert found.device.type == "cpu"
    reason = f"this PyTorch cannot compute on the GPU NVIDIA GeForce GTX 1080: {KERNELS}"
    assert found.description.endswith(f"({reason})")
    assert describe_device().device.endswith(f"because {reason}")
    with pytest.raises(SettingsError, match=f"'cuda' was asked for, but {reason}; use --device auto, or") as caught:
        choose_compute("cuda")
    assert "\n" not in str(caught.value)


def test_a_gpu_that_works_is_taken(gpu: Pretend) -> None:
    gpu("NVIDIA H200", (9, 0))
    for asked in ("auto", "cuda"):
        assert choose_compute(asked).description == "GPU NVIDIA H200, 8 GB, bfloat16"


def test_no_gpu_is_tried_where_none_is_used(gpu: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial takes some hundred megabytes of a GPU's memory."""

    def tried(kind: str, index: int) -> str:
        raise AssertionError(f"{kind} was tried")

    gpu("NVIDIA H200", (9, 0))
    monkeypatch.setattr(device, "_failure", tried)
    assert choose_compute("cpu").device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_compute().description.endswith("(no GPU was found)")


def test_the_trial_is_made_once_and_says_why_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def broken(*_: Any) -> torch.Tensor:
        tried.append(_)
        raise RuntimeError(f"CUDA error: {KERNELS}\nCUDA kernel errors might be asynchronously reported.")

    device._failure.cache_clear()
    try:
        monkeypatch.setattr(F, "conv2d", broken)
        assert [device._failure("cpu", 0) for _ in range(2)] == [KERNELS] * 2
        assert len(tried) == 1
        monkeypatch.undo()
        device._failure.cache_clear()
        assert device._failure("cpu", 0) == ""
    finally:
        device._failure.cache_clear()


def test_memory_that_is_taken_is_no_defect_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> torch.Tensor:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(F, "conv2d", full)
    assert device._failure.__wrapped__("cpu", 0) == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA GeForce GTX 1660 Ti", torch.float32),
        ("NVIDIA GeForce GTX 1650 with Max-Q Design", torch.float32),
        ("NVIDIA T1000 8GB", torch.float32),
        ("Quadro T2000", torch.float32),
        ("NVIDIA GeForce MX450", torch.float32),
        ("NVIDIA GeForce RTX 2080 Ti", torch.float16),
        ("Quadro RTX 4000", torch.float16),
        ("Tesla T4", torch.float16),
    ],
)
def test_gpus_whose_float16_gives_no_numbers_get_float32(gpu: Pretend, name: str, expected: torch.dtype) -> None:
    gpu(name, (7, 5))
    assert choose_compute().dtype == expected
    assert choose_compute(precision="float16").dtype == torch.float16, "whoever asks for it gets it"


def test_what_is_looked_at() -> None:
    """16 bits on a GPU; elsewhere looking would only take time."""
    kinds = [("cuda", torch.float16), ("cuda", torch.bfloat16), ("cuda", torch.float32), ("cpu", torch.bfloat16)]
    assert [Compute(torch.device(kind), dtype, "").is_doubtful for kind, dtype in kinds] == [True, True, False, False]


@pytest.mark.parametrize(
    ("kind", "is_pinned", "expected"), [("cuda", True, True), ("cuda", False, False), ("mps", True, False)]
)
def test_a_copy_is_waited_for_unless_it_comes_from_pinned_memory(kind: str, is_pinned: bool, expected: bool) -> None:
    asked: list[bool] = []

    class Batch:
        def is_pinned(self) -> bool:
            return is_pinned

        def to(self, where: torch.device, *, non_blocking: bool) -> torch.Tensor:
            asked.append(non_blocking)
            return torch.zeros(1, 1, 2, 2)

    Compute(torch.device(kind), torch.float32, "").images(Batch())  # type: ignore[arg-type]
    assert asked == [expected]
