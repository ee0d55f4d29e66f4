"""Several things measured in turns, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median


def in_turns(actions: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call each action once in every round; return what each gave, round by round.

    Every other round goes the other way about, so that none always comes after the same one.
    """
    found: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds):
        for name in list(actions)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(actions[name]())
    return found


def ratio(others: Sequence[float], ours: Sequence[float]) -> float:
    """Return the median over the rounds of other / ours; of seconds that is how many times faster ours is.

    Raises
    ------
    ValueError
        They were not measured in the same rounds.
    """
    return median(other / own for other, own in zip(others, ours, strict=True))
