"""Steps of training, in turns with the peers: how many images are learnt a second."""

from __future__ import annotations

from functools import partial

from benchmarks.asked import Asked
from benchmarks.peers.client import prepared
from benchmarks.peers.known import OURS, WIDTHS
from benchmarks.speed.comparison import compared, print_costs, print_times, that_can
from benchmarks.tables import columns, title
from benchmarks.turns import in_turns

_PATCHES = ((256, 4), (512, 2))
_TO_REACH = 1.8


def measure(asked: Asked) -> None:
    """Print the rows: patches of two sizes, networks 32 to 512 wide, AdamW or Adam, no augmentation."""
    title("Training, images a second")
    kinds = (OURS, *compared(asked))
    with prepared(kinds, widths=WIDTHS, threads=asked.threads, device="cpu", channels=3) as ready:
        print_costs(ready)
        columns("patches", "who", "images/s", "ours is so many times faster")
        for size, batch in _PATCHES:
            able = that_can(ready, "train", size=size, batch=batch, steps=1)
            steps = {name: partial(one.ask, "train", size=size, batch=batch, steps=1) for name, one in able.items()}
            seconds = in_turns(steps, asked.rounds)
            print_times(f"{batch} x {size} x {size} RGB", 1.0, seconds, ready, _TO_REACH)
