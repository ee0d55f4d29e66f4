"""`python -m benchmarks.run [PART ...]`: measure, and print tables in Markdown.

`make bench` makes the environment with the peers and runs the parts from training to gpu; the others are run by name.
A peer whose package is not installed is left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.asked import Asked
from benchmarks.machine import describe
from benchmarks.peers.known import LEARNERS, NETWORKS
from benchmarks.tables import note

# Each part: the function that measures it, and whether it is measured when none is named.
PARTS = {
    "training": ("benchmarks.speed.training:measure", True),
    "minutes": ("benchmarks.quality.minutes:measure", True),
    "inference": ("benchmarks.speed.inference:measure", True),
    "memory": ("benchmarks.memory.prediction:measure", True),
    "brush": ("benchmarks.viewer.painting:measure", True),
    "start": ("benchmarks.start.measure:measure", True),
    "limit": ("benchmarks.speed.limit:measure", True),
    "gpu": ("benchmarks.speed.gpu:measure", True),
    "growth": ("benchmarks.memory.growth:measure", False),
    "objects": ("benchmarks.memory.objects:measure", False),
    "training-memory": ("benchmarks.memory.training:measure", False),
    "feeding": ("benchmarks.speed.feeding:measure", False),
    "seams": ("benchmarks.quality.seams:measure", False),
    "fine-tune": ("benchmarks.quality.fine_tune:measure", False),
    "viewer": ("benchmarks.viewer.measure:measure", False),
    "around-training": ("benchmarks.viewer.measure:measure_around_training", False),
}


def main() -> None:
    """Measure what is asked for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that workers, which are suspended, are ended too
    options = _parser().parse_args()
    asked = Asked(
        rounds=options.rounds,
        threads=options.threads,
        minutes=tuple(sorted(options.minutes)),
        sides=tuple(sorted(options.sides)),
        peers=tuple(options.peers),
        data=options.data,
        chosen_model=options.model,
    )
    note(f"{describe()} Everyone computes with {asked.threads} threads; rounds in turns: {asked.rounds}.")
    for part in options.parts or [name for name, (_, by_default) in PARTS.items() if by_default]:
        module, _, function = PARTS[part][0].partition(":")
        getattr(import_module(module), function)(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"any of {', '.join(PARTS)}")
    add("--data", type=Path, help="RGB images with masks in train and val (default the samples)")
    add("--model", type=Path, help="a trained model of such images (default the one that comes with the program)")
    add("--peers", nargs="*", default=[], choices=_peers(), metavar="PEER", help=f"of {', '.join(_peers())} (all)")
    add("--rounds", type=_positive, default=7, help="how often what takes seconds is measured, in turns")
    add("--minutes", type=float, nargs="+", default=[0.5, 1.0, 2.0, 3.0], help="when F1 is looked at")
    add("--sides", type=_positive, nargs="+", default=[8192, 16384], help="of large images; speed takes the smallest")
    add("--threads", type=_positive, default=os.cpu_count() or 1, help="to compute on")
    return parser


def _peers() -> list[str]:
    return list(dict.fromkeys(kind.name for kind in (*NETWORKS, *LEARNERS)))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


if __name__ == "__main__":
    main()
