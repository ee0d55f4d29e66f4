"""Jobs, tried with real child processes that behave, and misbehave, as a trainer can."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from napari_attnseg import jobs
from napari_attnseg.annotation.trainings.runs import is_running
from napari_attnseg.errors import RunFolderError, SaveError
from napari_attnseg.events import Cancelled, Event, Failed, Finished, Progress, Started
from napari_attnseg.jobs import Job, attach, cause_of_exit, start

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

TRAINER = """
import os, signal, sys, time
from pathlib import Path
from napari_attnseg.events import Cancelled, Failed, Finished, Progress, Started

run = Path(sys.argv[1])

def tell(event):
    with (run / "events.jsonl").open("a+b") as file:  # like the trainer, it ends a line left half-written
        if file.tell() and file.seek(-1, 2) and file.read() != b"\\n":
            file.write(b"\\n")
        file.write(event.to_json().encode() + b"\\n")

def train(steps=1_000_000):
    for step in range(steps):
        if (run / "stop").exists():
            return tell(Cancelled("Saved."))
        tell(Progress(step / steps))
        time.sleep(0.01)
    tell(Finished("Done."))
"""

Run = Callable[[str], Job]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def run(tmp_path: Path, folder: Path) -> Iterator[Run]:
    """Start the trainer's frame followed by the lines given; no child outlives the test."""
    started = []

    def _run(lines: str) -> Job:
        script = tmp_path / "trainer.py"
        script.write_text(TRAINER + textwrap.dedent(lines), encoding="utf-8")
        started.append(start([sys.executable, str(script), str(folder)], folder=folder))
        return started[-1]

    yield _run
    for job in started:
        if job.state == "running":
            job.stop(grace_seconds=0)
            to_the_end(job)


def follow(job: Job, until: Callable[[list[Event]], bool], seconds: float = 30) -> list[Event]:
    events: list[Event] = []
    end = time.monotonic() + seconds
    while not until(events):
        assert time.monotonic() < end, f"still {job.state} after {seconds} s; so far: {events[-3:]}"
        events += job.poll()
        time.sleep(0.01)
    return events


def to_the_end(job: Job) -> list[Event]:
    """Poll until the job has ended, and check what holds for every ending."""
    events = follow(job, lambda _: job.state != "running")
    assert [isinstance(event, Finished | Cancelled | Failed) for event in events] == [False] * (len(events) - 1) + [
        True
    ]
    assert {"finished": Finished, "cancelled": Cancelled, "failed": Failed}[job.state] is type(events[-1])
    assert job.poll() == []
    assert job.pid is None or not psutil.pid_exists(job.pid) or psutil.Process(job.pid).status() == "zombie"
    assert not (job.folder / "stop").exists()
    return events


def started(events: list[Event]) -> bool:
    return any(isinstance(event, Progress) for event in events)


def test_finishes(run: Run) -> None:
    job = run("tell(Started('Two steps.')); train(2)")
    assert to_the_end(job) == [Started("Two steps."), Progress(0.0), Progress(0.5), Finished("Done.")]


def test_reports_while_it_runs(run: Run) -> None:
    job = run("train()")
    follow(job, started)
    assert job.state == "running"
    assert job.pid is not None
    assert psutil.pid_exists(job.pid)


