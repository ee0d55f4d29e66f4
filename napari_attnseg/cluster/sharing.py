"""Work shared out over the workers of a cluster: one task an image, and again elsewhere when a worker is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from distributed import CancelledError, Client, Future, KilledWorker, get_worker

from napari_attnseg.cluster.connection import GONE, Question
from napari_attnseg.cluster.warm_model import WarmModel, warm_model
from napari_attnseg.errors import AttnSegError, ClusterError, Stopped
from napari_attnseg.events import EventHandler, Notice
from napari_attnseg.settings import PredictionSettings
from napari_attnseg.wording import counted

_SECONDS_BETWEEN_LOOKS = 1.0
_SECONDS_BETWEEN_QUESTIONS = 0.2
_SECONDS_TO_TELL = 5.0  # that the scheduler does not answer; a busy one takes seconds at times
_SECONDS_TO_GIVE_UP = 60.0
_SECONDS_TO_FORGET = 3.0

T = TypeVar("T")


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
        on_wait: Callable[[], None] = lambda: None,
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
        on_wait
            Called several times a second while nothing is done.

        Raises
        ------
        Stopped
            `should_stop` returned True.
        ClusterError
            The scheduler is gone, or has not answered for a minute.
        AttnSegError
            As `work` does.
        """
        submit = partial(self.client.submit, work, self.model.name, pure=False, retries=1)
        futures = [submit(*task) for task in tasks]
        numbers = {future.key: number for number, future in enumerate(futures)}
        watch = _Watch(self.client, on_event, should_stop)
        try:
            for future in _done(futures, watch, on_wait):
                yield _outcome(future, numbers[future.key], watch)
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
    digest: str = "",
) -> Iterator[Team]:
    """Load a model on all workers and see to it that each of them sees some folders.

    Parameters
    ----------
    digest
        Of the model file that is meant; '': as it is now.

    Raises
    ------
    Stopped
        `should_stop` returned True.
    ClusterError, ModelFileError, SettingsError
        A worker cannot use the model, or does not see a folder.
    """
    warm = WarmModel(model, settings, digest)
    watch = _Watch(client, on_event, should_stop)
    try:
        watch.answer(partial(client.register_plugin, warm, name=warm.name))
        places = [str(folder.absolute()) for folder in folders]
        # where a worker dies over it, another one answers: a task that is tied to it would wait for ever
        asked = [
            client.submit(_look_round, warm.name, places, workers=[worker], allow_other_workers=True, pure=False)
            for worker in watch.answer(client.nthreads)
        ]
        devices = dict(_looked(future, watch) for future in _done(asked, watch))
        kinds = [f"{count} x {device}" for device, count in Counter(devices.values()).items()]
        yield Team(client, warm, f"{counted(len(devices), 'worker')}: {', '.join(kinds)}")
    finally:
        # where the scheduler is gone, so are the workers; and one that does not answer is not waited for
        Question(partial(client.unregister_worker_plugin, warm.name)).is_answered(_SECONDS_TO_FORGET)


def _looked(future: Future[Any], watch: _Watch) -> tuple[str, str]:
    """Return what a worker found when it looked round."""
    outcome = _outcome(future, 0, watch)
    if outcome.failure:
        raise ClusterError(f"The model cannot be loaded on the cluster: {outcome.failure}")
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
    futures: Sequence[Future[Any]], watch: _Watch, on_wait: Callable[[], None] = lambda: None
) -> Iterator[Future[Any]]:
    """Yield the tasks as they are done; see `Team.each`."""
    done: SimpleQueue[Future[Any]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(done.put)
    left = len(futures)
    while left:
        watch.look()
        try:
            future = done.get(timeout=_SECONDS_BETWEEN_QUESTIONS)
        except Empty:
            on_wait()
            continue
        left -= 1
        yield future


def _outcome(future: Future[Any], number: int, watch: _Watch) -> Outcome:
    """Return what came of a task.

    Raises
    ------
    ClusterError
        The scheduler forgot it, or is gone.
    Stopped
        See `Team.each`.
    AttnSegError
        The worker said so.
    """
    if future.status == "finished":
        try:
            return Outcome(number, watch.answer(future.result))
        except CancelledError as cancelled:  # just now
            raise ClusterError(GONE) from cancelled
    if future.status != "error":
        raise ClusterError(GONE)
    error = future.exception()
    if isinstance(error, KilledWorker):
        return Outcome(number, failure="the worker that had it died, several times over; its memory may be too small.")
    assert error is not None
    if not isinstance(error, AttnSegError):  # such as of a GPU that fails: the other workers go on
        return Outcome(number, failure=f"a worker had an error of the program, twice: {error!r}.")
    raise error


class _Watch:
    """Looks now and then whether the scheduler and the workers are there, without waiting for them."""

    def __init__(self, client: Client, on_event: EventHandler, should_stop: Callable[[], bool]) -> None:
        self._client, self._on_event, self._should_stop = client, on_event, should_stop
        self._workers: set[str] = set()
        self._last = time.monotonic()
        self._ask()

    def look(self) -> None:
        """Say which workers were lost since the last time, and whether the scheduler answers.

        Raises
        ------
        Stopped
            `should_stop` returned True.
        ClusterError
            The scheduler is gone, or has not answered for a minute.
        """
        if self._should_stop():
            raise Stopped
        now = time.monotonic()
        # at most, for a while in which this very program stood still says nothing of the scheduler
        self._seconds += min(now - self._last, _SECONDS_BETWEEN_LOOKS)
        self._last = now
        if not self._question.is_answered():
            self._be_patient()
        elif self._seconds >= _SECONDS_BETWEEN_LOOKS or self._was_silent:
            self._compare(self._question.answer())
            self._ask()

    def answer(self, ask: Callable[[], T]) -> T:
        """Ask the cluster something, and look meanwhile; see `look`."""
        question = Question(ask)
        while not question.is_answered(_SECONDS_BETWEEN_QUESTIONS):
            self.look()
        return question.answer()

    def _ask(self) -> None:
        self._question = Question(self._found)
        self._asked_at, self._seconds, self._was_silent = datetime.now(), 0.0, False

    def _found(self) -> set[str] | None:
        """Return the workers that are there; None if the scheduler is gone."""
        try:
            return set(self._client.nthreads()) if self._client.status == "running" else None
        except OSError:
            return None

    def _be_patient(self) -> None:
        """Say that the scheduler does not answer, and give up in the end."""
        if self._seconds >= _SECONDS_TO_GIVE_UP:
            raise ClusterError(GONE)
        if self._seconds >= _SECONDS_TO_TELL and not self._was_silent:
            self._was_silent = True
            end = datetime.now() + timedelta(seconds=_SECONDS_TO_GIVE_UP - self._seconds)
            self._on_event(
                Notice(
                    f"The scheduler has not answered since {self._asked_at:%H:%M:%S}; this goes on as soon as it does, "
                    f"and ends if it has not by {end:%H:%M:%S}."
                )
            )

    def _compare(self, found: set[str] | None) -> None:
        if found is None:
            raise ClusterError(GONE)
        if self._was_silent:
            self._on_event(Notice("The scheduler answers again."))
        for worker in sorted(self._workers - found):
            self._on_event(Notice(f"The worker {worker} was lost; others do its images."))
        if self._workers and not found:
            self._on_event(Notice("There is no worker any more; this goes on as soon as there is one."))
        self._workers = found


def failure_of(path: Path, error: AttnSegError | MemoryError) -> str:
    """Return the sentence about an image that could not be worked on."""
    return str(error) or f"{path.name} is too large for the worker's memory."
