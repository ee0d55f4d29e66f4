"""Planes in memory through the network, by overlapping tiles that are blended into each other.

A network sees nothing beyond its tile, so what it says near a tile's border is worth less; see `grid` for how much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_attnseg.errors import Stopped
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet
from napari_attnseg.prediction.grid import FloatArray, axes_of, starts

__all__ = [
    "FloatArray", "PlaneResult", "Stopped", "Tile", "forward", "forward_on_device", "gates_of", "planes_at_once",
    "predict_plane", "predict_planes", "starts", "tiles",
]  # fmt: skip

Place = tuple[int, int, int]
"""The numbers of a plane, of a row of tiles in it, and of a tile in that."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of the plane, in pixels."""

    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class PlaneResult:
    """What the network says about one plane.

    `probability` is float32 (classes, y, x) in [0, 1]: one plane for a binary model, else one a class with background
    first, summing to 1. `attention` is float32 (gates, y, x) in [0, 1], deepest gate first, or None.
    """

    probability: FloatArray
    attention: FloatArray | None


def tiles(height: int, width: int, tile: int, overlap: int, grid: int = 1) -> list[Tile]:
    """Return the tiles that cover a plane, row by row; see `grid.starts`."""
    return [
        Tile(y, x, min(tile, height), min(tile, width))
        for y in starts(height, tile, overlap, grid)
        for x in starts(width, tile, overlap, grid)
    ]


def predict_plane(model: UNet, plane: FloatArray, compute: Compute, **options: Any) -> PlaneResult:
    """Apply a network in evaluation mode to one plane, float32 (channel, y, x); see `predict_planes`."""
    return predict_planes(model, plane[None], compute, **options)[0]


def predict_planes(
    model: UNet,
    planes: FloatArray,
    compute: Compute,
    *,
    tile_size: int = 512,
    overlap: int = 64,
    batch_size: int = 4,
    attention: bool = False,
    turned: bool = False,
    on_tiles: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[PlaneResult]:
    """Apply a network in evaluation mode to some planes, of which tiles of several may go through it together.

    Parameters
    ----------
    planes
        float32 (plane, channel, y, x), scaled as for training.
    tile_size, overlap
        In pixels; a plane that fits into one tile goes through in one piece.
    batch_size
        Tiles at once.
    turned
        Whether the mean over the eight mirrored and turned versions of each tile is taken.
    on_tiles
        Called with the tiles done and their number.

    Tiles begin where the network's pooling would begin a cell in the whole plane; so away from their borders they say
    what the whole plane in one piece would say, but for what squeeze-and-excitation sees of it.

    Raises
    ------
    Stopped
        `should_stop` returned True between two batches of tiles.
    """
    height, width = planes.shape[2:]
    down, across = axes_of(height, width, tile_size, overlap, model.divisor)
    if (down.length, across.length) != (height, width):
        missing = (down.length - height, across.length - width)
        planes = np.pad(planes, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])), mode="reflect")
    every = list(product(range(len(planes)), range(len(down.starts)), range(len(across.starts))))
    gates = gates_of(model) if attention else 0
    classes = model.settings.classes
    total = np.zeros((len(planes), classes + gates, down.length, across.length), np.float32)
    for done, batch in _batches(every, batch_size):
        if should_stop():
            raise Stopped
        places = [
            (slice(y, y + down.tile), slice(x, x + across.tile))
            for y, x in ((down.starts[row], across.starts[column]) for _, row, column in batch)
        ]
        cut = np.stack([planes[plane, :, *place] for (plane, _, _), place in zip(batch, places, strict=True)])
        results = forward(model, cut, compute, with_attention=gates > 0, turned=turned)
        for (plane, row, column), place, result in zip(batch, places, results, strict=True):
            total[plane, :, *place] += result * (down.weights[row][:, None] * across.weights[column])
        on_tiles(done, len(every))
    total = total[:, :, :height, :width]
    return [PlaneResult(one[:classes], one[classes:] if attention else None) for one in total]


def planes_at_once(shape: tuple[int, ...], tile_size: int, overlap: int, batch_size: int, divisor: int) -> int:
    """Return how many planes, of a shape (..., y, x), fill a batch of tiles; 1 where one plane has as many or more."""
    down, across = axes_of(shape[-2], shape[-1], tile_size, overlap, divisor)
    return max(batch_size // (len(down.starts) * len(across.starts)), 1)


def gates_of(model: UNet) -> int:
    """Return how many attention gates a network has."""
    return len(model.decoder) if model.has_attention else 0


def _batches(items: list[Place], size: int) -> Iterator[tuple[int, list[Place]]]:
    """Yield how many items are done after each batch, and the batch."""
    for first in range(0, len(items), size):
        batch = items[first : first + size]
        yield first + len(batch), batch


def forward(
    model: UNet, cut: FloatArray, compute: Compute, *, with_attention: bool = False, turned: bool = False
) -> FloatArray:
    """Apply a network in evaluation mode to some tiles of one size, and wait for what it says.

    See `forward_on_device`; returns float32 (tile, class then gate, y, x) in [0, 1].
    """
    said = forward_on_device(model, cut, compute, with_attention=with_attention, turned=turned)
    return said.cpu().numpy()


@torch.inference_mode()
def forward_on_device(
    model: UNet, cut: FloatArray, compute: Compute, *, with_attention: bool = False, turned: bool = False
) -> Tensor:
    """Apply a network in evaluation mode to some tiles of one size; a GPU may still compute when this returns.

    Parameters
    ----------
    cut
        float32 (tile, channel, y, x), scaled as for training.
    with_attention
        Whether the gates' maps follow the classes.
    turned
        Whether the mean over the eight mirrored and turned versions is taken, one after the other: it takes eight
        times as long and no more memory.

    Returns
    -------
    Tensor
        float32 (tile, class then gate, y, x) in [0, 1], on the device.
    """
    images = torch.from_numpy(cut)
    if compute.device.type == "cuda":
        images = images.pin_memory()  # so that the copy need not be waited for
    images = compute.images(images)
    if not turned:
        return _probabilities(model, images, compute, with_attention)
    total: Tensor | None = None
    for turns in range(4):
        for mirror in (False, True):
            seen = torch.rot90(images.flip(-1) if mirror else images, turns, (-2, -1))
            seen = seen.contiguous(memory_format=torch.channels_last)
            said = torch.rot90(_probabilities(model, seen, compute, with_attention), -turns, (-2, -1))
            said = said.flip(-1) if mirror else said
            total = said if total is None else total + said
    assert total is not None
    return total / 8


def _probabilities(model: UNet, images: Tensor, compute: Compute, with_attention: bool) -> Tensor:
    logits, maps = _said(model, images, compute)
    logits = logits.float()
    probability = torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)
    if with_attention:
        probability = torch.cat((probability, *(_at_image_size(one, logits.shape[-2:]) for one in maps)), dim=1)
    return probability


def _said(model: UNet, images: Tensor, compute: Compute) -> tuple[Tensor, list[Tensor]]:
    """Return logits and gates' maps; in float32, then and from then on, where 16 bits give what is no number."""
    with nullcontext() if compute.half.fails else compute.autocast():
        logits, maps = model.forward_with_attention(images)
    if not compute.is_doubtful or bool(torch.isfinite(logits).all()):
        return logits, maps
    del logits, maps  # before the others take as much memory
    logits, maps = model.forward_with_attention(images)
    if bool(torch.isfinite(logits).all()):  # else it is the network, not the GPU
        compute.give_up_half()
    return logits, maps


def _at_image_size(attention: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(attention.float(), size=tuple(size), mode="bilinear", align_corners=False).clamp(0, 1)
