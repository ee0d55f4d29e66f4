"""The values that the masks of a folder hold, read once each, and again after they were changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from napari_attnseg.data.mask_survey import survey_mask
from napari_attnseg.data.mask_values import MaskValues
from napari_attnseg.errors import DataError


class MaskSurvey:
    """What was found in the masks that were read; several threads that ask at the same time share the reading."""

    def __init__(self) -> None:
        self._reading = threading.Lock()  # for one mask, so that nobody waits for all
        self.values: dict[Path, MaskValues] = {}
        self.unreadable: dict[Path, str] = {}
        """Masks that cannot be read, and why, in a sentence."""
        self._outdated: set[Path] = set()
        self._read_as: dict[Path, tuple[int, int] | None] = {}

    def note_saved(self, mask: Path) -> None:
        """Note that a mask holds something else now; what it held counts until it is read again."""
        self._outdated.add(mask)

    def holds(self, values: Collection[int]) -> bool:
        """Whether a mask holds one of these values."""
        return any(not found.isdisjoint(values) for found in (set(item.values) for item in list(self.values.values())))

    def read(self, masks: Sequence[Path], should_stop: Callable[[], bool], most: int | None = None) -> bool:
        """Read the masks that were not read yet or changed since, by us or others; at most `most`, spread over all.

        Returns whether it was not stopped.
        """
        todo = [mask for mask in masks if self._is_unread(mask)]
        if most is not None and len(todo) > most:
            todo = todo[:: max(1, len(todo) // most)][:most]
        for mask in todo:
            if should_stop():
                return False
            with self._reading:
                if self._is_unread(mask):  # by another thread meanwhile
                    self._read(mask)
        return True

    def _is_unread(self, mask: Path) -> bool:
        return mask not in self.values or mask in self._outdated or self._read_as.get(mask) != _state_of(mask)

    def _read(self, mask: Path) -> None:
        self._outdated.discard(mask)
        self._read_as[mask] = _state_of(mask)
        try:
            self.values[mask] = survey_mask(mask)
            self.unreadable.pop(mask, None)
        except DataError as error:  # a finding of the check
            self.values.pop(mask, None)
            self.unreadable[mask] = str(error)


def _state_of(mask: Path) -> tuple[int, int] | None:
    """Return the size of a file and when it was changed, by which another content is seen; None if it is gone."""
    try:
        status = mask.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
