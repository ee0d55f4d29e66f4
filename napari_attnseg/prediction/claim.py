"""One process at a time predicts an image into a folder: two would write over each other.

The system frees the lock when its holder ends, however it ends, so that a lock file that is left lying means nothing.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from napari_attnseg.data.file_lock import try_lock
from napari_attnseg.data.pairs import PREDICTION, stem_of
from napari_attnseg.errors import InUseError, SaveError

_ATTEMPTS = 10


@contextmanager
def claimed(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file, which is removed at the end; where the file system has no locks, go on without.

    Parameters
    ----------
    path
        The lock file.
    what
        Says what is claimed, in the sentence for whoever comes second: 'cell.tif is being predicted into /data/out'.

    Raises
    ------
    InUseError
        Another process holds it; the sentence names it.
    SaveError
        The file cannot be made.
    """
    handle = _take(path, what)
    try:
        yield
    finally:
        if sys.platform != "win32":  # while it is held, so that nobody else's is removed
            with suppress(OSError):
                path.unlink(missing_ok=True)
        os.close(handle)
        if sys.platform == "win32":  # which removes no open file, and no other process's either
            with suppress(OSError):
                path.unlink(missing_ok=True)


def prediction_claimed(image: Path, folder: Path) -> AbstractContextManager[None]:
    """Hold what is written of the prediction of an image into a folder; see `claimed`."""
    lock = folder / f".{stem_of(image)}{PREDICTION}.lock"
    return claimed(lock, f"{image.name} is being predicted into {folder}")


def _take(path: Path, what: str) -> int:
    for _ in range(_ATTEMPTS):
        try:
            handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        except OSError as error:
            raise SaveError(f"{path.parent} cannot be written to ({error.strerror}); choose another folder.") from error
        if not try_lock(handle):
            os.close(handle)
            raise InUseError(f"{what} already, {_holder(path)}; wait until that has ended, or stop it.")
        if _is_there(handle, path):
            with suppress(OSError):  # on a full disk it has no name
                _sign(handle)
            return handle
        os.close(handle)  # its last holder has just removed it
    raise InUseError(f"{what} already, by processes that come and go; wait until they have ended.")


def _is_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def _sign(handle: int) -> None:
    """Note who holds it, behind the byte that is locked, which nobody else can read on Windows."""
    now = datetime.now().astimezone()
    os.ftruncate(handle, 0)
    os.lseek(handle, 1, os.SEEK_SET)
    os.write(handle, f"by process {os.getpid()} on {socket.gethostname()} since {now:%d %B, %H:%M}".encode())


def _holder(path: Path) -> str:
    """Return what the holder of a lock has noted of itself."""
    try:
        with path.open("rb") as file:
            file.seek(1)
            return file.read().decode() or "by another process"
    except (OSError, UnicodeDecodeError):
        return "by another process"
