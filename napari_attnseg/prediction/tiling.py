"""A plane of any size through the network, by overlapping tiles that are blended into each other.

A network sees nothing beyond its tile, so what it says near a tile's border is worth less: each tile's weight falls to
zero towards the borders it shares with others, over the width of the overlap, and the weighted mean of the
probabilities is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet

FloatArray = NDArray[np.float32]


class Stopped(Exception):
    """The caller asked to stop; nothing was returned."""


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


def starts(length: int, tile: int, overlap: int, grid: int = 1) -> list[int]:
    """Return where tiles begin along one axis, evenly spread, neighbours sharing at least `overlap` pixels.

    All begin at multiples of `grid`; `length` and `tile` must be multiples of it, unless one tile is enough.
    """
    if length <= tile:
        return [0]
    step = (tile - overlap) // grid * grid
    count = -(-(length - tile) // step) + 1
    return [round(index * (length - tile) / (count - 1) / grid) * grid for index in range(count)]


def tiles(height: int, width: int, tile: int, overlap: int, grid: int = 1) -> list[Tile]:
    """Return the tiles that cover a plane, row by row; see `starts`."""
    return [
        Tile(y, x, min(tile, height), min(tile, width))
        for y in starts(height, tile, overlap, grid)
        for x in starts(width, tile, overlap, grid)
    ]


def predict_plane(
    model: UNet,
    plane: FloatArray,
    compute: Compute,
    *,
    tile_size: int = 512,
    overlap: int = 64,
    batch_size: int = 4,
    attention: bool = False,
    on_tiles: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> PlaneResult:
    """Apply a network in evaluation mode to one plane.

    Parameters
    ----------
    plane
        float32 (channel, y, x), scaled as for training.
    tile_size, overlap
        In pixels; a plane that fits into one tile goes through in one piece.
    on_tiles
        Called with the tiles done and their number.

    Tiles begin where the network's pooling would begin a cell in the whole plane; so away from their borders they say
    what the whole plane in one piece would say, but for what squeeze-and-excitation sees of it.

    Raises
    ------
    Stopped
        `should_stop` returned True between two batches of tiles.
    """
    original = plane.shape[1:]
    grid = model.divisor
    tile_size = -(-tile_size // grid) * grid
    if max(original) > tile_size:
        plane = np.pad(plane, ((0, 0), *((0, -side % grid) for side in original)), mode="reflect")
    height, width = plane.shape[1:]
    every = tiles(height, width, tile_size, overlap, grid)
    gates = len(model.decoder) if attention and model.has_attention else 0
    total = np.zeros((model.settings.classes + gates, height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    done = 0
    for batch in _batches(every, batch_size):
        if should_stop():
            raise Stopped
        results = _forward(model, plane, batch, compute, with_attention=gates > 0)
        for tile, result in zip(batch, results, strict=True):
            window = _window(tile, height, width, overlap)
            here = (slice(tile.y, tile.y + tile.height), slice(tile.x, tile.x + tile.width))
            total[:, *here] += result * window
            weight[here] += window
        done += len(batch)
        on_tiles(done, len(every))
    if len(every) > 1:
        total /= weight
    classes = model.settings.classes
    total = total[:, : original[0], : original[1]]
    return PlaneResult(total[:classes], total[classes:] if attention else None)


def _batches(items: list[Tile], size: int) -> Iterator[list[Tile]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


@torch.inference_mode()
def _forward(
    model: UNet, plane: FloatArray, batch: list[Tile], compute: Compute, *, with_attention: bool
) -> FloatArray:
    """Return (tile, class then gate, y, x)."""
    cut = np.stack([plane[:, t.y : t.y + t.height, t.x : t.x + t.width] for t in batch])
    images = compute.images(torch.from_numpy(cut))
    with compute.autocast():
        logits, maps = model.forward_with_attention(images)
    logits = logits.float()
    probability = torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)
    if with_attention:
        probability = torch.cat((probability, *(_at_image_size(one, logits.shape[-2:]) for one in maps)), dim=1)
    return probability.cpu().numpy()


def _at_image_size(attention: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(attention.float(), size=tuple(size), mode="bilinear", align_corners=False).clamp(0, 1)


def _window(tile: Tile, height: int, width: int, overlap: int) -> FloatArray:
    """Return the tile's weight (y, x): 1, falling to nearly 0 towards borders inside the plane."""
    along_y = _ramp(tile.height, overlap, at_start=tile.y > 0, at_end=tile.y + tile.height < height)
    along_x = _ramp(tile.width, overlap, at_start=tile.x > 0, at_end=tile.x + tile.width < width)
    return along_y[:, None] * along_x[None, :]


def _ramp(length: int, overlap: int, *, at_start: bool, at_end: bool) -> FloatArray:
    ramp = np.ones(length, np.float32)
    overlap = min(overlap, length)
    rise = np.sin(np.linspace(0, np.pi / 2, overlap + 2)[1:-1]).astype(np.float32) ** 2
    if at_start:
        ramp[:overlap] *= rise
    if at_end:
        ramp[length - overlap :] *= rise[::-1]
    return ramp
