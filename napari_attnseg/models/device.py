"""Which device computes, in which number type, and how that is said to the user."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from napari_attnseg.errors import SettingsError
from napari_attnseg.settings import FULL_WIDTHS, HALF_WIDTHS, DeviceName, PrecisionName

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """A device and the number type of the heavy arithmetic on it."""

    device: torch.device
    dtype: torch.dtype
    description: str
    """For people: 'GPU NVIDIA RTX 4090, 24 GB, bfloat16' or 'CPU, 2 threads, float32 (no GPU was found)'."""

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def place(self, model: nn.Module) -> nn.Module:
        """Move a network to the device, in the memory layout that is fast there."""
        return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def images(self, batch: Tensor) -> Tensor:
        """Move a batch (N, C, H, W) to the device, in the memory layout that is fast there."""
        return batch.to(self.device, non_blocking=True).contiguous(memory_format=torch.channels_last)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level unless they are given: half of them on a CPU, where that learns more in minutes."""
        return HALF_WIDTHS if self.device.type == "cpu" else FULL_WIDTHS

    @property
    def owner(self) -> str:
        """Whose memory is taken, for people: 'GPU' or 'computer'."""
        return "computer" if self.device.type == "cpu" else "GPU"

    @property
    def cutters(self) -> int:
        """How many threads cut patches: a GPU is fed by several, a CPU has other things to do."""
        return min(4, os.cpu_count() or 1) if self.device.type == "cuda" else 1

    @property
    def needs_scaler(self) -> bool:
        """Whether gradients need loss scaling, as float16's narrow range does."""
        return self.dtype == torch.float16


def choose_compute(device: DeviceName = "auto", precision: PrecisionName = "auto") -> Compute:
    """Turn the settings into a device and number type.

    Raises
    ------
    SettingsError
        The device that is asked for does not exist here, or cannot compute in the precision that is asked for.
    """
    kind = _best_device() if device == "auto" else device
    if kind == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "Device 'cuda' was asked for, but PyTorch finds no usable NVIDIA GPU here; use --device auto."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise SettingsError("Device 'mps' was asked for, but this machine has no Apple GPU; use --device auto.")
    dtype = _best_dtype(kind) if precision == "auto" else _DTYPES[precision]
    if kind == "cpu" and dtype == torch.float16:
        raise SettingsError("Precision 'float16' is for GPUs; on a CPU use bfloat16, float32 or auto.")
    return Compute(torch.device(kind), dtype, _describe(kind, dtype, asked=device))


def _best_device() -> DeviceName:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _best_dtype(kind: str) -> torch.dtype:
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    if kind == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; emulated, it is several times slower than float32."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("amx_tile"))


def _describe(kind: str, dtype: torch.dtype, *, asked: str) -> str:
    number = str(dtype).removeprefix("torch.")
    if kind == "cuda":
        properties = torch.cuda.get_device_properties(0)
        return f"GPU {properties.name}, {properties.total_memory / 2**30:.0f} GB, {number}"
    if kind == "mps":
        return f"Apple GPU, {number}"
    why = "no GPU was found" if asked == "auto" else "as asked for"
    return f"CPU, {torch.get_num_threads()} threads, {number} ({why})"
