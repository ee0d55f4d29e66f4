"""The most memory that a process has taken."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

_RUN_AND_TELL = (
    "import sys; from napari_attnseg.cli import main; from benchmarks.peak import peak_memory;"
    "code = main(sys.argv[1:]); print('peak', peak_memory()); sys.exit(code)"
)


def peak_memory() -> float:
    """Return the peak of this process, in GB of 2**30 bytes.

    On Linux it is read from the kernel's account of this program alone: `getrusage` counts in what the parent took
    when it started the process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def peak_of_command(*words: object) -> float:
    """Run a command of `napari-attnseg` in a process of its own, and return its peak.

    Raises
    ------
    subprocess.CalledProcessError
        The command failed.
    """
    command = [sys.executable, "-c", _RUN_AND_TELL, *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(next(line.split()[1] for line in reversed(done.stdout.splitlines()) if line.startswith("peak")))
