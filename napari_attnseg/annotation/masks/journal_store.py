"""A journal's file while it is written: append, drop what was saved, keep it small."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_attnseg.annotation.masks.journal_file import append, create
from napari_attnseg.annotation.masks.journal_header import Header
from napari_attnseg.errors import SaveError

LARGE = 32 * 2**20
WASTE = 4  # times what its live tiles take; then it is written anew

Place = tuple[tuple[int, ...], tuple[int, ...]]
"""Start and shape of a tile."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A record to be written; `number` counts the edits of the journal."""

    place: Place
    number: int
    record: bytes


class JournalStore:
    """The file of one journal; used by one thread.

    The last record of each place is kept in memory too, compressed as it is: the file can be written anew without
    reading it, also after somebody has deleted it.

    Parameters
    ----------
    path
        The journal; there is a file only while it holds something.
    header
        What it says at its beginning.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self._live: dict[Place, Entry] = {}
        self._size = 0
        self._live_bytes = 0
        self._large = LARGE

    def write(self, entries: Sequence[Entry]) -> None:
        """Bring records to the disk, in order.

        Raises
        ------
        OSError, SaveError
            They are not safe on the disk, or not all; what was written before is.
        """
        live = dict(self._live)
        for entry in entries:
            live.pop(entry.place, None)  # the order counts where tiles overlap
            live[entry.place] = entry
        if self._is_whole():
            size = append(self.path, self._size, [entry.record for entry in entries])
        else:
            size = create(self.path, self.header, [entry.record for entry in live.values()])
        self._note(live, size)
        self._compact()

    def forget(self, number: int, header: Header) -> None:
        """Drop the edits up to a number, because the mask on disk has them; remove the file if none is left.

        Parameters
        ----------
        number
            The last edit that was saved.
        header
            What the journal says from now on.

        Raises
        ------
        OSError, SaveError
            The file cannot be changed; it is as it was.
        """
        self.header = header
        live = {place: entry for place, entry in self._live.items() if entry.number > number}
        if live:
            self._note(live, create(self.path, header, [entry.record for entry in live.values()]))
        else:
            self.path.unlink(missing_ok=True)
            self._note({}, 0)

    def _is_whole(self) -> bool:
        """Whether the file is there with all that was written; somebody may have tidied up."""
        try:
            return self._size > 0 and self.path.stat().st_size >= self._size
        except FileNotFoundError:
            return False

    def _note(self, live: dict[Place, Entry], size: int) -> None:
        self._live = live
        self._size = size
        self._live_bytes = sum(len(entry.record) for entry in live.values())

    def _compact(self) -> None:
        if self._size < max(self._large, WASTE * self._live_bytes):
            return
        try:
            size = create(self.path, self.header, [entry.record for entry in self._live.values()])
        except (OSError, SaveError) as error:  # all is safe as it is; perhaps there is room for two files later
            _log.warning("The journal %s stays large: %s", self.path, error)
            self._large = 2 * self._size
        else:
            self._large = LARGE
            self._note(self._live, size)
