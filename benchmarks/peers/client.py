"""The benchmark's side of a worker: it is started, asked, and rests while it is not asked."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.peers.known import Kind
from benchmarks.peers.message import Channel
from benchmarks.tables import note

_ROOT = Path(__file__).resolve().parents[2]
_LAST_LINES = 2


class PeerFailed(Exception):
    """A peer lacks a package, could not do what it was asked for, or has died; the message says why."""


class Worker:
    """A process that learns and predicts in one way.

    It is suspended but for the time in which it carries out an order: the idle threads of some libraries spin.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (see close)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.worker", kind.where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=_ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._channel = Channel(self._process.stdout, self._process.stdin)
        self._handle = psutil.Process(self._process.pid)
        self._handle.suspend()

    def ask(self, what: str, **arguments: Any) -> Any:
        """Give an order and wait for the answer.

        Raises
        ------
        PeerFailed
            A package is not installed, the order could not be carried out, or the process has ended.
        """
        with suppress(psutil.NoSuchProcess, BrokenPipeError):
            self._handle.resume()
            self._channel.send({"do": what, "with": arguments})
        answer = self._channel.receive()
        if answer is None:
            raise PeerFailed(self._end())
        with suppress(psutil.NoSuchProcess):
            self._handle.suspend()
        if "missing" in answer:
            raise PeerFailed(f"the package {answer['missing']} is not installed")
        if "error" in answer:
            raise PeerFailed(f"it cannot {what}: {answer['error']}")
        return answer["result"]

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def close(self) -> None:
        """End the process."""
        with suppress(psutil.NoSuchProcess):
            self._handle.kill()  # a suspended one would not see that its input ends
        with suppress(BrokenPipeError):
            self._process.communicate()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *what: object) -> None:
        self.close()

    def _end(self) -> str:
        code = self._process.wait()
        if code == -9:
            return "it was killed, most likely because the memory was not enough"
        self._errors.seek(0)
        said = " / ".join(self._errors.read().splitlines()[-_LAST_LINES:]).rstrip(".")
        return f"it ended with code {code}: {said}"


@contextmanager
def prepared(kinds: Sequence[Kind], **arguments: Any) -> Iterator[dict[str, tuple[Worker, dict[str, Any]]]]:
    """Start workers and prepare them, with what each then says of itself, by name.

    A peer that cannot be had is named in a line and left out.

    Parameters
    ----------
    arguments
        Of `peer.Peer.prepare`; widths of a kind go before these.
    """
    with ExitStack() as stack:
        ready: dict[str, tuple[Worker, dict[str, Any]]] = {}
        for kind in kinds:
            worker = stack.enter_context(Worker(kind))
            try:
                ready[kind.name] = worker, worker.ask("prepare", **{**arguments, **kind.fixed})
            except PeerFailed as failed:
                note(f"{kind.title} is left out: {failed}.")
        yield ready
