"""Which device computes, in which number type, and how that is said to the user."""

from __future__ import annotations

import logging
import os
import platform
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor, nn

from napari_attnseg.errors import SettingsError
from napari_attnseg.settings import FULL_WIDTHS, HALF_WIDTHS, DeviceName, PrecisionName
from napari_attnseg.wording import counted

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# the chips TU116 and TU117, by all their names: their convolutions in float16 give what is no number
_WITHOUT_FLOAT16 = re.compile(r"\b(GTX 16\d\d|(MX[45]50|T400|T500|T550|T600|T1000|T1200|T2000)\b)", re.IGNORECASE)

_log = logging.getLogger(__name__)


@dataclass
class Half:
    """Whether a device's 16-bit numbers are of use, as it turns out while it computes."""

    fails: bool = False
    tell: Callable[[str], None] = _log.warning
    """Called with a sentence for the user, once."""


@dataclass(frozen=True)
class Compute:
    """A device and the number type of the heavy arithmetic on it."""

    device: torch.device
    dtype: torch.dtype
    description: str
    """For people: 'GPU NVIDIA RTX 4090, 24 GB, bfloat16' or 'CPU, 2 threads, float32 (no GPU was found)'."""
    half: Half = field(default_factory=Half, compare=False, repr=False)

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def place(self, model: nn.Module) -> nn.Module:
        """Move a network to the device, in the memory layout that is fast there."""
        return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def images(self, batch: Tensor) -> Tensor:
        """Move a batch (N, C, H, W) to the device, in the memory layout that is fast there."""
        # from memory that is not pinned the copy may be read before it is whole, as on an Apple GPU
        pinned = self.device.type == "cuda" and batch.is_pinned()
        return batch.to(self.device, non_blocking=pinned).contiguous(memory_format=torch.channels_last)

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

    @property
    def is_doubtful(self) -> bool:
        """Whether what a network says in 16 bits has to be looked at: some GPUs give what is no number."""
        return self.device.type == "cuda" and self.dtype != torch.float32 and not self.half.fails

    def give_up_half(self) -> None:
        """Note, and say, that images are predicted in float32 from now on."""
        self.half.fails = True
        self.half.tell(
            f"The GPU gave what is no number in {_name(self.dtype)}, so images are predicted in float32 from now on, "
            "which takes longer (--precision float32 begins with that)."
        )


def choose_compute(device: DeviceName = "auto", precision: PrecisionName = "auto") -> Compute:
    """Turn the settings into a device and number type.

    A GPU that this PyTorch cannot compute on counts as none.

    Raises
    ------
    SettingsError
        The device that is asked for does not exist here or does not work, or cannot compute in the precision that is
        asked for.
    """
    kind = _best_device() if device == "auto" else device
    if kind == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "Device 'cuda' was asked for, but PyTorch finds no usable NVIDIA GPU here; use --device auto."
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise SettingsError("Device 'mps' was asked for, but this machine has no Apple GPU; use --device auto.")
    if device != "auto" and kind != "cpu" and (failure := gpu_failure()):
        raise SettingsError(
            f"Device '{kind}' was asked for, but {failure}; use --device auto, or install a PyTorch made for this GPU."
        )
    dtype = _best_dtype(kind) if precision == "auto" else _DTYPES[precision]
    if kind == "cpu" and dtype == torch.float16:
        raise SettingsError("Precision 'float16' is for GPUs; on a CPU use bfloat16, float32 or auto.")
    return Compute(torch.device(kind), dtype, _describe(kind, dtype, asked=device))


def gpu_failure() -> str:
    """Return why the GPU of this machine cannot be used, without a full stop; '' if it can, or if there is none."""
    kind = _gpu_here()
    if kind is None:
        return ""
    failure = _failure(kind, torch.cuda.current_device() if kind == "cuda" else 0)
    name = f"GPU {_properties().name}" if kind == "cuda" else "Apple GPU"
    return f"this PyTorch cannot compute on the {name}: {failure}" if failure else ""


def _gpu_here() -> DeviceName | None:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


@cache
def _failure(kind: str, index: int) -> str:
    """Try a small convolution on a GPU, once in a process; return why it failed, '' if it did not.

    PyTorch finds GPUs for which it was not built too, such as old ones. Memory that runs out says nothing about that.
    """
    try:
        with catch_warnings():
            simplefilter("ignore")  # PyTorch's words about such a GPU; we have our own
            image = torch.ones(1, 1, 8, 8, device=torch.device(kind, index))
            nn.functional.conv2d(image, image[..., :3, :3]).sum().item()  # waits for the GPU
    except RuntimeError as error:
        text = str(error).partition("\n")[0].removeprefix("CUDA error: ").rstrip(". ")
        return "" if "out of memory" in text.lower() else text or type(error).__name__
    return ""


def _best_device() -> DeviceName:
    kind = _gpu_here()
    return "cpu" if kind is None or gpu_failure() else kind


def _best_dtype(kind: str) -> torch.dtype:
    if kind == "cuda" and torch.cuda.get_device_capability() >= (8, 0):
        return torch.bfloat16
    if kind == "cuda" and not _WITHOUT_FLOAT16.search(_properties().name):
        return torch.float16
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
    if kind == "cuda":
        return f"GPU {_properties().name}, {_properties().total_memory / 2**30:.0f} GB, {_name(dtype)}"
    if kind == "mps":
        return f"Apple GPU, {_name(dtype)}"
    why = (gpu_failure() or "no GPU was found") if asked == "auto" else "as asked for"
    return f"CPU, {counted(torch.get_num_threads(), 'thread')}, {_name(dtype)} ({why})"


def _properties() -> Any:
    """Return what CUDA says of the GPU that this process computes on."""
    return torch.cuda.get_device_properties(torch.cuda.current_device())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
