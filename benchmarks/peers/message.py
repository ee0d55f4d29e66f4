"""What goes between the benchmark and a worker: a line of JSON for each order, and one for each answer."""

from __future__ import annotations

import json
import os
import sys
from typing import IO, Any

Message = dict[str, Any]


class Channel:
    """One end of a pair of pipes."""

    def __init__(self, incoming: IO[str], outgoing: IO[str]) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def send(self, message: Message) -> None:
        """Send a message.

        Raises
        ------
        BrokenPipeError
            Nobody is there any more.
        """
        self._outgoing.write(json.dumps(message) + "\n")
        self._outgoing.flush()

    def receive(self) -> Message | None:
        """Wait for a message; None when the other end is closed."""
        line = self._incoming.readline()
        return json.loads(line) if line.endswith("\n") else None


def own_channel() -> Channel:
    """Return the channel to whoever started this process.

    Libraries print to the standard output what they like; from now on that goes to the error output.
    """
    outgoing = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return Channel(sys.stdin, outgoing)
