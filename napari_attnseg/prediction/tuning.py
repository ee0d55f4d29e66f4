"""The tile size and batch size that are fastest on this device: tried once for each kind of network, and remembered."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from napari_attnseg.data.atomic import write_json
from napari_attnseg.errors import SaveError
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet
from napari_attnseg.prediction.fitting import Tiling, free_memory, is_out_of_memory
from napari_attnseg.prediction.tiling import forward
from napari_attnseg.settings.prediction import DEFAULT_BATCH_SIZE, DEFAULT_TILE_SIZE

CACHE_VARIABLE = "NAPARI_ATTNSEG_CACHE"
_FEWEST_TILES = 60  # of the first candidate; for fewer the trial does not pay
_CANDIDATES = {
    "cpu": ((DEFAULT_TILE_SIZE, DEFAULT_BATCH_SIZE), (512, 1), (1024, 1)),
    "other": ((DEFAULT_TILE_SIZE, DEFAULT_BATCH_SIZE), (1024, 4), (2048, 2)),
}
_BATCHES = {"cpu": (DEFAULT_BATCH_SIZE, 1), "other": (DEFAULT_BATCH_SIZE, 16)}
_CLEARLY = 1.05  # what is not faster by this much is not taken in place of the first candidate


def cache_folder() -> Path:
    """Return the folder for what can be found anew at any time; it need not exist.

    The environment variable NAPARI_ATTNSEG_CACHE names another one.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "napari-attnseg" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "napari-attnseg"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "napari-attnseg"


def found_tiling(
    model: UNet,
    compute: Compute,
    pixels: int,
    *,
    tile_size: int | None,
    batch_size: int | None,
    overlap: int,
    attention: bool = False,
    turned: bool = False,
) -> Tiling:
    """Return the tiling to be taken for a large image.

    Parameters
    ----------
    pixels
        Of a plane; for small ones nothing is tried.
    tile_size, batch_size
        What is asked for; None: to be found.
    overlap, attention, turned
        As in `tiling.predict_planes`.
    """
    first = Tiling(tile_size or DEFAULT_TILE_SIZE, overlap, batch_size or DEFAULT_BATCH_SIZE)
    candidates = [
        one for one in _candidates(compute, tile_size, batch_size) if 2 * overlap <= one[0] and one[0] ** 2 <= pixels
    ]
    few = pixels < _FEWEST_TILES * (first.tile_size - overlap) ** 2
    if (tile_size and batch_size) or few or len(candidates) < 2:
        return first
    path = cache_folder() / "tilings" / f"{_key(model, compute, candidates, overlap, attention, turned)}.json"
    known = _read(path, candidates)
    if known is None:

        def try_out(tile: int, batch: int) -> float:
            return _seconds(model, compute, tile, batch, attention=attention, turned=turned)

        known = fastest(candidates, overlap, try_out)
        with suppress(SaveError, OSError):  # it is found again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"tile_size": known[0], "batch_size": known[1]})
        free_memory(compute)
    return Tiling(known[0], overlap, known[1])


def fastest(
    candidates: Sequence[tuple[int, int]], overlap: int, seconds: Callable[[int, int], float]
) -> tuple[int, int]:
    """Return the tile size and batch size that give the most pixels a second, those of the overlap counted once.

    Parameters
    ----------
    candidates
        The first one is taken unless another one is clearly faster.
    seconds
        Returns how long a forward pass takes; infinity if there is not enough memory for it.
    """
    speeds = {(tile, batch): batch * (tile - overlap) ** 2 / seconds(tile, batch) for tile, batch in candidates}
    best = max(speeds, key=lambda one: speeds[one])
    return best if speeds[best] > _CLEARLY * speeds[candidates[0]] else candidates[0]


def _candidates(compute: Compute, tile_size: int | None, batch_size: int | None) -> list[tuple[int, int]]:
    kind = "cpu" if compute.device.type == "cpu" else "other"
    if tile_size:
        return [(tile_size, batch) for batch in _BATCHES[kind]]
    if batch_size:
        return list(dict.fromkeys((tile, batch_size) for tile, _ in _CANDIDATES[kind]))
    return list(_CANDIDATES[kind])


def _seconds(model: UNet, compute: Compute, tile: int, batch: int, *, attention: bool, turned: bool) -> float:
    images = np.random.default_rng(0).random((batch, model.settings.in_channels, tile, tile), np.float32)
    try:
        forward(model, images, compute, with_attention=attention, turned=turned)  # prepares what the next one uses
        began = time.perf_counter()
        forward(model, images, compute, with_attention=attention, turned=turned)
        return time.perf_counter() - began
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    free_memory(compute)
    return float("inf")


def _key(
    model: UNet,
    compute: Compute,
    candidates: Sequence[tuple[int, int]],
    overlap: int,
    attention: bool,
    turned: bool,
) -> str:
    """Tell kinds of network and devices from each other."""
    described = (
        model.settings.model_dump_json(),
        compute.description,
        torch.__version__,
        torch.get_num_threads(),
        tuple(candidates),
        overlap,
        attention,
        turned,
    )
    return hashlib.sha256(repr(described).encode()).hexdigest()[:24]


def _read(path: Path, candidates: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found = int(values["tile_size"]), int(values["batch_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found in candidates else None
