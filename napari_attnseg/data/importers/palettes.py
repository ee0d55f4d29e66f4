"""Palettes of masks: whether the greys in them or the numbers of their colours are the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Palette:
    """The colours of one mask's numbers."""

    colours: tuple[tuple[int, ...], ...]
    """Red, green and blue, 0 to 255, of the numbers from 0 on."""
    used: tuple[int, ...]
    """The numbers that the mask holds, in ascending order."""

    def colour(self, number: int) -> tuple[int, ...] | None:
        """Return the colour of a number; None if the palette is shorter."""
        return self.colours[number] if number < len(self.colours) else None

    @property
    def is_grey(self) -> bool:
        """Whether it shows greys, each of its own: the used ones, and all of them where one alone is used."""
        shown = [self.colour(number) for number in self.used]
        looked_at = shown if len(shown) > 1 else [*shown, *self.colours]
        return len(set(shown)) == len(shown) and all(item is not None and len(set(item)) == 1 for item in looked_at)

    def greys(self, numbers: Array) -> Array:
        """Return the greys of numbers, uint8 of the same shape, of a palette that is grey."""
        lookup = np.zeros(1 + max(self.used, default=0), np.uint8)
        for number in self.used:
            lookup[number] = self.colours[number][0]
        return np.asarray(lookup[numbers])


def are_greys(palettes: Mapping[Path, Palette], *, only_background: bool = False) -> bool:
    """Decide for masks that belong together whether their greys are the values, not the numbers of their colours.

    Parameters
    ----------
    palettes
        The palettes of those masks that have one.
    only_background
        Let palettes differ in all but 0, because every other number means the same, or an object.

    Raises
    ------
    DataError
        There are colours, and the palettes differ.
    """
    if all(palette.is_grey for palette in palettes.values()):
        return True
    colours: dict[int, tuple[Path, tuple[int, ...] | None]] = {}
    numbers: dict[tuple[int, ...] | None, tuple[Path, int]] = {}
    for path, palette in palettes.items():
        for number in (0,) if only_background else palette.used:
            colour = palette.colour(number)
            first, known = colours.setdefault(number, (path, colour))
            if known != colour:
                raise _differ(first, path, f"{number} is {known} in the first and {colour} in the second")
            first, other = numbers.setdefault(colour, (path, number))
            if palette.colour(other) != colour:
                raise _differ(first, path, f"{colour} is {other} in the first and {number} in the second")
    return False


def palettes_text(palettes: Mapping[Path, Palette], by_greys: bool) -> str:
    """Say how masks with palettes are read; '' where the numbers are the greys."""
    if by_greys:
        told = any(palette.colour(number) != (number,) * 3 for palette in palettes.values() for number in palette.used)
        if not told:
            return ""
        turned = any(palette.colour(0) != (0, 0, 0) for palette in palettes.values() if 0 in palette.used)
        return "The palettes of the masks hold greys, which are read as their values" + (
            ": what is shown black is the background, though its number is not 0. If it is the other way about, save "
            "the masks without a palette."
            if turned
            else "."
        )
    background = next(iter(palettes.values())).colour(0)
    return f"The masks have a palette, whose numbers are read as values; 0, the background, is its colour {background}."


def _differ(first: Path, second: Path, how: str) -> DataError:
    return DataError(
        f"The masks {first.name} and {second.name} have different palettes: {how} (red, green, blue). Save all masks "
        f"with one palette, or as class numbers 0, 1, 2, ... ({second})."
    )
