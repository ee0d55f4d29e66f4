"""Training on a GPU: images a second beside the peers, and the share of what the card can multiply."""

from __future__ import annotations

from functools import partial
from statistics import median

import torch

from benchmarks.asked import Asked
from benchmarks.machine import gpu
from benchmarks.peers.client import prepared
from benchmarks.peers.known import MONAI, OURS, SMP, WIDTHS
from benchmarks.speed.comparison import compared, print_times, that_can
from benchmarks.tables import columns, note, row, title
from benchmarks.turns import in_turns

_PATCHES = ((256, 32), (512, 8))
_STEPS, _MATRIX = 20, 8192
_PASSES = 3
"""Forward, and back once for what went in and once for the weights."""


def measure(asked: Asked) -> None:
    """Print the rows, or that there is no GPU."""
    title("On a GPU")
    if not torch.cuda.is_available():
        note("There is no NVIDIA GPU here, so that nothing of this was run on this machine.")
        return
    kinds = (OURS, *compared(asked, (MONAI, SMP)))
    with prepared(kinds, widths=WIDTHS, threads=asked.threads, device="cuda", channels=3) as ready:
        ours, about = ready[OURS.name]
        most = ours.ask("matmul", size=_MATRIX)
        columns("patches", "who", "images/s", "ours is so many times faster")
        shares = []
        for size, batch in _PATCHES:
            order = {"size": size, "batch": batch, "steps": _STEPS}
            steps = {
                name: partial(one.ask, "train", **order) for name, one in that_can(ready, "train", **order).items()
            }
            seconds = in_turns(steps, asked.rounds)
            print_times(f"{batch} x {size} x {size} RGB", 1.0, seconds, ready, goal=1.0)
            needed = _PASSES * about["multiply_adds"] * (size / 256) ** 2
            shares.append((size, needed / median(seconds[OURS.name]) / most))
    columns("patches", f"share of what {gpu()} multiplies in a product of two {_MATRIX} x {_MATRIX} matrices")
    for size, share in shares:
        row(f"{size}", f"{share:.1%} of {2 * most / 1e12:.0f} TFLOP/s ({about['computes']})")
