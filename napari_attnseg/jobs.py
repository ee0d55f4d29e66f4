"""A job is a child process that works in a run folder: start it, poll it, stop it, attach to it later.

The one source of truth is `RUN/events.jsonl`: the child appends an event a line, every job reads that file on from
where it was. The child's stdout and stderr go to `RUN/log.txt` and are only looked at to find out why a child died.
No pipe ties the child to its parent, so it goes on when the viewer dies, and `attach` finds it by `RUN/job.json`.

What the child does for its part: it appends to `events.jsonl` whole lines, flushed; it ends in one of Finished,
Cancelled and Failed; it stops and saves when the file `RUN/stop` appears or on SIGINT, whichever it sees first; it
rests while there is a file `RUN/pause`.

Nothing here waits: `poll` reads what is new, and is what carries out the steps of a stop. Call it every 50-200 ms.
A job counts as running until its process is gone, so that the memory it held is free when its last event arrives.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import psutil

from napari_attnseg.data.atomic import write_json
from napari_attnseg.errors import RunFolderError, SaveError
from napari_attnseg.events import Cancelled, Event, Failed, Finished, event_from_json
from napari_attnseg.job_process import JOB, Priority, cause_of_exit, find_process, is_alive, read_job_record, spawn

__all__ = ["EVENTS", "JOB", "LOG", "PAUSE", "STOP", "Job", "Priority", "State", "attach", "cause_of_exit", "start"]

State = Literal["running", "finished", "cancelled", "failed"]

EVENTS, LOG, STOP, PAUSE = "events.jsonl", "log.txt", "stop", "pause"
CHUNK = 1 << 20  # bytes of events read in one poll: catching up with a long run must not freeze a viewer
TAIL = 1 << 16  # bytes at the end of the log that are searched for a cause
PATIENCE = 5.0  # seconds between terminating a process and killing it
LINGER = 30.0  # seconds that a process may take to go away after its last event
STOPPED = {-2, -9, -15, 15, 130, 143}  # exit codes of a process that a signal of ours ended


class Job:
    """A running or ended child process; made by `start` and `attach`."""

    def __init__(self, folder: Path, record: dict[str, Any], process: psutil.Process | None) -> None:
        self.folder = folder
        self.state: State = "running"
        self.command: list[str] = record.get("command", [])
        self._starter: list[Any] = record.get("starter", [])
        self._process = process
        self._offset = int(record.get("events_from", 0))
        self._log_from = int(record.get("log_from", 0))
        self._rest = b""
        self._ending: Event | None = None
        self._stopping = False
        self._terminated = False
        self._deadline: float | None = None

    @property
    def pid(self) -> int | None:
        """The number of the child process; None if it was gone before we attached."""
        return self._process.pid if self._process else None

    @property
    def starter_runs(self) -> bool:
        """Whether the process that started it still runs, such as a viewer; it may be this one."""
        return bool(self._starter) and find_process(*self._starter) is not None

    @property
    def log(self) -> Path:
        """The file that holds the child's stdout and stderr."""
        return self.folder / LOG

    def poll(self) -> list[Event]:
        """Return the events since the last call, without waiting; the last one of all tells how the job ended."""
        if self.state != "running":
            return []
        alive = is_alive(self._process)  # asked before reading: what a dead child wrote is all there
        data = self._read()
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not alive and not data:
            lines, self._rest = [*lines, self._rest], b""
        events = []
        for line in lines:
            event = event_from_json(line.decode("utf-8", "replace"))
            if isinstance(event, Finished | Cancelled | Failed):
                self._ending = self._ending or event
                self._deadline = self._deadline or time.monotonic() + LINGER
            elif event is not None:
                events.append(event)
        if alive:
            self._escalate()
        elif not data:
            events.append(self._end())
        return events

    def stop(self, grace_seconds: float = 30.0) -> None:
        """Ask the job to save and end; once `grace_seconds` are over, `poll` terminates it, then kills it.

        The job ends as Cancelled, or in another way if that is what happened first. A second call shortens the grace.
        """
        if self.state != "running":
            return
        with contextlib.suppress(OSError):  # on a full disk the signals have to do
            (self.folder / STOP).touch()
        if sys.platform != "win32" and not self._stopping:
            self._signal(signal.SIGINT)
        self._stopping = True
        deadline = time.monotonic() + grace_seconds
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def pause(self) -> None:
        """Ask the job to rest until `resume`; nothing is lost meanwhile, and `stop` ends a resting job as any other.

        Raises
        ------
        SaveError
            The run folder cannot be written to.
        """
        if self.state != "running":
            return
        try:
            (self.folder / PAUSE).touch()
        except OSError as error:
            raise SaveError(
                f"The job cannot be paused: {self.folder} cannot be written to ({error.strerror})."
            ) from error

    def resume(self) -> None:
        """Let a resting job go on.

        Raises
        ------
        SaveError
            The run folder cannot be written to.
        """
        try:
            (self.folder / PAUSE).unlink(missing_ok=True)
        except OSError as error:
            raise SaveError(
                f"The job cannot go on: {self.folder / PAUSE} cannot be removed ({error.strerror})."
            ) from error

    @property
    def is_paused(self) -> bool:
        """Whether the job was asked to rest, by whomever; a `Progress` event says when it does."""
        return self.state == "running" and (self.folder / PAUSE).exists()

    def _read(self) -> bytes:
        try:
            with (self.folder / EVENTS).open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:  # the child began the file anew
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                data = file.read(CHUNK)
        except OSError:  # not there yet, or a network drive is away for a moment
            return b""
        self._offset += len(data)
        return data

    def _escalate(self) -> None:
        now = time.monotonic()
        if self._deadline is None or now < self._deadline:
            return
        if self._terminated and self._process is not None and sys.platform != "win32":
            with contextlib.suppress(OSError):  # the child leads a group: its own children go with it
                os.killpg(self._process.pid, signal.SIGKILL)
        self._signal(signal.SIGTERM)
        self._terminated, self._deadline = True, now + PATIENCE

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(psutil.Error, OSError):
                self._process.send_signal(number)

    def _end(self) -> Event:
        event = self._ending or self._why_it_died()
        states: dict[str, State] = {"finished": "finished", "cancelled": "cancelled"}
        self.state = states.get(event.kind, "failed")
        for name in (STOP, PAUSE):
            with contextlib.suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)
        return event

    def _why_it_died(self) -> Event:
        """Make the last event of a child that ended without one."""
        code = self._process.returncode if isinstance(self._process, psutil.Popen) else None
        lines = self._log_lines()
        # A Python that is interrupted while it starts exits with 1, not with the signal's code.
        interrupted = code is None or code in STOPPED or lines[-1:] == ["KeyboardInterrupt"]
        if interrupted and (self._stopping or (self.folder / STOP).exists()):
            return Cancelled("The job was ended before it could save; what it had saved earlier is still there.")
        cause = cause_of_exit(code, lines[-1].strip().rstrip(".") if lines else "")
        return Failed(f"The job {cause} (everything it printed is in {self.log}).", traceback="\n".join(lines[-50:]))

    def _log_lines(self) -> list[str]:
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_from, size - TAIL, 0))
                lines = file.read(TAIL).decode("utf-8", "replace").splitlines()
        except OSError:
            return []
        return [line for line in lines if line.strip() and event_from_json(line) is None]


