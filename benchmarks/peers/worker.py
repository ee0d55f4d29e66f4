"""`python -m benchmarks.peers.worker MODULE:NAME`: one way of learning and predicting, in a process of its own.

It does what it is told, one order at a time, until its input ends: `prepare`, `train`, `predict` and the others of
`benchmarks.peers.peer`. What the libraries of one peer do with threads and memory is nothing to the others then.
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module

from benchmarks.peak import peak_memory
from benchmarks.peers.message import Message, own_channel


def main() -> None:
    """Answer orders until there are no more."""
    channel = own_channel()
    answer = Answers(sys.argv[1])
    while (order := channel.receive()) is not None:
        channel.send(answer(order))


class Answers:
    """Carries out orders; the peer is made for the first one, with the packages that it needs.

    Parameters
    ----------
    where
        The module, a colon, and what in it makes the peer.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._peer: object | None = None

    def __call__(self, order: Message) -> Message:
        """Carry out `{"do": NAME, "with": {...}}`; return {"result": ...}, {"missing": PACKAGE} or {"error": TEXT}."""
        try:
            return {"result": self._done(order["do"], order["with"])}
        except ModuleNotFoundError as error:
            return {"missing": (error.name or str(error)).partition(".")[0]}
        except Exception as error:  # whatever a library raises is told, and the worker stays
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}"}

    def _done(self, what: str, arguments: Message) -> object:
        if what == "peak":
            return peak_memory()
        if self._peer is None:
            module, _, name = self._where.partition(":")
            self._peer = getattr(import_module(module), name)()
        if what.startswith("_") or not hasattr(self._peer, what):
            raise ValueError(f"{self._where} knows no '{what}'")
        return getattr(self._peer, what)(**arguments)


if __name__ == "__main__":
    main()
