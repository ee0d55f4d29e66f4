"""The limit of a prediction: the bare network's forward passes on the same number of pixels."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.asked import Asked
from benchmarks.images import segments, write_mosaic
from benchmarks.tables import columns, row, title
from napari_attnseg.models.heap import keep_heap
from napari_attnseg.prediction.finishing import LargeProgress
from napari_attnseg.prediction.grid import axes_of
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.tiling import forward
from napari_attnseg.prediction.to_files import predict_to_files
from napari_attnseg.settings import PredictionSettings, make

_HEIGHT, _WIDTH = 4608, 2048  # large enough for a pyramid
_TILE, _OVERLAP, _BATCH = 512, 64, 4
_PARTS: dict[str, dict[str, bool]] = {
    "masks": {},
    "masks, probability": {"probability": True},
    "masks, probability, attention": {"probability": True, "attention": True},
}
_TO_REACH = 0.9


def measure(asked: Asked) -> None:
    """Print the rows: tiles from file to file, with bare forward passes on as many tiles before and after each."""
    title("Prediction beside the bare network")
    torch.set_num_threads(asked.threads)
    keep_heap()  # as the program does
    columns("image", "written", "as", "forward passes / prediction, first to last row", "... / all of it", "to reach")
    with tempfile.TemporaryDirectory() as name:
        image = Path(name) / "image.tif"
        write_mosaic(image, _HEIGHT, segments(asked.train), _WIDTH)
        for what, parts in _PARTS.items():
            for way, form in (("never", "tiff"), ("always", "tiff"), ("always", "ome-zarr")):
                tiles = {"tile_size": _TILE, "batch_size": _BATCH, "overlap": _OVERLAP}
                settings = make(PredictionSettings, {**tiles, "tile_by_tile": way, "format": form, **parts})
                predictor = Predictor(asked.model, settings)
                shares = [_shares(predictor, image, Path(name)) for _ in range(asked.rounds)]
                rows, whole = (median(each) for each in zip(*shares, strict=True))
                verdict = f"{_TO_REACH}{'' if whole >= _TO_REACH else ': **missed**'}"
                written = f"{form}, {'in memory' if way == 'never' else 'tile by tile'}"
                shown = "" if way == "never" else f"{rows:.3f}"
                row(f"{_HEIGHT} x {_WIDTH} RGB", what, written, shown, f"{whole:.3f}", verdict)


def _shares(predictor: Predictor, image: Path, folder: Path) -> tuple[float, float]:
    """Return the time of bare forward passes as shares of the time for the rows of tiles, and of the whole call.

    Of an image in memory the first share is that of the second.
    """
    down, across = axes_of(_HEIGHT, _WIDTH, _TILE, _OVERLAP, predictor.model.divisor)
    tiles = len(down.starts) * len(across.starts)
    times: list[float] = []

    def on_progress(share: float, large: LargeProgress | None) -> None:
        if large and large.stage == "rows":
            times.append(time.perf_counter())

    _bare(predictor, _BATCH)  # warms up
    before = _bare(predictor, tiles)
    with tempfile.TemporaryDirectory(dir=folder) as out:
        began = time.perf_counter()
        predict_to_files(predictor, image, Path(out), on_progress)
        whole = time.perf_counter() - began
    after = _bare(predictor, tiles)  # a machine that slows down slows half of them
    bare = (before + after) / 2
    return bare / (times[-1] - times[0] if times else whole), bare / whole


def _bare(predictor: Predictor, tiles: int) -> float:
    """Return the seconds that forward passes on some tiles take."""
    shape = (_BATCH, predictor.model.settings.in_channels, _TILE, _TILE)
    cut = np.random.default_rng(0).random(shape, np.float32)
    began = time.perf_counter()
    for first in range(0, tiles, _BATCH):
        forward(predictor.model, cut[: tiles - first], predictor.compute)
    return time.perf_counter() - began
