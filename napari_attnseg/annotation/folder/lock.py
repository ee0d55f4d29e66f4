"""Who has a folder open: two windows that edit the same masks must know of each other.

The lock is a file, `.attnseg/open.json`. On the same computer it holds for as long as the process that made it runs; of
another computer that is not to be seen, and its holder gives a sign of life by the time of the file. A folder that
cannot be written to has no lock, and needs none.
"""

from __future__ import annotations

import getpass
import json
import math
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_attnseg.annotation.guard import guard
from napari_attnseg.annotation.places import make_private_folder, private_folder
from napari_attnseg.annotation.processes import this_host, this_process
from napari_attnseg.errors import SaveError
from napari_attnseg.job_process import find_process

FILE, GUARD = "open.json", "open.guard"
SILENT_SECONDS = 90
_UNFINISHED_SECONDS = 0.5


@dataclass(frozen=True)
class Owner:
    """Somebody who has the folder open."""

    pid: int
    created: float
    """When the process started, in seconds since 1970."""
    host: str
    user: str
    since: float
    """When the folder was opened, in seconds since 1970."""
    token: str
    """Tells two windows of one process apart."""

    @property
    def text(self) -> str:
        """Who has the folder open, a sentence."""
        moment = datetime.fromtimestamp(self.since).astimezone()
        when = f"{moment:%H:%M}" if moment.date() == datetime.now().date() else f"{moment:%d %B, %H:%M}"
        if self.host != this_host():
            who = f"by {self.user} on the computer {self.host}"
        elif self.pid == os.getpid():
            who = "in another window of this program"
        else:
            who = f"in another napari on this computer (process {self.pid})"
        return f"This folder has been open {who} since {when}."


class FolderLock:
    """The lock of one folder for one window; two windows of a process each have their own.

    Every call looks at the disk, and may take two seconds where somebody else does the same: not for the GUI's thread
    when the folder may be slow.

    Parameters
    ----------
    folder
        The folder of images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held = False
        self._path = private_folder(folder) / FILE
        self._me = _me()

    def acquire(self) -> Owner | None:
        """Take the lock if it is free or its holder is gone.

        Returns
        -------
        Owner or None
            Who has it; None if we have it now (or had it already), or if the folder cannot be written to and nobody
            has it: then `held` is False.
        """
        try:
            make_private_folder(self.folder)
            with guard(self._path.with_name(GUARD)):
                owner = self._claim()
        except (OSError, SaveError):  # read-only, full, or away
            owner = _read(self._path)
            self.held = self.held and (owner is None or owner.token == self._me.token)
            if self.held:  # a network drive is away for a moment
                return None
            return owner if owner is not None and _holds(owner, self._path) else None
        self.held = owner is None
        return owner

    def heartbeat(self) -> Owner | None:
        """Give a sign of life; call it every 30 seconds while the lock is held.

        Returns
        -------
        Owner or None
            Who has taken it while we were silent, if somebody has; then it is not ours any more.
        """
        if not self.held:
            return None
        owner = _read(self._path)
        if owner is None:  # somebody deleted the file
            return self.acquire()
        if owner.token != self._me.token:
            self.held = False
            return owner
        with suppress(OSError):  # it is ours all the same
            os.utime(self._path)
        return None

    def release(self) -> None:
        """Give the lock back if it is ours."""
        if not self.held:
            return
        self.held = False
        with suppress(OSError), guard(self._path.with_name(GUARD)):
            owner = _read(self._path)
            if owner is not None and owner.token == self._me.token:
                self._path.unlink(missing_ok=True)

    def _claim(self) -> Owner | None:
        content = json.dumps(self._me.__dict__).encode()
        try:
            _write_new(self._path, content)
            return None
        except FileExistsError:
            pass
        owner = _read_finished(self._path)
        if owner is not None and owner.token != self._me.token and _holds(owner, self._path):
            return owner
        temporary = self._path.with_name(f".attnseg-{secrets.token_hex(6)}.json")
        try:
            _write_new(temporary, content)
            os.replace(temporary, self._path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        return None


def _me() -> Owner:
    pid, created = this_process()
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        user = "somebody"
    return Owner(pid, created, this_host(), user, time.time(), secrets.token_hex(8))


def _holds(owner: Owner, path: Path) -> bool:
    if owner.host == this_host():
        return find_process(owner.pid, owner.created) is not None
    return _age(path) < SILENT_SECONDS


def _age(path: Path) -> float:
    """Return the seconds since a file was touched, by the clock of its disk, which may be a server's."""
    probe = path.with_name(f".attnseg-{secrets.token_hex(6)}.json")
    try:
        touched = path.stat().st_mtime
    except OSError:  # just given back
        return math.inf
    try:
        _write_new(probe, b"")
        return probe.stat().st_mtime - touched
    except OSError:  # read-only
        return time.time() - touched
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _read(path: Path) -> Owner | None:
    """Read a lock; None if there is none or it makes no sense."""
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
        since = float(values["since"])
        if not 0 <= since < 2**33:
            return None
        return Owner(
            int(values["pid"]),
            float(values["created"]),
            str(values["host"]),
            str(values["user"]),
            since,
            str(values["token"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _read_finished(path: Path) -> Owner | None:
    """Read a lock, waiting a moment for one that is just being written; None if it makes no sense in the end."""
    deadline = time.monotonic() + _UNFINISHED_SECONDS
    while (owner := _read(path)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return owner


def _write_new(path: Path, content: bytes) -> None:
    """Make a file; of several that try at once only one gets through."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        os.write(handle, content)
    finally:
        os.close(handle)
