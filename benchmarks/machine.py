"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from napari_attnseg.models.device import choose_compute

_NAMED = ("torch", "monai", "segmentation-models-pytorch", "keras", "tensorflow-cpu", "scikit-learn", "napari")


def describe() -> str:
    """Return the processor, the memory, the GPU, and the versions of what is compared."""
    cores = psutil.cpu_count(logical=False)
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {found}" for name in _NAMED if (found := _version(name)))
    return (
        f"{_processor()}, {os.cpu_count()} logical and {cores or 'an unknown number of'} physical cores, "
        f"{memory:.0f} GB; {bfloat16()}; {gpu()}; {platform.system()}, Python {platform.python_version()}, {packages}."
    )


def bfloat16() -> str:
    """Say whether 16-bit arithmetic is fast on this CPU, on which the figures to reach depend."""
    return "a CPU with bfloat16 units" if has_bfloat16() else "a CPU without bfloat16 units"


def has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware."""
    return str(choose_compute("cpu").dtype) == "torch.bfloat16"


def gpu() -> str:
    """Return the GPU's name, or that there is none."""
    return f"GPU {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "no GPU"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
