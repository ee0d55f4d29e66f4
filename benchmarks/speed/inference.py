"""Masks of one small and one large image, in turns with the peers: how many megapixels a second."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.asked import Asked
from benchmarks.images import segments, write_mosaic
from benchmarks.peers.client import prepared
from benchmarks.peers.known import OURS, WIDTHS
from benchmarks.speed.comparison import Ready, compared, print_costs, print_times, that_can
from benchmarks.tables import columns, title
from benchmarks.turns import in_turns

_SMALL, _REPEATS = 512, 3
_TO_REACH = 2.5


def measure(asked: Asked) -> None:
    """Print the rows: from a file to a mask, networks 32 to 512 wide with fresh weights."""
    title("Inference, megapixels a second")
    kinds = (OURS, *compared(asked))
    with (
        tempfile.TemporaryDirectory() as name,
        prepared(kinds, widths=WIDTHS, threads=asked.threads, device="cpu", channels=3) as ready,
    ):
        folder = Path(name)
        for side in (_SMALL, asked.sides[0]):
            write_mosaic(folder / f"{side}.tif", side, segments(asked.train))
        print_costs(ready)
        columns("image", "who", "megapixels/s", "ours is so many times faster")
        _print_small(asked, ready, folder / f"{_SMALL}.tif")
        _print_large(asked.sides[0], ready, folder)


def _print_small(asked: Asked, ready: Ready, image: Path) -> None:
    able = that_can(ready, "predict", image=str(image), repeats=1)
    actions = {name: partial(one.ask, "predict", image=str(image), repeats=_REPEATS) for name, one in able.items()}
    print_times(f"{_SMALL} x {_SMALL}", _SMALL**2 / 1e6, in_turns(actions, asked.rounds), ready, _TO_REACH)


def _print_large(side: int, ready: Ready, folder: Path) -> None:
    """Predict a large image once with each: it takes minutes, over which disturbances even out."""
    out = folder / "out"
    out.mkdir()
    small = that_can(ready, "predict_large", image=str(folder / f"{_SMALL}.tif"), out=str(out))
    image = str(folder / f"{side}.tif")
    actions = {name: partial(one.ask, "predict_large", image=image, out=str(out)) for name, one in small.items()}
    print_times(f"{side} x {side}, to a file", side**2 / 1e6, in_turns(actions, 1), ready, _TO_REACH)
