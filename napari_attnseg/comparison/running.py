"""Training what is missing of a comparison: each run a child process of its own, one after the other.

The child is `napari-attnseg train`, so that all memory is given back when it ends, and one that fails does not end
the others. It goes on if this process dies; asked again, the comparison follows it to its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_attnseg import jobs
from napari_attnseg.annotation.trainings.runs import is_running, train_command
from napari_attnseg.comparison.asked import AskedRun
from napari_attnseg.comparison.record import ComparisonFolder, Record
from napari_attnseg.comparison.scoring import is_scored, score_run
from napari_attnseg.errors import AttnSegError, Stopped
from napari_attnseg.events import Cancelled, Event, EventHandler, Failed, Finished, Progress, event_from_json
from napari_attnseg.settings import PredictionSettings
from napari_attnseg.training.run_folder import RunFolder
from napari_attnseg.wording import counted

_SECONDS_BETWEEN_POLLS = 0.1
_TRAINED = 0.97
"""Share of a run's progress that its training makes up; the rest is for scoring."""


@dataclass
class _Pace:
    """How far the whole comparison is, and how long the rest may take."""

    total: int
    done: int = 0
    seconds: list[float] = field(default_factory=list)
    """How long each run of this session took."""

    def progress(self, name: str, share: float, event: Progress, began: float) -> Progress:
        """Turn a run's progress into that of the whole."""
        elapsed = time.monotonic() - began
        left = event.seconds_left
        after = self.total - self.done - 1
        each = sum(self.seconds) / len(self.seconds) if self.seconds else elapsed + (left or 0.0)
        seconds_left = None if left is None else left + after * each
        message = f"{self.done + 1} of {self.total}, {name}: {event.message}"
        return Progress((self.done + share) / self.total, message, seconds_left, event.images_per_second)


def run_all(
    folder: ComparisonFolder,
    record: Record,
    on_event: EventHandler,
    say: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> Record:
    """Train and score what is missing; return the record with the failures.

    Runs that have their scores are left untouched. One that was interrupted goes on where it was. One that failed is
    tried again, but the repeats of a variant that failed before its first epoch was over are not tried after it: the
    same settings would fail again.

    Parameters
    ----------
    say
        Called with a line for people whenever a run is over.

    Raises
    ------
    Stopped
        `should_stop` returned True; the running training has saved and ended.
    SaveError
        The comparison's folder cannot be written to.
    """
    runs = record.asked.runs
    missing = [run for run in runs if not is_scored(folder.run_path(run.name))]
    pace = _Pace(len(runs), len(runs) - len(missing))
    hopeless: dict[object, str] = {}
    for run in missing:
        path = folder.run_path(run.name)
        began = time.monotonic()
        if run.variant in hopeless:
            failure: str | None = f"Not tried, since the same settings failed at once in {hopeless[run.variant]}."
        else:
            training = record.asked.settings(run.variant, run.seed).training
            computing = PredictionSettings(device=training.device, precision=training.precision)
            failure = _one(path, run, pace, on_event, should_stop, computing)
        if failure is None:
            pace.seconds.append(time.monotonic() - began)
        elif run.variant not in hopeless and not RunFolder(path).metrics.exists():
            hopeless[run.variant] = run.name
        if failure != record.failures.get(run.name):
            record = record.with_failure(run.name, failure)
            folder.write(record)
        pace.done += 1
        say(f"{pace.done} of {pace.total}  {run.name}: {_ended(path, failure)}")
    return record


def _one(
    path: Path,
    run: AskedRun,
    pace: _Pace,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
    computing: PredictionSettings,
) -> str | None:
    """Train a run, and score it where `computing` says; return why it failed, or None."""
    began = time.monotonic()

    def tell(event: Event, start: float, end: float) -> None:
        if isinstance(event, Progress):
            on_event(pace.progress(run.name, start + event.done * (end - start), event, began))

    if not is_trained(path):
        try:
            ending = _train(path, lambda event: tell(event, 0.0, _TRAINED), should_stop)
        except AttnSegError as error:
            return str(error)
        if should_stop() and not isinstance(ending, Finished):
            raise Stopped
        if not isinstance(ending, Finished):
            return str(getattr(ending, "message", "")).partition("\n")[0]

    def scoring(event: Event) -> None:
        if isinstance(event, Progress) and event.message:
            tell(replace(event, message=f"scoring {event.message}"), _TRAINED, 1.0)

    try:
        score_run(path, scoring, should_stop, computing)
    except AttnSegError as error:
        return str(error)
    return None


def _train(path: Path, on_event: EventHandler, should_stop: Callable[[], bool]) -> Event:
    """Start the training in a run folder, or follow one that is running there; return its last event."""
    job = jobs.attach(path) if is_running(path) else jobs.start(train_command(path), folder=path, priority="normal")
    has_stopped = False
    while True:
        events = job.poll()
        for event in events:
            on_event(event)
        if job.state != "running":
            return events[-1]
        if should_stop() and not has_stopped:
            has_stopped = True
            job.stop()
        time.sleep(_SECONDS_BETWEEN_POLLS)


def is_trained(path: Path) -> bool:
    """Whether the training in a run folder has come to its end."""
    folder = RunFolder(path)
    if not (folder.best.is_file() and folder.events.is_file()) or is_running(path):
        return False
    lines = folder.events.read_text(encoding="utf-8", errors="replace").splitlines()
    events = (event_from_json(line) for line in reversed(lines))
    return isinstance(next((one for one in events if isinstance(one, Finished | Cancelled | Failed)), None), Finished)


def _ended(path: Path, failure: str | None) -> str:
    if failure is not None:
        return f"failed. {failure}"
    rows = RunFolder(path).read_metrics()
    best = max((row["val_score"] for row in rows if "val_score" in row), default=None)
    score = "" if best is None else f"score on the held-out images {best:.3f}, "
    minutes = rows[-1]["minutes"] if rows else 0.0
    return f"{score}{counted(len(rows), 'epoch')}, {minutes:.1f} min"
