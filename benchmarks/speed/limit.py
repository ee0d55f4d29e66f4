"""The limit of a prediction: the bare network's forward passes on the same number of pixels."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import tifffile
import torch

from benchmarks.asked import Asked
from benchmarks.images import segments, write_mosaic
from benchmarks.tables import columns, row, title
from napari_attnseg.models.heap import keep_heap
from napari_attnseg.prediction.finishing import LargeProgress
from napari_attnseg.prediction.grid import axes_of
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.streaming import predict_streamed
from napari_attnseg.prediction.tiling import forward
from napari_attnseg.settings import PredictionSettings, make

_SIDE, _TILE, _OVERLAP, _BATCH = 2048, 512, 64, 4
_TO_REACH = 0.9


def measure(asked: Asked) -> None:
    """Print the row: rows of tiles from file to file, then bare forward passes on as many tiles, in turns."""
    title("Prediction beside the bare network")
    torch.set_num_threads(asked.threads)
    keep_heap()  # as the program does
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "image.tif"
        write_mosaic(image, _SIDE, segments(asked.train))
        shares = [_share(asked.model, image, Path(name) / str(number)) for number in range(asked.rounds)]
    found = median(shares)
    columns("image", "bare forward passes / prediction from file to file", "to reach")
    row(f"{_SIDE} x {_SIDE} RGB", f"{found:.3f}", f"{_TO_REACH}{'' if found >= _TO_REACH else ': **missed**'}")


def _share(model: Path, image: Path, folder: Path) -> float:
    """Return the time of bare forward passes as a share of the prediction's."""
    predictor = Predictor(model, make(PredictionSettings, {"tile_size": _TILE, "batch_size": _BATCH}))
    down, across = axes_of(*_size(image), _TILE, _OVERLAP, predictor.model.divisor)
    rows, tiles = len(down.starts), len(across.starts)
    times: list[float] = []

    def on_progress(progress: LargeProgress) -> None:
        if progress.stage == "rows":
            times.append(time.perf_counter())

    _bare(predictor, tiles)  # warms up
    folder.mkdir()
    before = [_bare(predictor, tiles) for _ in range(rows)]
    predict_streamed(predictor, image, folder, on_progress)
    after = [_bare(predictor, tiles) for _ in range(rows)]  # a machine that slows down slows half of them
    return (sum(before) + sum(after)) / 2 / (times[-1] - times[0])


def _bare(predictor: Predictor, tiles: int) -> float:
    """Return the seconds that forward passes on a row of tiles take."""
    shape = (_BATCH, predictor.model.settings.in_channels, _TILE, _TILE)
    cut = np.random.default_rng(0).random(shape, np.float32)
    began = time.perf_counter()
    for first in range(0, tiles, _BATCH):
        forward(predictor.model, cut[: tiles - first], predictor.compute)
    return time.perf_counter() - began


def _size(image: Path) -> tuple[int, int]:
    with tifffile.TiffFile(image) as tif:
        height, width = tif.series[0].shape[:2]
        return int(height), int(width)
