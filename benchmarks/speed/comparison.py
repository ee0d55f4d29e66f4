"""Rows that hold us against the peers, and the peer that counts for what is to be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.asked import Asked
from benchmarks.machine import has_bfloat16
from benchmarks.peers.client import PeerFailed, Worker
from benchmarks.peers.known import NETWORKS, OURS, Kind
from benchmarks.tables import against, columns, note, row
from benchmarks.turns import ratio

Ready = Mapping[str, tuple[Worker, dict[str, Any]]]
_LIKE_SIZE = 2.0


def compared(asked: Asked, kinds: Sequence[Kind] = NETWORKS) -> tuple[Kind, ...]:
    """Return those of the peers that are asked for."""
    return tuple(kind for kind in kinds if not asked.peers or kind.name in asked.peers)


def print_costs(ready: Ready) -> None:
    """Print how large the networks are, from which one sees who is of like size."""
    columns("who", "parameters, M", "multiply-adds of 256 x 256 RGB, G", "computes in")
    for worker, about in ready.values():
        sizes = (about["parameters"] / 1e6, about["multiply_adds"] / 1e9)
        row(worker.kind.title, *(f"{one:.2f}" for one in sizes), about["computes"])
    note(f"Of like size is who takes at least a half and at most {_LIKE_SIZE:g} times our multiply-adds.")


def that_can(ready: Ready, what: str, **arguments: Any) -> dict[str, Worker]:
    """Let everyone do something once, which also warms them up; return those who can, by name."""
    able = {}
    for name, (worker, _) in ready.items():
        try:
            worker.ask(what, **arguments)
        except PeerFailed as failed:
            note(f"{worker.kind.title} is left out here: {failed}.")
        else:
            able[name] = worker
    return able


def print_times(what: str, amount: float, seconds: Mapping[str, Sequence[float]], ready: Ready, goal: float) -> None:
    """Print how much each does a second and how many times faster we are, then the best peer of like size.

    Parameters
    ----------
    what
        Begins each row.
    amount
        What is done in the seconds.
    seconds
        By name, round by round, ours among them.
    goal
        How many times faster we are to be than the best peer of like size on a CPU with bfloat16 units.
    """
    own = seconds[OURS.name]
    row(what, OURS.title, f"{amount / median(own):.3f}", "")
    ratios = {name: ratio(times, own) for name, times in seconds.items() if name != OURS.name}
    for name, found in ratios.items():
        row(what, ready[name][0].kind.title, f"{amount / median(seconds[name]):.3f}", against(found))
    alike = {name: found for name, found in ratios.items() if is_of_like_size(ready[name][1], ready[OURS.name][1])}
    if alike:
        best = min(alike, key=lambda name: alike[name])
        row(what, f"best float32 peer of like size: {ready[best][0].kind.title}", "", _judged(alike[best], goal))


def is_of_like_size(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two networks take about as many multiply-adds."""
    times = one["multiply_adds"] / other["multiply_adds"]
    return bool(1 / _LIKE_SIZE <= times <= _LIKE_SIZE)


def _judged(found: float, goal: float) -> str:
    if has_bfloat16():
        return against(found, goal)
    return f"{against(found)} (to reach {goal:g} on a CPU with bfloat16 units, which this one does not have)"
