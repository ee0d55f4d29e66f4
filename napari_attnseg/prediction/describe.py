"""What this computer computes with, in words and figures."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from napari_attnseg.models.device import Compute, choose_compute, gpu_failure
from napari_attnseg.models.unet import build_model
from napari_attnseg.settings import DeviceName, ModelSettings, TrainingSettings
from napari_attnseg.wording import counted

_TRIED = 4  # patches in the passes that are timed
_LONG_ENOUGH = 0.4  # seconds after which no further pass is begun


@dataclass(frozen=True)
class DeviceDescription:
    """`details` holds 'memory' (bytes, of the GPU or of the computer), 'threads', and 'patches_per_second'."""

    device: str
    """'GPU NVIDIA RTX 4090, 24 GB' or 'CPU, 2 threads, because no GPU was found'."""
    is_gpu: bool
    details: dict[str, Any]


def describe_device(asked: DeviceName = "auto") -> DeviceDescription:
    """Describe the device that would be chosen, and time passes of training on it, for about half a second.

    Raises
    ------
    SettingsError
        The device that is asked for is not there.
    """
    compute = choose_compute(asked)
    kind, threads = compute.device.type, torch.get_num_threads()
    if kind == "cuda":
        properties = torch.cuda.get_device_properties(0)
        memory = int(properties.total_memory)
        words = f"GPU {properties.name}, {memory / 2**30:.0f} GB"
    else:
        memory = int(psutil.virtual_memory().total)
        words = "Apple GPU" if kind == "mps" else f"CPU, {counted(threads, 'thread')}, {_why_cpu(asked)}"
    details = {
        "memory": memory,
        "threads": threads,
        "patches_per_second": patches_per_second(compute),
        "patch_size": TrainingSettings().patch_size,
    }
    return DeviceDescription(words, kind != "cpu", details)


def patches_per_second(compute: Compute) -> float:
    """Return how many patches the default network would learn from in a second, by forward and backward passes.

    What the optimiser and the augmentation take, and other programs that run, is not in it: training is rather slower.
    """
    settings = ModelSettings(widths=compute.widths)
    model = compute.place(build_model(settings)).train()
    side = TrainingSettings().patch_size
    patches = compute.images(torch.rand(_TRIED, settings.in_channels, side, side))
    seconds: list[float] = []
    while len(seconds) < 4 and sum(seconds) < _LONG_ENOUGH:  # the first one prepares what the others use
        began = time.perf_counter()
        with compute.autocast():
            loss = model(patches).float().square().mean()
        loss.backward()
        loss.item()  # waits for the GPU
        seconds.append(time.perf_counter() - began)
    return _TRIED / min(seconds)


def _why_cpu(asked: DeviceName) -> str:
    if asked == "cpu":
        return "as asked for"
    if failure := gpu_failure():
        return f"because {failure}"
    if torch.version.cuda is None and torch.version.hip is None:
        return "because this PyTorch was installed without support for GPUs"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "because CUDA_VISIBLE_DEVICES hides the GPUs"
    return "because no GPU was found"
