"""How long it takes to find and measure the objects of large predictions, and in how much memory."""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.asked import Asked
from benchmarks.peak import peak_of_command
from benchmarks.tables import columns, note, row, title
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.tiff import read_image

_TILE = 512
_MOST_IMAGES = 40

Array = np.ndarray[Any, Any]


def measure(asked: Asked) -> None:
    """Print the rows: the command `objects` on mosaics of annotated images, whose masks stand for predictions."""
    title("Objects of large predictions")
    note("Masks with a probability (the mask, blurred) and the image beside them, which is measured too.")
    pool = _tiles(asked.train)
    columns("prediction", "objects", "minutes", "peak, GB", "times that of the smallest")
    first = 0.0
    for side in asked.sides:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _write(folder, side, pool)
            began = time.perf_counter()
            peak = peak_of_command("objects", folder, "--take", "predictions", "--out", folder / "out")
            minutes = (time.perf_counter() - began) / 60
            with (folder / "out" / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
                count = int(next(csv.DictReader(file))["Objects"])
        first = first or peak
        row(f"{side:,} x {side:,}", f"{count:,}", f"{minutes:.1f}", f"{peak:.2f}", f"{peak / first:.2f}")


def _tiles(data: Path) -> list[tuple[Array, Array, Array]]:
    """Return tiles of image, mask and probability, reflected where an image is smaller."""
    found = []
    for pair in find_pairs(data).annotated[:_MOST_IMAGES]:
        assert pair.mask is not None
        image = read_image(pair.image).pixels[0].max(axis=0)
        there = _of_tile_size(read_image(pair.mask).pixels[0, 0] > 0)
        probability = gaussian_filter(there.astype(np.float32), 1.0)
        found.append((_of_tile_size(image), (probability > 0.5).astype(np.uint8) * 255, probability))
    return found


def _of_tile_size(plane: Array) -> NDArray[Any]:
    part = plane[:_TILE, :_TILE]
    return np.ascontiguousarray(np.pad(part, [(0, _TILE - side) for side in part.shape], mode="symmetric"))


def _write(folder: Path, side: int, pool: list[tuple[Array, Array, Array]]) -> None:
    """Write an image with what stands for its prediction, in compressed tiles, one of them at a time in memory."""
    order = np.random.default_rng(0).integers(len(pool), size=(-(-side // _TILE)) ** 2)
    for part, name in enumerate(("slide.tif", "slide_PRED.tif", "slide_PROB.tif")):
        tiles: Iterator[Array] = (pool[number][part] for number in order)
        tifffile.imwrite(
            folder / name,
            tiles,
            shape=(side, side),
            dtype=pool[0][part].dtype,
            tile=(_TILE, _TILE),
            photometric="minisblack",
            compression="zlib",
            bigtiff=True,
        )
