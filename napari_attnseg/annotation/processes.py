"""Which process of which computer this is, to note it in what is written."""

from __future__ import annotations

import os
import socket

import psutil


def this_host() -> str:
    """Return the name of this computer."""
    return socket.gethostname()


def this_process() -> tuple[int, float]:
    """Return the number of this process and when it started, in seconds since 1970."""
    return os.getpid(), psutil.Process().create_time()
