"""Fine-tuning on five images of a new kind: how soon a prediction is better, and what it costs on the old kind.

The nuclei of the 2018 Data Science Bowl come in kinds that look nothing like each other. A model learns from
fluorescence alone (bright nuclei on a dark ground); then five stained sections (dark nuclei on a bright, coloured
ground) are added to its folder, and it is fine-tuned on these as the viewer does it. All is measured on further images
of both kinds that no training has seen.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.asked import Asked
from benchmarks.tables import columns, note, row, title
from napari_attnseg import jobs
from napari_attnseg.data.pairs import Pair, find_pairs
from napari_attnseg.data.tiff import read_image
from napari_attnseg.engine import evaluate
from napari_attnseg.events import CheckpointSaved, Failed, Finished

OLD_IMAGES, NEW_IMAGES, MEASURED_IMAGES = 40, 5, 16
_DARK, _BRIGHT, _COLOURLESS, _COLOURED = 80, 100, 3, 8  # of 255


@dataclass(frozen=True)
class Gain:
    """What a fine-tuning has changed; F1 is the mean over images that no training has seen."""

    seconds: float | None
    """From the start of the process to the first model file that is better on the new kind; None: never."""
    total_seconds: float
    new_before: float
    new_after: float
    old_before: float
    old_after: float


def measure(asked: Asked) -> None:
    """Print the rows: trained on the old kind for the longest of the minutes, then fine-tuned on the new one."""
    title("Fine-tuning on five images of a new kind")
    if asked.data is None:
        note("Give --data, a folder of nuclei of several kinds with train and val (or valid).")
        return
    gain = fine_tune(asked.train, asked.valid, asked.chosen_model, asked.minutes[-1])
    soon = "never" if gain.seconds is None else f"after {gain.seconds:.0f} s"
    columns("what", "before", "after")
    row("F1 on the new kind", f"{gain.new_before:.3f}", f"{gain.new_after:.3f}")
    row("F1 on the old kind", f"{gain.old_before:.3f}", f"{gain.old_after:.3f}")
    note(f"Better on held-out images of the new kind {soon}; all took {gain.total_seconds:.0f} s.")


def fine_tune(train: Path, measured: Path, model: Path | None, minutes: float) -> Gain:
    """Train on the old kind for `minutes` (or take `model`), fine-tune on the new one, and compare.

    `train` and `measured` are folders of pairs of both kinds.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        old = _copied(_of_kind(train, "dark", OLD_IMAGES), root / "folder")
        old_measured = _copied(_of_kind(measured, "dark", MEASURED_IMAGES), root / "old")
        new_measured = _copied(_of_kind(measured, "coloured", MEASURED_IMAGES), root / "new")
        if model is None:
            _follow(_train(root / "folder", root / "first", "--max-minutes", str(minutes)), root / "first", None)
            model = root / "first" / "best.safetensors"
        new = _copied(_of_kind(train, "coloured", NEW_IMAGES), root / "folder")
        note(f"{len(old)} old and {len(new)} new images; {len(old_measured)} and {len(new_measured)} to measure on.")
        command = _train(root / "folder", root / "second", "--init", str(model), "--focus", *map(str, new))
        saved, total = _follow(command, root / "second", root / "kept")
        before = {kind: evaluate(model, root / kind).mean.f1 for kind in ("new", "old")}
        better = (seconds for seconds, path in saved if evaluate(path, root / "new").mean.f1 > before["new"])
        after = {kind: evaluate(root / "second" / "best.safetensors", root / kind).mean.f1 for kind in ("new", "old")}
        return Gain(next(better, None), total, before["new"], after["new"], before["old"], after["old"])


def _train(source: Path, run: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "napari_attnseg", "train", str(source), "--run", str(run), "--events", *more]


def _follow(command: list[str], run: Path, keep: Path | None) -> tuple[list[tuple[float, Path]], float]:
    """Wait for a training; return when each better model was there, with a copy of it, and the time of all."""
    began = time.perf_counter()
    saved: list[tuple[float, Path]] = []
    if keep is not None:
        keep.mkdir()
    job = jobs.start(command, folder=run, priority="normal")
    while job.state == "running":
        for event in job.poll():
            if isinstance(event, Failed):
                raise RuntimeError(event.message)
            if isinstance(event, CheckpointSaved) and event.is_best and keep is not None:
                path = keep / f"{len(saved)}.safetensors"
                shutil.copyfile(event.path, path)
                saved.append((time.perf_counter() - began, path))
            if isinstance(event, Finished):
                note(event.message.splitlines()[0])
        time.sleep(0.05)
    return saved, time.perf_counter() - began


def _of_kind(folder: Path, kind: str, count: int) -> list[Pair]:
    """Return some pairs of a kind, evenly spread over the names."""
    found = [pair for pair in find_pairs(folder).annotated if _kind(pair.image) == kind]
    return found[:: max(1, len(found) // count)][:count]


def _kind(image: Path) -> str:
    """Say what an image of 8 bits and three samples looks like: 'dark', 'coloured' or 'other'."""
    pixels = read_image(image).pixels.astype(np.float32)  # (plane, channel, y, x)
    colour = np.abs(pixels - pixels.mean(axis=1, keepdims=True)).mean()
    brightness = np.median(pixels)
    if brightness < _DARK and colour < _COLOURLESS:
        return "dark"
    return "coloured" if brightness > _BRIGHT and colour > _COLOURED else "other"


def _copied(pairs: list[Pair], folder: Path) -> list[Path]:
    """Copy pairs into a folder; return the images there."""
    folder.mkdir(exist_ok=True)
    for pair in pairs:
        for path in (pair.image, pair.mask):
            assert path is not None
            shutil.copyfile(path, folder / path.name)
    return [folder / pair.image.name for pair in pairs]
