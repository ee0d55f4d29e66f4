"""How long the viewer waits for a prediction: the first one of a new process, and the ones after it."""

from __future__ import annotations

import queue
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.asked import Asked
from benchmarks.tables import row
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.tiff import read_image
from napari_attnseg.warm import Predicted, PredictionFailed, PredictRequest, Reply, WarmPredictor

SIDE = 512


def print_rows(asked: Asked) -> None:
    """Print the rows: the images are such as the model knows, repeated until they fill 512 x 512 pixels."""
    rounds = asked.rounds
    with tempfile.TemporaryDirectory() as name:
        images = [_of_size(pair.image, Path(name)) for pair in find_pairs(asked.train).pairs[: max(rounds, 2)]]
        firsts, later = [], []
        for number in range(rounds):
            first, *others = _wait_for(asked.model, images, 1 if number < rounds - 1 else rounds + 1)
            firsts.append(first)
            later += others
    what = f"{SIDE} x {SIDE} with attention and uncertainty"
    row(f"first prediction, {what}, the process started for it", *_figures(firsts))
    row("second and each further one", *_figures(later))


def _wait_for(model: Path, images: list[Path], count: int) -> list[float]:
    """Return the seconds from each request to its answer, by a new process."""
    replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    predictor = WarmPredictor(replies.put)
    seconds = []
    for number in range(count):
        began = time.perf_counter()
        predictor.predict(PredictRequest(model, images[number % len(images)], attention=True, uncertainty=True))
        answer = next(reply for reply in iter(replies.get, None) if isinstance(reply, Predicted | PredictionFailed))
        if isinstance(answer, PredictionFailed):
            raise SystemExit(answer.sentence)
        seconds.append(time.perf_counter() - began)
    predictor.close()
    return seconds


def _of_size(path: Path, folder: Path) -> Path:
    """Write one plane of an image, repeated and cut to the size."""
    image = read_image(path)
    plane = image.pixels[0]
    repeated = np.tile(plane, (1, -(-SIDE // plane.shape[1]), -(-SIDE // plane.shape[2])))[:, :SIDE, :SIDE]
    rgb = image.info.is_rgb
    stored = np.moveaxis(repeated, 0, -1) if rgb else repeated[0] if len(repeated) == 1 else repeated
    target = folder / f"{path.stem}.tif"
    tifffile.imwrite(target, stored, photometric="rgb" if rgb else "minisblack")
    return target


def _figures(seconds: list[float]) -> tuple[str, str]:
    return f"{statistics.median(seconds):.2f} s", f"{max(seconds):.2f} s"
