"""The seams of a prediction in tiles: how its tiles' borders show, and how far it is from one in a single piece."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.asked import Asked
from benchmarks.tables import columns, row, title
from napari_attnseg.data.loading import network_input
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.prediction.grid import axes_of
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.tiling import predict_plane

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


def measure(asked: Asked) -> None:
    """Print the rows for a model and the four largest images of a folder; a mosaic would have seams of its own."""
    model, data = asked.model, asked.valid
    title("Seams between tiles")
    columns("tiles", "overlap", "step across borders / inside: mean, largest", "mean difference", "largest difference")
    predictor = Predictor(model)
    infos = [read_info(pair.image, predictor.data.axes) for pair in find_pairs(data).pairs]
    largest = sorted(infos, key=lambda info: -info.height * info.width)[:4]
    planes = [network_input(read_image(info.path), predictor.data)[0] for info in largest]
    for tile_size, overlap in ((128, 32), (256, 0), (256, 32), (256, 64), (256, 128), (512, 0), (512, 64), (512, 128)):
        found = [seams(predictor, plane, tile_size, overlap) for plane in planes]
        ratios = [one.ratio for one in found]
        row(
            str(tile_size),
            str(overlap),
            f"{statistics.mean(ratios):.2f}, {max(ratios):.2f}",
            f"{statistics.mean(one.mean_difference for one in found):.4f}",
            f"{max(one.difference for one in found):.2f}",
        )
