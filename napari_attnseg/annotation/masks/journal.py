"""The journal of a mask in editing: within a second what is painted is safe on the disk, and nobody waits for that.

Edits are copied in the caller's thread and written by a thread of the journal. There is a file only while something is
not saved. After a crash `abandoned.find_abandoned` finds it. To restore: read it (`journal_file.read`), open the image,
`apply` the journal, bring its tiles to a journal of one's own with `add` and `flush`, and only then `discard` the old.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.annotation.masks.journal_file import encode_tile
from napari_attnseg.annotation.masks.journal_header import Header
from napari_attnseg.annotation.masks.journal_store import Entry, JournalStore, Place
from napari_attnseg.errors import SaveError

DELAY = 0.3  # seconds in which strokes over the same tiles become one record
RETRY = 3.0  # seconds between attempts on a full disk
BATCH = 32  # tiles that are flushed at once

Array = np.ndarray[Any, Any]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Edit:
    number: int
    when: float
    pixels: Array


class Journal:
    """The journal of one mask; see the module's docstring.

    Parameters
    ----------
    path
        The file; see `abandoned.new_journal_path`. It is made with the first edit.
    header
        What it says at its beginning; see `journal_header.new_header`.
    on_problem
        Called in the journal's thread with a sentence when edits cannot be written, and with None when they can again.
    """

    def __init__(self, path: Path, header: Header, on_problem: Callable[[str | None], None] | None = None) -> None:
        self.path = path
        self.problem: str | None = None
        """Why edits cannot be written at the moment, a sentence; they are kept in memory and tried again."""
        self._on_problem = on_problem
        self._store = JournalStore(path, header)
        self._header = header
        self._changed = threading.Condition()
        self._pending: dict[Place, _Edit] = {}
        self._in_work: dict[Place, _Edit] = {}
        self._number = 0
        self._saved = 0  # edits up to this number need no journal
        self._asked = 0  # how often `forget` or `set_header` was called
        self._forgotten = 0  # and for how many of these calls the file has been changed
        self._failures = 0
        self._hurry = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, changes: Iterable[tuple[Sequence[int], Array]]) -> None:
        """Note parts of the mask as they are now; returns at once.

        Parameters
        ----------
        changes
            Where a part begins in the whole mask, for each axis, and its pixels, unsigned whole numbers, which are
            copied. Give whole tiles: a later one then takes the place of an earlier one.
        """
        now = time.time()
        copies = [(tuple(int(at) for at in start), pixels.copy(order="C")) for start, pixels in changes]
        for start, pixels in copies:
            if pixels.dtype.kind != "u" or len(start) != pixels.ndim:
                raise ValueError(f"a journal takes unsigned numbers, not {pixels.dtype} {pixels.shape} at {start}")
        if not copies:
            return
        with self._changed:
            for start, pixels in copies:
                self._number += 1
                self._pending.pop((start, pixels.shape), None)  # the order counts where parts overlap
                self._pending[start, pixels.shape] = _Edit(self._number, now, pixels)
            self._closing = False
            self._start()
            self._changed.notify_all()

    def mark(self) -> int:
        """Return a token for all edits until now; take it together with the snapshot that is going to be saved."""
        with self._changed:
            return self._number

    def forget(self, token: int | None = None, header: Header | None = None) -> None:
        """Drop edits, because they are saved or not wanted; returns at once.

        Parameters
        ----------
        token
            Of `mark`: later edits are kept. None drops all.
        header
            What the journal says from now on, with the fingerprint of the mask that was saved; None: as before.
        """
        with self._changed:
            if self._number == 0:  # nothing was ever written
                self._header = self._store.header = header or self._header
                return
            self._saved = max(self._saved, self._number if token is None else token)
            self._header = header or self._header
            self._pending = {place: edit for place, edit in self._pending.items() if edit.number > self._saved}
            self._asked += 1
            self._closing = False
            self._start()
            self._changed.notify_all()

    def set_header(self, header: Header) -> None:
        """Change what the journal says of its mask; returns at once. All edits stay, later ones are written after it.

        Parameters
        ----------
        header
            What the journal says at its beginning from now on.
        """
        self.forget(0, header)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything up to now is on the disk, at most `timeout` seconds; return whether it is.

        Returns False at once when an attempt to write fails.
        """
        with self._changed:
            number, asked, failures = self._number, self._asked, self._failures
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_safe(number, asked) or self._failures != failures, timeout)
            return self._is_safe(number, asked)

    def close(self, timeout: float = 5.0) -> bool:
        """Flush and end the thread; return whether everything is on the disk. The file stays; see `forget`."""
        safe = self.flush(timeout)
        with self._changed:
            self._closing = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        return safe

    def release(self, timeout: float = 5.0) -> bool:
        """Close, and say in the journal that nobody uses it any more, so that this process too may offer it again.

        Returns whether everything is on the disk; without room for that note it is offered once the process has ended.
        """
        if self.flush(timeout):
            self.set_header(replace(self._header, released=True))
        return self.close(timeout)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="attnseg-journal", daemon=True)
            self._thread.start()

    def _is_safe(self, number: int, asked: int) -> bool:
        """Whether edits up to `number` are written and calls up to `asked` done; both dicts are in order of numbers."""
        oldest = [next(iter(edits.values()), None) for edits in (self._in_work, self._pending)]
        return self._forgotten >= asked and all(e is None or e.number > number for e in oldest)

    def _has_work(self) -> bool:
        return bool(self._pending) or self._forgotten < self._asked

    def _run(self) -> None:
        while self._wait():
            try:
                while self._work():
                    pass
            except Exception as error:  # the thread must outlive anything: it holds what is nowhere else
                if not isinstance(error, OSError | SaveError):
                    _log.exception("The journal %s could not be written.", self.path)
                self._report(self._sentence(error))
            else:
                self._report(None)

    def _wait(self) -> bool:
        """Wait until there is something to write, and a moment longer for more; return False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._has_work())
            pause = RETRY if self.problem else DELAY
            self._changed.wait_for(lambda: self._closing or self._hurry, pause)
            self._hurry = False
            if self._closing:
                self._thread = None
            return not self._closing

    def _work(self) -> bool:
        """Drop what is saved and write all that waits now; return whether there was anything."""
        with self._changed:
            saved, header, asked = self._saved, self._header, self._asked
            drop = self._forgotten < asked
            self._in_work, self._pending = self._pending, {}
            waiting = list(self._in_work.items())
        try:
            try:
                if drop:
                    self._store.forget(saved, header)
            finally:  # what waits may find room where the whole journal, written anew, does not
                for first in range(0, len(waiting), BATCH):
                    self._write(waiting[first : first + BATCH])
        except BaseException:
            self._put_back()
            raise
        with self._changed:
            self._forgotten = asked
            self._changed.notify_all()
        return bool(waiting) or drop

    def _write(self, batch: list[tuple[Place, _Edit]]) -> None:
        self._store.write(
            [Entry(place, edit.number, encode_tile(place[0], edit.pixels, edit.when)) for place, edit in batch]
        )
        with self._changed:
            for place, _ in batch:
                del self._in_work[place]

    def _put_back(self) -> None:
        """Let what could not be written wait again, before what came later; newer edits and saves count."""
        with self._changed:
            older = {
                place: edit
                for place, edit in self._in_work.items()
                if place not in self._pending and edit.number > self._saved
            }
            self._pending = older | self._pending
            self._in_work = {}

    def _report(self, problem: str | None) -> None:
        with self._changed:
            is_news = problem != self.problem
            self.problem = problem
            self._failures += problem is not None
            self._changed.notify_all()
        if is_news and self._on_problem is not None:
            try:
                self._on_problem(problem)
            except Exception:  # a fault of the listener must not end the thread
                _log.exception("Telling about the journal %s failed.", self.path)

    def _sentence(self, error: Exception) -> str:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__
        return (
            f"Unsaved changes of {self._header.name} cannot be secured against a crash at the moment, because the "
            f"journal in {self.path.parent} cannot be written: {reason[0].lower() + reason[1:].rstrip('.')}. "
            "Make room there, or save the mask; writing is tried again every few seconds."
        )
