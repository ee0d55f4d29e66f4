"""F1 after some minutes of training, ours and the peers', on images that nothing was learnt from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.asked import Asked
from benchmarks.peers.client import PeerFailed, Worker, prepared
from benchmarks.peers.known import LEARNERS, OURS, WIDTHS
from benchmarks.quality.lesson import Lesson, write_lesson
from benchmarks.speed.comparison import compared
from benchmarks.tables import columns, note, row, title

_BATCHES_A_MINUTE = 150
Curve = dict[float, float | None]
"""F1 by minutes; None where there was nothing to predict with yet."""


def measure(asked: Asked) -> None:
    """Print a row for each; one after the other, for each keeps the machine busy for minutes.

    A peer learns the patches that our training sees, gets them ready-made, and its clock runs only while it learns; our
    minutes are those of `train --max-minutes`, in which it also cuts the patches, scores held-out images and saves.
    """
    title("F1 over minutes of training")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        batches = max(1, round(_BATCHES_A_MINUTE * asked.minutes[-1]))
        lesson = write_lesson(asked.train, asked.valid, folder / "lesson", batches)
        note(f"Learnt from: {lesson.learnt} images; mean F1 on {len(lesson.truths)} others, {asked.valid.name}.")
        columns("who", *(f"{minutes:g} min" for minutes in asked.minutes))
        ours = {minutes: _our_f1(asked, minutes, folder) for minutes in asked.minutes}
        _print(f"{OURS.title}, {lesson.widths[0]} to {lesson.widths[-1]} (`train --max-minutes`)", ours)
        others = []
        for kind in compared(asked, LEARNERS):
            sizes = {"widths": WIDTHS, "channels": lesson.channels}
            with prepared([kind], threads=asked.threads, device="cpu", **sizes) as ready:
                for worker, _ in ready.values():
                    others.append(_curve(asked, worker, lesson, folder / kind.name))
                    _print(kind.title, others[-1])
    row("ours is ahead of all of them", *(ahead(ours[at], [one[at] for one in others]) for at in asked.minutes))


def ahead(ours: float | None, others: list[float | None]) -> str:
    """Say by how much we are ahead of the best of the others, or behind it."""
    best = max((one for one in others if one is not None), default=None)
    if ours is None or best is None:
        return "" if best is None else "**lost**"
    return f"by {ours - best:.3f}" if ours > best else f"**lost** by {best - ours:.3f}"


def _curve(asked: Asked, worker: Worker, lesson: Lesson, out: Path) -> Curve:
    out.mkdir()
    found: Curve = dict.fromkeys(asked.minutes)
    learnt = 0.0
    try:
        worker.ask("begin", lesson=str(lesson.folder))
        for minutes in asked.minutes:
            worker.ask("learn", seconds=60 * (minutes - learnt))
            learnt = minutes
            files = worker.ask("probabilities", images=list(lesson.truths), out=str(out))
            found[minutes] = None if files is None else lesson.f1(files)
    except PeerFailed as failed:
        note(f"{worker.kind.title} got no further: {failed}.")
    return found


def _our_f1(asked: Asked, minutes: float, folder: Path) -> float:
    run, scores = folder / f"run{minutes:g}", folder / "scores.json"
    environment = {**os.environ, "OMP_NUM_THREADS": str(asked.threads)}
    for words in (
        ("train", asked.train, "--run", run, "--max-minutes", minutes),
        ("evaluate", run / "best.safetensors", asked.valid, "--json", scores),
    ):
        command = [sys.executable, "-m", "napari_attnseg", *map(str, words)]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return float(json.loads(scores.read_text())["mean"]["f1"])


def _print(who: str, curve: Mapping[float, float | None]) -> None:
    row(who, *("no model yet" if f1 is None else f"{f1:.3f}" for f1 in curve.values()))
