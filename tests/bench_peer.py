"""A peer that needs nothing, for the tests of the benchmark's workers."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


class Counting:
    """Counts its orders."""

    def __init__(self) -> None:
        print("a library says hello")  # as some do on the standard output
        self.count = 0

    def prepare(self, *, widths: list[int], threads: int) -> dict[str, Any]:
        """Say what it was given."""
        return {"widths": widths, "threads": threads}

    def train(self, *, steps: int) -> int:
        """Count."""
        print("step", flush=True)
        os.system("echo from a child of its own")
        self.count += steps
        return self.count

    def work(self) -> float:
        """Return how much processor time the process has taken, without a pause of it."""
        return time.process_time()

    def fail(self) -> None:
        """Fail."""
        raise ValueError("of no use")

    def die(self) -> None:
        """End without an answer."""
        print("the last word", file=sys.stderr, flush=True)
        os._exit(3)


class Spinning(Counting):
    """Keeps a thread busy for ever, as some libraries do between two steps."""

    def __init__(self) -> None:
        import threading

        super().__init__()
        threading.Thread(target=self._spin, daemon=True).start()

    def _spin(self) -> None:
        while True:
            pass


def missing() -> None:
    """Need a package that nobody has."""
    import a_package_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401
