"""Processes found again by what was noted of them, such as the child of a job: how that is started, why it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import psutil

Priority = Literal["low", "normal"]

JOB = "job.json"  # in the folder of a job, the record of its process
_CLOCK_SECONDS = 30  # a process' start is computed from the clock, and shifts when that is set


def spawn(command: Sequence[str], log: int, priority: Priority) -> psutil.Popen:
    """Start a child process that prints into an open file and leads a group of its own."""
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        if priority == "low":
            options["creationflags"] |= subprocess.BELOW_NORMAL_PRIORITY_CLASS
    else:
        # Its own group, for a Ctrl-C in the viewer's terminal must not reach it; not its own session, for Linux
        # schedules sessions against each other and niceness only counts inside one.
        options["process_group"] = 0
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONIOENCODING": "utf-8"}
    child = psutil.Popen(
        list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, **options
    )
    if sys.platform != "win32" and priority == "low":
        with contextlib.suppress(OSError):  # before it has threads: they inherit the niceness
            os.setpriority(os.PRIO_PROCESS, child.pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10))
    return child


def read_job_record(folder: Path) -> dict[str, Any] | None:
    """Return what was noted of the process that works in a job's folder; None if there is nothing that makes sense."""
    try:
        record = json.loads((folder / JOB).read_text(encoding="utf-8"))
        return record if isinstance(record["pid"], int) and isinstance(record["started"], float) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_process(pid: int, started: float) -> psutil.Process | None:
    """Return a process of this computer if it is alive; its start tells it from a later one with the same number."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _CLOCK_SECONDS
    except psutil.AccessDenied:  # it is there, and another user's
        return process
    except (psutil.Error, ValueError, OverflowError):
        return None
    return process if same and is_alive(process) else None


def is_alive(process: psutil.Process | None) -> bool:
    """Whether a process is there and has not ended; None is none."""
    if process is None or isinstance(process, psutil.Popen):
        return process is not None and process.poll() is None
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:  # it is there, and another user's
        return True
    except psutil.NoSuchProcess:
        return False


def cause_of_exit(code: int | None, last_line: str = "") -> str:
    """Say in words why a process ended: its exit code as `subprocess` has it (None: not known), its last line."""
    said = f": {last_line}" if last_line else ""
    if code is None:
        return f"ended unexpectedly, by a crash, a kill or a restart of the computer{said}"
    if code == -9:
        return "was killed, most likely because memory ran out"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        crashed = name in {"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"}
        return f"crashed inside a library ({name})" if crashed else f"was ended from outside ({name})"
    if code >= 0xC0000000:  # an NTSTATUS, such as an access violation
        return f"crashed inside a library (0x{code:08X})"
    return f"ended {f'with exit code {code}' if code else 'without a result'}{said}"