def start(command: Sequence[str], *, folder: Path, priority: Priority = "low") -> Job:
    """Start `command` as a job in `folder`, which is made if it is missing.

    Raises
    ------
    RunFolderError
        A job is running in this folder.
    SaveError
        The folder cannot be written to, or the command cannot be started.
    """
    folder = folder.resolve()
    earlier = read_job_record(folder)
    if earlier is not None and find_process(earlier["pid"], earlier["started"]) is not None:
        raise RunFolderError(f"A job is already running in {folder} (process {earlier['pid']}); stop or attach to it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (STOP, PAUSE):  # left over from a job that was killed
            (folder / name).unlink(missing_ok=True)
        record: dict[str, Any] = {"events_from": _size(folder / EVENTS), "log_from": _size(folder / LOG)}
        with (folder / LOG).open("ab") as log:
            process = spawn(command, log.fileno(), priority)
    except OSError as error:
        raise SaveError(f"The job cannot be started in {folder}: {error.strerror or error}.") from error
    record |= {"pid": process.pid, "started": process.create_time(), "command": list(command)}
    record["starter"] = [os.getpid(), psutil.Process().create_time()]
    try:
        write_json(folder / JOB, record)
    except SaveError:
        process.kill()
        process.wait()
        raise
    return Job(folder, record, process)


def attach(folder: Path) -> Job:
    """Follow the job that was last started in `folder`, by whomever, from its first event on; it may have ended.

    Raises
    ------
    RunFolderError
        No job was ever started in this folder.
    """
    folder = folder.resolve()
    record = read_job_record(folder)
    if record is None:
        raise RunFolderError(f"{folder} holds no job to attach to: it has no readable {JOB}.")
    return Job(folder, record, find_process(record["pid"], record["started"]))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