@posix
def test_runs_at_low_priority_in_its_own_process_group(run: Run) -> None:
    job = run("train()")
    assert job.pid is not None
    assert os.getpriority(os.PRIO_PROCESS, job.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert os.getpgid(job.pid) == job.pid


def test_failure_reported_by_the_child(run: Run) -> None:
    job = run("tell(Failed('The disk is full.')); sys.exit(1)")
    assert to_the_end(job) == [Failed("The disk is full.")]


def test_stops_cooperatively_by_file(run: Run) -> None:
    job = run("signal.signal(signal.SIGINT, signal.SIG_IGN); train()")
    follow(job, started)
    job.stop()
    job.stop()
    assert to_the_end(job)[-1] == Cancelled("Saved.")


@posix
def test_stops_cooperatively_by_signal(run: Run) -> None:
    job = run("""
        signals = []
        signal.signal(signal.SIGINT, lambda *_: signals.append("SIGINT"))
        tell(Progress(0))
        while not signals: time.sleep(0.01)
        tell(Cancelled("Saved on Ctrl-C."))
    """)
    follow(job, started)
    job.stop()
    assert to_the_end(job)[-1] == Cancelled("Saved on Ctrl-C.")


def test_stopped_before_it_could_say_anything(run: Run) -> None:
    job = run("time.sleep(60)")
    job.stop(grace_seconds=1)
    assert isinstance(to_the_end(job)[-1], Cancelled)


@posix
def test_stopped_while_python_starts(run: Run) -> None:
    job = run("""
        def interrupted(*_):
            print("KeyboardInterrupt", file=sys.stderr)
            sys.exit(1)  # as the start of the interpreter does
        signal.signal(signal.SIGINT, interrupted); tell(Progress(0)); time.sleep(60)
    """)
    follow(job, started)
    job.stop(grace_seconds=30)
    assert isinstance(to_the_end(job)[-1], Cancelled)


def test_finishing_after_the_stop_counts_as_finished(run: Run) -> None:
    job = run("""
        signal.signal(signal.SIGINT, signal.SIG_IGN); tell(Progress(0))
        while not (run / "stop").exists(): time.sleep(0.01)
        tell(Finished())
    """)
    follow(job, started)
    job.stop()
    to_the_end(job)
    assert job.state == "finished"


def test_ignoring_the_stop_it_is_terminated(run: Run) -> None:
    job = run("signal.signal(signal.SIGINT, signal.SIG_IGN); tell(Progress(0)); time.sleep(60)")
    follow(job, started)
    job.stop(grace_seconds=0.1)
    assert "ended before it could save" in to_the_end(job)[-1].message  # type: ignore[attr-defined]
    assert job.state == "cancelled"


@posix
def test_ignoring_all_signals_it_is_killed_with_its_children(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE", 0.2)
    job = run("""
        import subprocess
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        tell(Progress(worker.pid)); time.sleep(60)
    """)
    worker = psutil.Process(int(next(e.done for e in follow(job, started) if isinstance(e, Progress))))
    job.stop(grace_seconds=0.1)
    to_the_end(job)
    assert job.state == "cancelled"
    psutil.wait_procs([worker], timeout=10)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_hanging_after_its_last_event_it_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LINGER", 0.2)
    job = run("tell(Finished('Done.')); time.sleep(60)")
    assert to_the_end(job) == [Finished("Done.")]


@posix
def test_killed(run: Run) -> None:
    job = run("train()")
    follow(job, started)
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    ending = to_the_end(job)[-1]
    assert isinstance(ending, Failed)
    assert "was killed, most likely because memory ran out" in ending.message
    assert str(job.log) in ending.message


@posix
def test_crash_in_a_library(run: Run) -> None:
    ending = to_the_end(run("os.kill(os.getpid(), signal.SIGSEGV)"))[-1]
    assert isinstance(ending, Failed)
    assert "crashed inside a library (SIGSEGV)" in ending.message


def test_error_at_import(run: Run) -> None:
    job = run("import no_such_module")
    ending = to_the_end(job)[-1]
    assert isinstance(ending, Failed)
    assert "exit code 1: ModuleNotFoundError: No module named 'no_such_module' (" in ending.message
    assert "\n" not in ending.message
    assert "Traceback" in ending.traceback
    assert "ModuleNotFoundError" in job.log.read_text()


def test_silent_end(run: Run) -> None:
    ending = to_the_end(run("pass"))[-1]
    assert isinstance(ending, Failed)
    assert "ended without a result" in ending.message


def test_garbage_among_the_events(run: Run) -> None:
    job = run("""
        with (run / "events.jsonl").open("ab") as file:
            file.write(bytes(range(256)) + b'\\n{"kind": "progress"}\\n[1]\\n{"kind": "nonsense"}\\n\\n')
        print("\\x00 \\u00e9 noise")
        sys.stdout.buffer.write(b"\\xff\\xfe")
        train(1)
    """)
    assert to_the_end(job) == [Progress(0.0), Finished("Done.")]


def test_first_of_several_last_events_counts(run: Run) -> None:
    job = run("tell(Failed('First.')); tell(Progress(1)); tell(Finished())")
    assert to_the_end(job) == [Progress(1), Failed("First.")]


def test_huge_output(run: Run) -> None:
    job = run("""
        print("x" * 50_000_000)
        with (run / "events.jsonl").open("a") as file:
            for step in range(50_000):
                file.write(Progress(step).to_json() + "\\n")
        tell(Finished())
    """)
    events = to_the_end(job)
    assert [event.done for event in events if isinstance(event, Progress)] == list(range(50_000))
    assert to_the_end(attach(job.folder)) == events  # in several polls, though all of it is there
    assert job.state == "finished"


def test_half_written_line(run: Run, folder: Path) -> None:
    job = run("""
        line = Progress(0.25, "na\\u00efve").to_json().encode() + b"\\n"
        with (run / "events.jsonl").open("ab", buffering=0) as file:
            file.write(line[:50])
            while not (run / "go").exists(): time.sleep(0.01)
            file.write(line[50:] + Finished().to_json().encode())
    """)
    events = folder / "events.jsonl"
    assert follow(job, lambda _: events.exists() and events.stat().st_size > 0) == []
    assert job.poll() == []
    (folder / "go").touch()
    assert to_the_end(job) == [Progress(0.25, "naïve"), Finished()]


def test_second_job_in_a_folder_starts_afresh(run: Run, folder: Path) -> None:
    job = run("""
        tell(Progress(0.1))
        with (run / "events.jsonl").open("a") as file: file.write('{"kind": "prog')
        raise ValueError("an old error")
    """)
    assert "an old error" in to_the_end(job)[-1].message  # type: ignore[attr-defined]
    (folder / "stop").touch()  # left over from a viewer that died
    job = run("tell(Started('Resumed.')); train(1)")
    expected = [Started("Resumed."), Progress(0.0), Finished("Done.")]
    assert to_the_end(job) == expected
    assert to_the_end(attach(folder)) == expected
    assert "an old error" not in to_the_end(run("sys.exit(3)"))[-1].message  # type: ignore[attr-defined]


def test_only_one_job_in_a_folder(run: Run) -> None:
    run("train()")
    with pytest.raises(RunFolderError, match="already running"):
        run("train()")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="cannot be started"):
        start([sys.executable, "-c", ""], folder=tmp_path / "file" / "run")


def test_program_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="cannot be started"):
        start([str(tmp_path / "nothing")], folder=tmp_path)


