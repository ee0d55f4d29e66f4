"""Which process of which computer wrote something, and whether it still runs."""

from __future__ import annotations

import os
import socket

import psutil

_CLOCK_SECONDS = 30  # a process' start is computed from the clock, and shifts when that is set


def this_host() -> str:
    """Return the name of this computer."""
    return socket.gethostname()


def this_process() -> tuple[int, float]:
    """Return the number of this process and when it started, in seconds since 1970."""
    return os.getpid(), psutil.Process().create_time()


def process_runs(pid: int, created: float) -> bool:
    """Whether a process of this computer still runs; its start tells it from a later one with the same number."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < _CLOCK_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:  # it is there, and another user's
        return True
    except (psutil.Error, ValueError, OverflowError):
        return False
