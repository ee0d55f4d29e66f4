"""Locks of open files, which the system frees when their holder ends, however it ends."""

from __future__ import annotations

import sys


def try_lock(handle: int) -> bool:
    """Lock an open file for this process, without waiting; True as well where the file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
