"""The values that the masks of a folder hold, read once each, and again after they were saved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from napari_attnseg.data.mask_values import MaskValues, survey_mask
from napari_attnseg.errors import DataError


class MaskSurvey:
    """What was found in the masks that were read."""

    def __init__(self) -> None:
        self.values: dict[Path, MaskValues] = {}
        self.unreadable: dict[Path, str] = {}
        """Masks that cannot be read, and why, in a sentence."""
        self._outdated: set[Path] = set()

    def note_saved(self, mask: Path) -> None:
        """Note that a mask holds something else now; what it held counts until it is read again."""
        self._outdated.add(mask)

    def holds(self, values: Collection[int]) -> bool:
        """Whether a mask holds one of these values."""
        return any(not found.isdisjoint(values) for found in (set(item.values) for item in list(self.values.values())))

    def read(self, masks: Sequence[Path], should_stop: Callable[[], bool], most: int | None = None) -> bool:
        """Read the masks that were not read yet or saved since, at most `most` of them, spread over all.

        Returns whether it was not stopped.
        """
        todo = [mask for mask in masks if mask in self._outdated or mask not in self.values]
        if most is not None and len(todo) > most:
            todo = todo[:: max(1, len(todo) // most)][:most]
        for mask in todo:
            if should_stop():
                return False
            self._read(mask)
        return True

    def _read(self, mask: Path) -> None:
        self._outdated.discard(mask)
        try:
            self.values[mask] = survey_mask(mask)
            self.unreadable.pop(mask, None)
        except DataError as error:  # a finding of the check
            self.values.pop(mask, None)
            self.unreadable[mask] = str(error)
