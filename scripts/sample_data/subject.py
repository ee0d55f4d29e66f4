"""Subjects: the build that all slices of one abdomen share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sample_data.texture import Array, smooth_noise


@dataclass(frozen=True)
class Subject:
    """What stays the same from slice to slice of one subject. Lengths are in half image widths.

    `bend` has the displacements (dy, dx) that make outlines irregular, at a few heights: (height, 2, Y, X).
    """

    width: float
    height: float
    fat: float
    shift: Array
    swell: Array
    bright: Array
    bend: Array
    bowel: Array


def draw_subject(rng: Generator, size: int) -> Subject:
    """A subject of random build, organ positions and signal levels."""
    loops = np.column_stack([rng.uniform(-0.52, 0.52, 22), rng.uniform(-0.45, 0.1, 22), rng.uniform(-0.05, 0.75, 22)])
    return Subject(
        width=rng.uniform(0.82, 0.92),
        height=rng.uniform(0.64, 0.74),
        fat=rng.uniform(0.035, 0.10),
        shift=rng.normal(0.0, 0.022, (8, 3)),
        swell=rng.normal(1.0, 0.06, 8),
        bright=np.exp(rng.normal(0.0, 0.10, 12)),
        bend=np.stack([[smooth_noise(rng, (size, size), size / 11) for _ in range(2)] for _ in range(4)]),
        bowel=np.column_stack([loops, rng.uniform(0.05, 0.115, 22), rng.uniform(0.0, 1.0, 22)]),
    )


def at_height(planes: Array, z: float) -> Array:
    """The plane at height `z` in [0, 1] out of a stack of planes, linear between them."""
    place = z * (len(planes) - 1)
    low = min(int(place), len(planes) - 2)
    share = place - low
    below: Array = planes[low]
    above: Array = planes[low + 1]
    return below + share * (above - below)
