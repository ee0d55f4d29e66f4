"""What is seen while a job runs: a bar with the time left on a terminal, plain lines elsewhere, JSON on request."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from napari_attnseg.events import CheckpointSaved, EpochEnd, Event, EventHandler, Notice, Progress, Started

_SECONDS_BETWEEN_LINES = 10.0


class Interrupt:
    """Turns the first Ctrl-C (or SIGTERM) into a request to save and stop, and the second into an end at once."""

    def __init__(self, *, is_silent: bool = False) -> None:
        self.requested = False
        self._is_silent = is_silent

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self.requested

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if not self._is_silent:
            print("\nStopping and saving; press Ctrl-C again to end at once.", file=sys.stderr)


@contextmanager
def stop_on_interrupt(*, is_silent: bool = False) -> Iterator[Interrupt]:
    """Within the block, Ctrl-C and SIGTERM ask for a stop instead of raising."""
    interrupt = Interrupt(is_silent=is_silent)
    before = {number: signal.signal(number, interrupt.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shown(label: str, *, as_events: bool = False) -> Iterator[EventHandler]:
    """Yield the handler that shows events while the block runs."""
    if as_events:
        yield _print_event
    elif sys.stderr.isatty():
        with _Bar(label) as bar:
            yield bar
    else:
        yield _Lines()


def _print_event(event: Event) -> None:
    print(event.to_json(), flush=True)


class _Lines:
    """A line a notice and an epoch, and a sign of life every few seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        text = describe(event)
        if isinstance(event, Progress):
            if time.monotonic() - self._last < _SECONDS_BETWEEN_LINES:
                return
            text = f"{event.done:4.0%}  {event.message}{_time_left(event)}"
        if text:
            self._last = time.monotonic()
            print(text, flush=True)


class _Bar:
    """A bar of rich's, with lines above it for notices and epochs."""

    def __init__(self, label: str) -> None:
        from rich import progress

        self._progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=30),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[message]}", markup=False),
            transient=True,
        )
        self._task = self._progress.add_task(label, total=1.0, message="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            message = f"{event.message}{_time_left(event)}"
            self._progress.update(self._task, completed=event.done, message=message)
            return
        text = describe(event)
        if text:
            self._progress.console.print(text, markup=False, highlight=False)


def describe(event: Event) -> str:
    """Return what is printed for an event; '' for those that print nothing."""
    match event:
        case Started():
            return f"{event.summary}.\nOn {event.device}."
        case Notice():
            return f"Note: {event.message}"
        case EpochEnd():
            return _epoch_line(event)
        case CheckpointSaved():
            return ""
    return ""


def _epoch_line(event: EpochEnd) -> str:
    row = event.row
    parts = [f"epoch {event.epoch:3d}", f"{row['minutes']:6.1f} min", f"loss {row['loss']:.3f}"]
    if "val_score" in row:
        dice = [f"{name.removeprefix('val_dice_')} {value:.3f}" for name, value in row.items() if "val_dice_" in name]
        if dice:
            parts.append(f"held out: Dice {row['val_score']:.3f} ({', '.join(dice[1:])})")
        else:
            parts.append(f"held out: F1 {row['val_f1']:.3f}, Jaccard {row['val_jaccard']:.3f}")
        parts.append("best so far" if event.is_best else "")
    return "  ".join(part for part in parts if part)


def _time_left(event: Progress) -> str:
    parts = []
    if event.images_per_second:
        parts.append(f"{event.images_per_second:.1f} patches/s")
    if event.seconds_left is not None:
        minutes, seconds = divmod(round(event.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return f", {', '.join(parts)}" if parts else ""
