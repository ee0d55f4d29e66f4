"""Work shared out over the workers of a cluster: one task an image, and again elsewhere when a worker is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future, KilledWorker, get_worker

from napari_attnseg.cluster.connection import GONE
from napari_attnseg.cluster.warm_model import WarmModel, warm_model
from napari_attnseg.errors import AttnSegError, ClusterError, Stopped
from napari_attnseg.events import EventHandler, Notice
from napari_attnseg.settings import PredictionSettings
from napari_attnseg.wording import counted

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BETWEEN_QUESTIONS = 0.2


@dataclass(frozen=True)
class Outcome:
    """What came of one image."""

    number: int
    """Of the task, from 0."""
    value: Any = None
    failure: str = ""
    """A sentence that says why there is no value."""


@dataclass(frozen=True)
class Team:
    """The workers of a cluster with a model that is loaded on each."""

    client: Client
    model: WarmModel
    device: str
    """What they compute on, for people."""

    def each(
        self,
        work: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        on_event: EventHandler,
        should_stop: Callable[[], bool],
    ) -> Iterator[Outcome]:
        """Have each task done by some worker, and yield what comes of each as soon as it is there, in any order.

        Parameters
        ----------
        work
            Called on a worker with the name of the model, and with the task.
        tasks
            Arguments.
        on_event
            Called with notices about workers.
        should_stop
            Asked several times a second; True cancels what has not begun.

        Raises
        ------
        Stopped
            `should_stop` returned True.
        ClusterError
            The scheduler is gone.
        AttnSegError
            As `work` does.
        """
        futures = [self.client.submit(work, self.model.name, *task, pure=False) for task in tasks]
        numbers = {future.key: number for number, future in enumerate(futures)}
        try:
            for future in _done(self.client, futures, on_event, should_stop):
                yield _outcome(future, numbers[future.key])
                future.release()
        finally:
            with suppress(Exception):  # where the scheduler is gone, nothing is left to cancel
                self.client.cancel([future for future in futures if not future.done()], force=True)


@contextmanager
def team(
    client: Client,
    model: Path,
    settings: PredictionSettings,
    folders: Sequence[Path],
    on_event: EventHandler,
    should_stop: Callable[[], bool],
) -> Iterator[Team]:
    """Load a model on all workers and see to it that each of them sees some folders.

    Raises
    ------
    Stopped
        `should_stop` returned True.
    ClusterError, ModelFileError, SettingsError
        A worker cannot use the model, or does not see a folder.
    """
    warm = WarmModel(model, settings)
    client.register_plugin(warm, name=warm.name)
    try:
        places = [str(folder.absolute()) for folder in folders]
        # where a worker dies over it, another one answers: a task that is tied to it would wait for ever
        asked = [
            client.submit(_look_round, warm.name, places, workers=[worker], allow_other_workers=True, pure=False)
            for worker in client.nthreads()
        ]
        devices = dict(_looked(future) for future in _done(client, asked, on_event, should_stop))
        kinds = [f"{count} x {device}" for device, count in Counter(devices.values()).items()]
        yield Team(client, warm, f"{counted(len(devices), 'worker')}: {', '.join(kinds)}")
    finally:
        with suppress(Exception):  # where the scheduler is gone, so are the workers
            client.unregister_worker_plugin(warm.name)


def _looked(future: Future[Any]) -> tuple[str, str]:
    """Return what a worker found when it looked round."""
    outcome = _outcome(future, 0)
    if outcome.failure:
        raise ClusterError("The workers die while they load the model; their memory may be too small.")
    address, device = outcome.value
    return address, device


def _look_round(name: str, places: Sequence[str]) -> tuple[str, str]:
    """Load the model on a worker and return its address, and what it computes on."""
    address = str(get_worker().address)
    for place in places:
        if not Path(place).exists():
            raise ClusterError(
                f"The worker {address} does not see {place}; images, model and --out must lie in folders "
                "that all workers share under the same path."
            )
    with warm_model(name).in_use() as predictor:
        return address, predictor.compute.description


def _done(
    client: Client, futures: Sequence[Future[Any]], on_event: EventHandler, should_stop: Callable[[], bool]
) -> Iterator[Future[Any]]:
    """Yield the tasks as they are done; see `Team.each`."""
    done: SimpleQueue[Future[Any]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(done.put)
    watch, left = _Watch(client, on_event), len(futures)
    while left:
        if should_stop():
            raise Stopped
        try:
            future = done.get(timeout=_SECONDS_BETWEEN_QUESTIONS)
        except Empty:
            watch.look()
            continue
        left -= 1
        yield future


def _outcome(future: Future[Any], number: int) -> Outcome:
    """Return what came of a task.

    Raises
    ------
    ClusterError
        The scheduler forgot it.
    AttnSegError
        The worker said so.
    """
    if future.status == "finished":
        return Outcome(number, future.result())
    if future.status != "error":
        raise ClusterError(GONE)
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Outcome(number, failure="the worker that had it died, several times over; its memory may be too small.")
    assert error is not None
    raise error


class _Watch:
    """Looks now and then whether the scheduler and the workers are there."""

    def __init__(self, client: Client, on_event: EventHandler) -> None:
        self._client, self._on_event = client, on_event
        self._workers = set(client.nthreads())
        self._last = time.monotonic()

    def look(self) -> None:
        """Say which workers were lost since the last time.

        Raises
        ------
        ClusterError
            The scheduler is gone.
        """
        if time.monotonic() - self._last < _SECONDS_BETWEEN_LOOKS:
            return
        self._last = time.monotonic()
        try:
            found = set(self._client.nthreads()) if self._client.status == "running" else None
        except OSError:
            found = None
        if found is None:
            raise ClusterError(GONE)
        for worker in sorted(self._workers - found):
            self._on_event(Notice(f"The worker {worker} was lost; others do its images."))
        if self._workers and not found:
            self._on_event(Notice("There is no worker any more; this goes on as soon as there is one."))
        self._workers = found


def failure_of(path: Path, error: AttnSegError | MemoryError) -> str:
    """Return the sentence about an image that could not be worked on."""
    return str(error) or f"{path.name} is too large for the worker's memory."
