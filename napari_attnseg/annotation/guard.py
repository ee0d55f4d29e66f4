"""A moment in which only one process looks at a file and changes it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_attnseg.data.file_lock import try_lock

_GUARD_SECONDS = 2.0


@contextmanager
def guard(path: Path) -> Iterator[None]:
    """Keep others from judging and replacing a lock at the same time; the system frees the guard if we are killed.

    Where the file system has no such locks, or somebody hangs, it goes on after a moment: the guard only matters when
    two find the same dead lock within a few milliseconds.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    except PermissionError:  # another user's; making and replacing files is for the folder to allow
        yield
        return
    try:
        deadline = time.monotonic() + _GUARD_SECONDS
        while not try_lock(handle) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)
