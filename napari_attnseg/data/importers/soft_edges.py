"""Masks of one class whose edges are soft: resized with interpolation, drawn with antialiasing, or saved as JPEG once.

Their greys would be read as classes, or as numbered objects. What tells them apart is where the greys between 0 and the
largest lie: each pixel has a darker and a brighter neighbour, on the way from the background to the inside, where a
class or an object has an inside of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from napari_attnseg.data.convention import values_text
from napari_attnseg.data.mask_values import distinct

Array = np.ndarray[Any, Any]

_LEAST_LARGEST = 64  # below it are class numbers, no greys
_CLEAR = 0.9  # share of the greys between that lie on the way from dark to bright
_LIKELY = 0.6
_LEAST_INSIDE = 0.5  # share of the foreground that has the largest value
_GREYS_CLEAR = 4  # kinds of greys between; few may also be a rim that is a class
_GREYS_LIKELY = 2
_MOST_NAMED = 20


@dataclass(frozen=True)
class Edges:
    """Where the greys of a mask, or of several, lie."""

    inside: int = 0
    """Pixels of the largest value."""
    between: int = 0
    """Pixels of other values but 0."""
    rising: int = 0
    """Of these, the pixels with a darker and a brighter one among their eight neighbours."""
    values: frozenset[int] = frozenset()
    """All values but 0."""

    def __add__(self, other: Edges) -> Edges:
        return Edges(
            self.inside + other.inside,
            self.between + other.between,
            self.rising + other.rising,
            self.values | other.values,
        )

    @property
    def largest(self) -> int:
        """The largest value."""
        return max(self.values, default=0)

    @property
    def may_be_soft(self) -> bool:
        """Whether they look like soft edges, or like thin rims that are classes."""
        return self._lie_between(_LIKELY, _GREYS_LIKELY)

    @property
    def are_soft(self) -> bool:
        """Whether they are soft edges and nothing else."""
        return self._lie_between(_CLEAR, _GREYS_CLEAR)

    def _lie_between(self, share: float, least: int) -> bool:
        is_grey = self.largest >= _LEAST_LARGEST and len(self.values) > least
        is_inside = self.inside >= _LEAST_INSIDE * (self.inside + self.between)
        return is_grey and is_inside and self.rising >= share * self.between


def edges_of(labels: Array) -> Edges:
    """Look where the greys of a mask lie; unsigned (plane, y, x)."""
    found = frozenset(int(value) for value in distinct(labels) if value)
    largest = max(found, default=0)
    if largest < _LEAST_LARGEST:
        return Edges(int(np.count_nonzero(labels)), 0, 0, found)
    inside = between = rising = 0
    for plane in labels:
        inside += int(np.count_nonzero(plane == largest))
        greys = (plane != 0) & (plane != largest)
        if not greys.any():
            continue
        between += int(np.count_nonzero(greys))
        darker, brighter = ndimage.minimum_filter(plane, 3) < plane, ndimage.maximum_filter(plane, 3) > plane
        rising += int(np.count_nonzero(greys & darker & brighter))
    return Edges(inside, between, rising, found)


def hint_of(edges: Edges) -> str:
    """Say what to do if the greys are soft edges; without a full stop."""
    greys = sorted(edges.values)[:-1]
    others = values_text(greys) if len(greys) <= _MOST_NAMED else f"{greys[0]} to {greys[-1]}"
    return (
        f"Most of the foreground is {edges.largest}, and the other greys ({others}) lie along its edges: if this is "
        f"one class with soft edges, import again with --threshold {edges.largest // 2}"
    )
