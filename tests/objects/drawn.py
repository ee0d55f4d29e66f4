"""Shapes whose number is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ellipsoid(
    shape: Sequence[int], centre: Sequence[float], radii: Sequence[float], spacing: Sequence[float] | None = None
) -> np.ndarray:
    """Return what lies in an ellipse or ellipsoid along the axes; all lengths in the unit of `spacing`."""
    spacing = spacing or (1.0,) * len(shape)
    places = np.indices(shape).astype(float)
    terms = [((places[axis] * spacing[axis] - centre[axis]) / radii[axis]) ** 2 for axis in range(len(shape))]
    return np.asarray(sum(terms) <= 1)


def turned_ellipse(size: int, long: float, short: float, angle: float) -> np.ndarray:
    """Return an ellipse in the middle of a square, turned by an angle."""
    y, x = np.indices((size, size)) - size / 2
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.asarray((along / long) ** 2 + (across / short) ** 2 <= 1)


def two_discs(radius: float, distance: float, angle: float, size: int = 100) -> np.ndarray:
    """Return two discs whose centres are so far from each other."""
    step = np.array([np.sin(angle), np.cos(angle)]) * distance / 2
    middle = np.array([size / 2 + 0.3, size / 2 - 0.2])
    both = [ellipsoid((size, size), middle + sign * step, (radius, radius)) for sign in (-1, 1)]
    return np.asarray(both[0] | both[1])