def test_attaching_to_a_running_job(run: Run, folder: Path) -> None:
    job = run("signal.signal(signal.SIGINT, signal.SIG_IGN); tell(Started('Long.')); train()")
    follow(job, started)
    other = attach(folder)
    assert other.pid == job.pid
    assert follow(other, started)[0] == Started("Long.")
    other.stop()
    assert to_the_end(other)[-1] == Cancelled("Saved.")
    assert to_the_end(job)[-1] == Cancelled("Saved.")


def test_attaching_where_nothing_was_started(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no job"):
        attach(tmp_path)
    (tmp_path / "job.json").write_text('{"pid":')
    with pytest.raises(RunFolderError, match="no job"):
        attach(tmp_path)


@posix
def test_attaching_to_a_killed_job(run: Run, folder: Path) -> None:
    job = run("tell(Started('Doomed.')); train()")
    follow(job, started)
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    to_the_end(job)
    events = to_the_end(attach(folder))
    assert events[0] == Started("Doomed.")
    assert "ended unexpectedly" in events[-1].message  # type: ignore[attr-defined]


def test_recycled_process_number(run: Run, folder: Path) -> None:
    to_the_end(run("tell(Progress(0))"))
    record = json.loads((folder / "job.json").read_text())
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        record["pid"] = bystander.pid
        record["started"] = psutil.Process(bystander.pid).create_time() - 60
        (folder / "job.json").write_text(json.dumps(record))
        job = attach(folder)
        assert job.pid is None
        job.stop(grace_seconds=0)
        to_the_end(job)
        assert bystander.poll() is None
        to_the_end(run("train(1)"))  # nor is the folder taken for busy
    finally:
        bystander.kill()
        bystander.wait()


def test_running_for_all_who_ask_after_the_clock_was_set(run: Run, folder: Path) -> None:
    job = run("tell(Started('Long.'))\ntrain()")
    follow(job, started)
    record = json.loads((folder / "job.json").read_text())
    record["started"] -= 10
    (folder / "job.json").write_text(json.dumps(record))
    assert is_running(folder)
    assert attach(folder).pid == job.pid
    with pytest.raises(RunFolderError, match="already running"):
        run("train()")


@posix
def test_outlives_its_parent(tmp_path: Path, folder: Path) -> None:
    trainer = tmp_path / "trainer.py"
    trainer.write_text(
        TRAINER
        + "tell(Started('Long.'))\n"
        + "while not (run / 'go').exists():\n    print('to the log', flush=True)\n    time.sleep(0.01)\n"
        + "train(2)\n"
    )
    viewer = f"""
import sys, time
from pathlib import Path
from napari_attnseg.jobs import attach, start
def events(job):
    while job.state == "running":
        for event in job.poll():
            print(event.to_json(), flush=True)
        time.sleep(0.01)
folder = Path({str(folder)!r})
"""
    begin = f"job = start([sys.executable, {str(trainer)!r}, str(folder)], folder=folder); print(job.pid, flush=True)"
    first = subprocess.Popen([sys.executable, "-c", f"{viewer}{begin}\nevents(job)"], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    child = psutil.Process(int(first.stdout.readline()))
    assert '"started"' in first.stdout.readline()
    first.kill()
    first.wait()
    first.stdout.close()
    size = (folder / "log.txt").stat().st_size
    deadline = time.monotonic() + 30
    while (folder / "log.txt").stat().st_size < size + 100:  # goes on printing with nobody listening
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert child.is_running()
    second = subprocess.Popen(
        [sys.executable, "-c", f"{viewer}events(attach(folder))"], stdout=subprocess.PIPE, text=True
    )
    (folder / "go").touch()
    output, _ = second.communicate(timeout=30)
    kinds = [json.loads(line)["kind"] for line in output.splitlines()]
    assert kinds == ["started", "progress", "progress", "finished"]


@pytest.mark.parametrize(
    ("code", "last_line", "words"),
    [
        (-9, "", "was killed, most likely because memory ran out"),
        (-15, "", "was ended from outside (SIGTERM)"),
        (-6, "", "crashed inside a library (SIGABRT)"),
        (-200, "", "was ended from outside (signal 200)"),
        (0xC0000005, "", "crashed inside a library (0xC0000005)"),
        (2, "no such option", "ended with exit code 2: no such option"),
        (0, "", "ended without a result"),
        (None, "", "ended unexpectedly, by a crash, a kill or a restart of the computer"),
    ],
)
@posix
def test_cause_of_exit(code: int | None, last_line: str, words: str) -> None:
    assert cause_of_exit(code, last_line) == words


RESTING = """
def train(steps=1_000_000):
    was_resting = False
    for step in range(steps):
        while (run / "pause").exists() and not (run / "stop").exists():
            if not was_resting:
                tell(Progress(0, "paused", details={"paused": True}))
            was_resting = True
            time.sleep(0.01)
        if was_resting:
            tell(Progress(0, "going on", details={"paused": False}))
        was_resting = False
        if (run / "stop").exists():
            return tell(Cancelled("Saved."))
        tell(Progress(step / steps))
        time.sleep(0.01)
signal.signal(signal.SIGINT, signal.SIG_IGN)
train()
"""


def messages(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Progress) and event.message]


def test_pausing_and_going_on(run: Run) -> None:
    job = run(RESTING)
    follow(job, started)
    assert not job.is_paused
    job.pause()
    assert job.is_paused
    assert attach(job.folder).is_paused
    events = follow(job, lambda events: "paused" in messages(events))
    assert job.poll() == [], "it rests"
    assert job.state == "running"
    job.resume()
    assert not job.is_paused
    events = follow(job, lambda events: len(events) > 3)
    assert messages(events) == ["going on"]
    job.stop()
    to_the_end(job)


def test_a_stop_ends_a_pause_and_leaves_none_behind(run: Run, folder: Path) -> None:
    job = run(RESTING)
    follow(job, started)
    job.pause()
    follow(job, lambda events: "paused" in messages(events))
    job.stop()
    assert to_the_end(job)[-1] == Cancelled("Saved.")
    assert not (folder / "pause").exists()
    assert not job.is_paused
    job.pause()
    assert not (folder / "pause").exists(), "a job that has ended cannot be paused"


@posix
def test_a_job_killed_while_paused(run: Run, folder: Path) -> None:
    job = run(RESTING)
    follow(job, started)
    job.pause()
    follow(job, lambda events: "paused" in messages(events))
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    ending = to_the_end(job)[-1]
    assert isinstance(ending, Failed)
    assert "was killed" in ending.message
    (folder / "pause").touch()  # left over from a viewer that died
    job = run("train(1)")
    assert not job.is_paused
    assert to_the_end(job)[-1] == Finished("Done.")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="an administrator may write anywhere")
def test_a_pause_that_cannot_be_written(run: Run, folder: Path) -> None:
    job = run("train()")
    follow(job, started)
    folder.chmod(0o500)
    try:
        with pytest.raises(SaveError, match="cannot be paused"):
            job.pause()
    finally:
        folder.chmod(0o700)
