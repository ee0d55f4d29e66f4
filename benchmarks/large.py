"""Images that are predicted tile by tile: seams, speed beside bare forward passes, and memory at two sizes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_attnseg.data.loading import network_input
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.prediction.finishing import LargeProgress
from napari_attnseg.prediction.grid import axes_of
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.streaming import predict_streamed
from napari_attnseg.prediction.tiling import forward, predict_plane
from napari_attnseg.settings import PredictionSettings, make

MEMORY_PROBE = (
    "import resource, sys; from napari_attnseg.cli import main; code = main(sys.argv[1:]);"
    "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20); sys.exit(code)"
)
_SEGMENT = 512

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Seams:
    """How the borders of tiles show in a probability."""

    ratio: float
    """The mean step between neighbouring pixels across the borders of tiles, divided by that inside tiles; where
    objects lie by chance is taken out, by dividing by the same ratio for the same lines in the plane in one piece."""
    difference: float
    """The largest difference from what the whole plane in one piece gives."""
    mean_difference: float


def seams(predictor: Predictor, plane: NDArray[np.float32], tile_size: int, overlap: int) -> Seams:
    """Measure the seams in a plane, float32 (channel, y, x), that is predicted in tiles."""
    model, compute = predictor.model, predictor.compute
    tiled = predict_plane(model, plane, compute, tile_size=tile_size, overlap=overlap).probability
    whole = predict_plane(model, plane, compute, tile_size=max(plane.shape[1:])).probability
    ratio, by_chance = (step_ratio(one, tile_size, overlap, model.divisor) for one in (tiled, whole))
    difference = np.abs(tiled - whole)
    return Seams(ratio / by_chance, float(difference.max()), float(difference.mean()))


def step_ratio(probability: Array, tile_size: int, overlap: int, divisor: int) -> float:
    """Return the mean step across the borders of tiles divided by the mean step elsewhere; (class, y, x)."""
    height, width = probability.shape[1:]
    across_borders, inside = [], []
    for axis, tiles in zip((1, 2), axes_of(height, width, tile_size, overlap, divisor), strict=True):
        steps = np.abs(np.diff(probability, axis=axis)).mean(axis=(0, 3 - axis))  # one for each pair of lines
        ends = {start for start in tiles.starts if start > 0} | {start + tiles.tile for start in tiles.starts}
        at_border = np.zeros(len(steps), bool)
        at_border[[end - 1 for end in ends if end <= len(steps)]] = True
        across_borders.append(steps[at_border])
        inside.append(steps[~at_border])
    return float(np.concatenate(across_borders).mean() / np.concatenate(inside).mean())


def write_mosaic(path: Path, side: int, images: list[NDArray[np.uint8]]) -> None:
    """Write a tiled, compressed BigTIFF (y, x, 3) of small images (512, 512, 3), one of them at a time in memory."""
    rng = np.random.default_rng(0)
    count = (-(-side // _SEGMENT)) ** 2
    tiles: Iterator[NDArray[np.uint8]] = (images[rng.integers(len(images))] for _ in range(count))
    tifffile.imwrite(
        path,
        tiles,
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(_SEGMENT, _SEGMENT),
        photometric="rgb",
        compression="zlib",
        bigtiff=True,
    )


def segments(data: Path) -> list[NDArray[np.uint8]]:
    """Return parts of RGB images of a folder, (512, 512, 3), reflected where an image is smaller."""
    found = []
    for pair in find_pairs(data).pairs[:40]:
        pixels = read_image(pair.image).pixels[0]
        if pixels.shape[0] != 3 or pixels.dtype != np.uint8:
            continue
        part = np.moveaxis(pixels, 0, -1)[:_SEGMENT, :_SEGMENT]
        missing = [(0, _SEGMENT - side) for side in part.shape[:2]]
        found.append(np.ascontiguousarray(np.pad(part, (*missing, (0, 0)), mode="reflect")))
    return found


def measure(model: Path, data: Path, rounds: int, side: int = 4096) -> None:
    """Print the rows of the table for one model of RGB images and a folder of such images."""
    images = segments(data)
    with tempfile.TemporaryDirectory() as folder:
        for size in (side // 2, side):
            write_mosaic(Path(folder) / f"{size}.tif", size, images)
        _print_seams(model, data)
        _print_speed(model, Path(folder) / f"{side}.tif", rounds)
        for size in (side // 2, side):
            _print_memory(model, Path(folder) / f"{size}.tif", size)


def _print_seams(model: Path, data: Path) -> None:
    """Measure the four largest images of a folder; a mosaic would have seams of its own."""
    predictor = Predictor(model)
    infos = [read_info(pair.image, predictor.data.axes) for pair in find_pairs(data).pairs]
    largest = sorted(infos, key=lambda info: -info.height * info.width)[:4]
    planes = [network_input(read_image(info.path), predictor.data)[0] for info in largest]
    for tile_size, overlap in ((128, 32), (256, 0), (256, 32), (256, 64), (256, 128), (512, 0), (512, 64), (512, 128)):
        found = [seams(predictor, plane, tile_size, overlap) for plane in planes]
        ratios = [one.ratio for one in found]
        print(
            f"| tiles of {tile_size}, overlap {overlap}: step across borders / inside "
            f"| {statistics.mean(ratios):.3f}, at most {max(ratios):.3f} "
            f"| difference from one piece: mean {statistics.mean(one.mean_difference for one in found):.5f}, "
            f"largest {max(one.difference for one in found):.3f} |"
        )


def _print_speed(model: Path, image: Path, rounds: int) -> None:
    """Compare, in turns, a prediction from file to file with forward passes on the same number of tiles."""
    ratios = []
    for _ in range(max(rounds, 1)):
        predictor = Predictor(model, make(PredictionSettings, {"tile_size": 512, "batch_size": 4}))
        with tempfile.TemporaryDirectory() as folder:
            times: list[float] = []

            def on_progress(progress: LargeProgress, times: list[float] = times) -> None:
                if progress.stage == "rows":
                    times.append(time.perf_counter())

            _bare(predictor, 4, 4)
            predict_streamed(predictor, image, Path(folder), on_progress)
        across = len(axes_of(*_size(image), 512, 64, predictor.model.divisor)[1].starts)
        bare = _bare(predictor, across, 4) * (len(times) - 1)
        ratios.append(bare / (times[-1] - times[0]))
    print(f"| bare forward passes / prediction from file to file, the same tiles | {statistics.median(ratios):.3f} |")


def _bare(predictor: Predictor, tiles: int, batch: int) -> float:
    """Return the seconds that forward passes on a row of tiles of 512 pixels take."""
    cut = np.random.default_rng(0).random((batch, predictor.model.settings.in_channels, 512, 512), np.float32)
    began = time.perf_counter()
    for first in range(0, tiles, batch):
        forward(predictor.model, cut[: tiles - first], predictor.compute)
    return time.perf_counter() - began


def _size(image: Path) -> tuple[int, int]:
    with tifffile.TiffFile(image) as tif:
        height, width = tif.series[0].shape[:2]
        return int(height), int(width)


def _print_memory(model: Path, image: Path, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = ["predict", str(model), str(image), "--out", folder, "--tile-by-tile", "always", "--tile-size", "512"]
        done = subprocess.run([sys.executable, "-c", MEMORY_PROBE, *words], capture_output=True, text=True, check=True)
    peak = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("peak"))
    print(f"| peak memory of predict, {size} x {size} RGB | {float(peak):.2f} GB |")
