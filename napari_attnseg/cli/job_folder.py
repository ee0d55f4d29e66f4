"""A command's ties to the job that it may be: events in a file, and a file that asks it to stop; see `jobs`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_attnseg.errors import SaveError
from napari_attnseg.events import Event, EventHandler
from napari_attnseg.jobs import EVENTS, STOP


@contextmanager
def noted(folder: Path | None, handler: EventHandler) -> Iterator[EventHandler]:
    """Yield a handler that also appends each event to `folder`/events.jsonl; without a folder, `handler` itself.

    Raises
    ------
    SaveError
        The file cannot be opened.
    """
    if folder is None:
        yield handler
        return
    try:
        file = (folder / EVENTS).open("a", encoding="utf-8")
    except OSError as error:
        raise SaveError(f"{folder / EVENTS} cannot be written: {error.strerror or error}.") from error

    def note(event: Event) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end the work
            file.write(event.to_json() + "\n")
            file.flush()
        handler(event)

    with file:
        yield note


def stop_file(folder: Path | None) -> Callable[[], bool]:
    """Return a check for the file that asks this process to stop; one from before its start is of another job."""
    if folder is None:
        return lambda: False
    path, started = folder / STOP, time.time() - 1

    def is_asked() -> bool:
        try:
            return path.stat().st_mtime >= started
        except OSError:
            return False

    return is_asked
