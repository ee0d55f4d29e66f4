"""The rows of painting while a model learns; see `side_by_side`."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.asked import Asked
from benchmarks.tables import against, columns, note, row, title
from benchmarks.viewer import data as make
from benchmarks.viewer.measure import LEARNT, can_open_windows, run_part

_SIGNALS = 128
"""What a shell adds to the number of the signal that ended a program."""
_NAMES = {
    "child": "the training runs in a child, as the Train dock has it",
    "thread": "the same training runs in a `thread_worker` of the viewer",
    "none": "neither runs",
}


def measure(asked: Asked) -> None:
    """Print the rows: how long a move of the brush takes until it is drawn, in turns in one window."""
    title("A move of the brush while a model learns")
    if not can_open_windows():
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:  # a crash leaves a training that writes
        folder = Path(name) / "learn"
        make.folder_of(asked.data, folder, LEARNT)
        try:
            found = run_part("side_by_side", folder, Path(name))
        except subprocess.CalledProcessError as failed:
            crashed = failed.returncode < 0 or failed.returncode > _SIGNALS
            what = "crashed" if crashed else "failed"
            note(f"The viewer with a training in one of its threads {what} (code {failed.returncode}).")
            return
    columns("while", "median", "99 of 100 are below", "median of the thread / of the child")
    halves = {name: np.percentile(found[name], [50, 99]) for name in _NAMES}
    for name, (median, late) in halves.items():
        times = against(float(halves["thread"][0] / median)) if name == "child" else ""
        row(_NAMES[name], f"{median:.3f} s", f"{late:.3f} s", times)
