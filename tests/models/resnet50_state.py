"""The state dict of torchvision's ResNet-50 as it is published: names and shapes, written out from its structure."""

from __future__ import annotations

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def _normalisation(name: str, channels: int) -> Shapes:
    each = {f"{name}.{key}": (channels,) for key in ("weight", "bias", "running_mean", "running_var")}
    return {**each, f"{name}.num_batches_tracked": ()}


def resnet50_shapes() -> Shapes:
    """Return the shape of every parameter and buffer by name, `fc` included."""
    shapes: Shapes = {"conv1.weight": (64, 3, 7, 7), **_normalisation("bn1", 64)}
    before = 64
    for stage, (blocks, width) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)], start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            shapes[f"{name}.conv1.weight"] = (width, before, 1, 1)
            shapes[f"{name}.conv2.weight"] = (width, width, 3, 3)
            shapes[f"{name}.conv3.weight"] = (4 * width, width, 1, 1)
            for number, channels in ((1, width), (2, width), (3, 4 * width)):
                shapes |= _normalisation(f"{name}.bn{number}", channels)
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * width, before, 1, 1)
                shapes |= _normalisation(f"{name}.downsample.1", 4 * width)
            before = 4 * width
    return shapes | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}


def resnet50_state() -> dict[str, Tensor]:
    """Return weights of these names and shapes, each filled with a value of its own, which take next to no space."""
    state = {
        name: torch.full((), number, dtype=torch.int64)
        if name.endswith("num_batches_tracked")
        else torch.full((), number / 1000).expand(shape)
        for number, (name, shape) in enumerate(resnet50_shapes().items(), start=1)
    }
    return state | {"conv1.weight": torch.arange(64 * 3 * 49, dtype=torch.float32).reshape(64, 3, 7, 7)}
