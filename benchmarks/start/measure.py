"""How long it takes from nothing: the help of each command, the dock, the first prediction and the second one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.asked import Asked
from benchmarks.start.predictions import print_rows
from benchmarks.tables import columns, row, title
from benchmarks.viewer.measure import can_open_windows, print_docks

_COMMANDS = ("train", "predict", "evaluate", "check", "demo")


def measure(asked: Asked) -> None:
    """Print the rows."""
    title("Start")
    columns("what", "median", "slowest")
    for command in _COMMANDS:
        times = [_seconds_of_help(command) for _ in range(asked.rounds)]
        row(f"`{command} --help`", f"{median(times):.2f} s", f"{max(times):.2f} s")
    if can_open_windows():
        with tempfile.TemporaryDirectory() as name:
            print_docks(Path(name), asked.rounds)
    print_rows(asked)


def _seconds_of_help(command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "napari_attnseg", command, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
