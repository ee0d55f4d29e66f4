"""One process at a time works on a comparison: two would train the same runs into the same folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_attnseg.data.file_lock import try_lock
from napari_attnseg.errors import RunFolderError

_FILE = ".compare.lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from working in a folder; the system lets go of it if we are killed.

    Raises
    ------
    RunFolderError
        Another process works in it.
    """
    try:
        handle = os.open(folder / _FILE, os.O_CREAT | os.O_RDWR, 0o666)
    except OSError:  # read-only or full: what is written next says so
        yield
        return
    try:
        if not try_lock(handle):
            raise RunFolderError(
                f"Another compare is at work in {folder}; wait until it is done, or stop it with Ctrl-C and ask again."
            )
        yield
    finally:
        os.close(handle)
