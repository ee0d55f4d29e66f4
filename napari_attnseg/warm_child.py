"""The prediction process as its parent sees it: started, written to, listened to, ended."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_attnseg.job_process import cause_of_exit
from napari_attnseg.settings import DeviceName

PATIENCE = 1.0
_TAIL = 1 << 14  # bytes at the end of the log that are searched for a cause


class WarmChild:
    """A running `napari-attnseg serve`, at lower priority; it ends with us, whatever happens to us.

    Parameters
    ----------
    scratch
        Where the child's log is, and what the child removes when we are gone.
    options
        Further options of `serve`.

    Raises
    ------
    OSError
        The process cannot be started.
    """

    def __init__(self, scratch: Path, device: DeviceName, options: tuple[str, ...] = ()) -> None:
        self.scratch = scratch
        self.log = scratch / "log.txt"
        self.is_over = False
        """Whether all that it replied has been handed on; set by whoever reads `replies`."""
        command = [sys.executable, "-m", "napari_attnseg", "serve", "--device", device, "--scratch", str(scratch)]
        environment = os.environ | {"PYTHONFAULTHANDLER": "1", "PYTHONIOENCODING": "utf-8"}
        with self.log.open("ab") as log:
            self._log_from = log.tell()
            self._process = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                bufsize=0,
                **_apart(),
            )
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # before it has threads: they inherit the niceness
                lower = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
                os.setpriority(os.PRIO_PROCESS, self._process.pid, lower)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def write(self, request: dict[str, Any]) -> None:
        """Send one request; one to a process that is gone is lost, which `replies` tells by its end."""
        stream = self._process.stdin
        assert stream is not None
        data = memoryview(json.dumps(request).encode() + b"\n")
        with contextlib.suppress(OSError, ValueError):
            while data:
                data = data[stream.write(data) :]

    def replies(self) -> Iterator[dict[str, Any]]:
        """Yield the replies, waiting for each, until the process has ended."""
        assert self._process.stdout is not None
        with open(self._process.stdout.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # cut off when it was killed
                    yield json.loads(line)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self.kill()  # it closed its stdout and did not end

    def let_go(self) -> None:
        """Close its stdin, which ends it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def end(self, patience: float = PATIENCE / 2) -> None:
        """Wait until it has ended, and kill it if that takes longer than `patience` seconds."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Close the pipes of a process that has ended."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def cause(self) -> str:
        """Say in words why the process has ended, such as 'was killed, most likely because memory ran out'."""
        lines: list[str] = []
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_from, size - _TAIL))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return cause_of_exit(self._process.returncode, lines[-1].strip().rstrip(".") if lines else "")


def _apart() -> dict[str, Any]:
    """Return what keeps a Ctrl-C in our terminal from the process; see `jobs`."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
    return {"process_group": 0}
