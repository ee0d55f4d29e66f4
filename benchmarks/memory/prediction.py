"""The peak memory of predicting large images, each measured in a process of its own that runs alone."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.asked import Asked
from benchmarks.images import segments, write_mosaic
from benchmarks.peers.client import PeerFailed, prepared
from benchmarks.peers.known import OURS, Kind
from benchmarks.speed.comparison import compared
from benchmarks.tables import against, columns, note, row, title

_WIDTHS = (8, 16, 32)
"""Narrow, so that it takes minutes: what grows with the image is the image and its masks, not the network."""


def measure(asked: Asked) -> None:
    """Print the rows: ours tile by tile and as it decides itself, and the peers with MONAI's sliding window."""
    title("Peak memory of predicting large images")
    columns("image", "who", "peak, GB", "ours tile by tile takes so many times less", "ours as it decides")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in asked.sides:
            image = folder / f"{side}.tif"
            write_mosaic(image, side, segments(asked.train))
            _print_side(asked, f"{side} x {side} RGB", image, folder)


def _print_side(asked: Asked, what: str, image: Path, folder: Path) -> None:
    tiled = _peak(asked, OURS, image, folder / "tiled", tile_by_tile="always")
    decided = _peak(asked, OURS, image, folder / "decided")
    assert tiled is not None
    assert decided is not None
    row(what, f"{OURS.title}, tile by tile", f"{tiled:.2f}", "", "")
    row(what, f"{OURS.title}, as it decides with the memory that is free", f"{decided:.2f}", "", "")
    for kind in compared(asked):
        peak = _peak(asked, kind, image, folder / kind.name)
        if peak is not None:
            row(what, kind.title, f"{peak:.2f}", against(peak / tiled), against(peak / decided))


def _peak(asked: Asked, kind: Kind, image: Path, out: Path, **more: Any) -> float | None:
    """Return the peak of a worker that predicts one image and nothing else; None if it cannot."""
    out.mkdir(exist_ok=True)
    with prepared([kind], widths=_WIDTHS, threads=asked.threads, device="cpu", channels=3) as ready:
        if kind.name not in ready:
            return None
        worker, _ = ready[kind.name]
        try:
            worker.ask("predict_large", image=str(image), out=str(out), **more)
        except PeerFailed as failed:
            note(f"{kind.title} is left out here: {failed}.")
            return None
        return float(worker.ask("peak"))
