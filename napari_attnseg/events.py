"""What a job reports while it runs: small records that travel as one JSON object a line.

A job sends any number of `Started`, `Progress`, `EpochEnd`, `CheckpointSaved` and `Notice` events and ends in exactly
one of `Finished`, `Cancelled` and `Failed`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """Base of all events; `kind` is the name that is written to JSON."""

    kind: ClassVar[str] = "event"

    def to_json(self) -> str:
        """Return the event as one line of JSON, without a line end."""
        return json.dumps({"kind": self.kind, **asdict(self)}, ensure_ascii=False, allow_nan=True)


@dataclass(frozen=True)
class Started(Event):
    """The job has read its input and knows what it will do."""

    kind: ClassVar[str] = "started"
    summary: str
    """What will be done, in a few lines for the user."""
    device: str = ""
    """The device in words, such as 'CPU, 2 threads, float32'."""
    details: dict[str, Any] = field(default_factory=dict)
    """Of a training: run (the folder), and how many images: images (trained on), held_out, focus."""


@dataclass(frozen=True)
class Progress(Event):
    """How far the job is."""

    kind: ClassVar[str] = "progress"
    done: float
    """Share of the whole job, 0 to 1."""
    message: str = ""
    seconds_left: float | None = None
    images_per_second: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    """Of a training: loss, epoch, epochs, batch, batches, memory (bytes, of the GPU if there is one) and paused. Of the
    prediction of a large image: tile_rows_done, tile_rows, and partial, the OME-Zarr folder of what is there so far."""


@dataclass(frozen=True)
class EpochEnd(Event):
    """An epoch is over and the held-out images have been scored."""

    kind: ClassVar[str] = "epoch_end"
    epoch: int
    """Counted from 1."""
    row: dict[str, float]
    """The row of metrics.csv."""
    is_best: bool = False


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """A model file was written."""

    kind: ClassVar[str] = "checkpoint_saved"
    path: str
    is_best: bool
    score: float | None = None


@dataclass(frozen=True)
class Notice(Event):
    """Something the user should know; the job goes on."""

    kind: ClassVar[str] = "notice"
    message: str


@dataclass(frozen=True)
class Finished(Event):
    """The job did all it was asked to do."""

    kind: ClassVar[str] = "finished"
    message: str = ""
    results: dict[str, Any] = field(default_factory=dict)
    """Of a training: score, start_score, improved, best (the model file, or None), epochs, minutes and waiting (the
    share of the time in which patches were waited for)."""


@dataclass(frozen=True)
class Cancelled(Event):
    """The job was stopped on request; everything up to then is saved."""

    kind: ClassVar[str] = "cancelled"
    message: str = ""
    results: dict[str, Any] = field(default_factory=dict)
    """As those of `Finished`; empty where the job could not say."""


@dataclass(frozen=True)
class Failed(Event):
    """The job could not go on."""

    kind: ClassVar[str] = "failed"
    message: str
    """One sentence for the user."""
    traceback: str = ""


EventHandler = Callable[[Event], None]

_KINDS: dict[str, type[Event]] = {
    cls.kind: cls for cls in (Started, Progress, EpochEnd, CheckpointSaved, Notice, Finished, Cancelled, Failed)
}


def event_from_json(line: str) -> Event | None:
    """Parse one line; return None for a line that is no event, such as a library's own output."""
    try:
        values = json.loads(line)
        return _KINDS[values.pop("kind")](**values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def append_event(path: Path, event: Event) -> None:
    """Add one line to a file of events, after ending a line that a killed process left unfinished.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(event.to_json().encode() + b"\n")


def ignore_event(event: Event) -> None:
    """Do nothing: the default handler."""
