"""A command's ties to the job that it may be: events in a file, and a file that asks it to stop; see `jobs`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from napari_attnseg.errors import SaveError
from napari_attnseg.events import Event, EventHandler
from napari_attnseg.jobs import EVENTS


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


def asked_by_file(path: Path) -> Callable[[], bool]:
    """Return a check for a file that asks this process for something; one from before its start is of another job.

    Asking counts from the moment the process was made: loading takes seconds, in which one may change one's mind.
    """
    started = psutil.Process().create_time() - 1  # file systems and clocks round

    def is_asked() -> bool:
        try:
            return path.stat().st_mtime >= started
        except OSError:
            return False

    return is_asked
