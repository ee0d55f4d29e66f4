"""The way to a dask cluster: a client of its scheduler, and what is wrong when there is none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from importlib.metadata import version
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from napari_attnseg.errors import AttnSegError, ClusterError, Stopped

if TYPE_CHECKING:
    from distributed import Client

PACKAGE = "napari-attnseg"
GONE = "The scheduler has gone; what was done so far is kept. Start the cluster, and ask again."
_LOGGERS = ("distributed", "distributed.client", "distributed.core", "distributed.comm")
_SECONDS_TO_CLOSE = 2
_SECONDS_BETWEEN_QUESTIONS = 0.2

T = TypeVar("T")


class Question(Generic[T]):
    """Something that is asked of a cluster in a thread of its own: who stands still answers when it goes on, or never.

    Parameters
    ----------
    ask
        Waits for the answer and returns it.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._answer: Future[T] = Future()
        Thread(target=self._wait, args=(ask,), daemon=True).start()

    def _wait(self, ask: Callable[[], T]) -> None:
        try:
            self._answer.set_result(ask())
        except BaseException as error:  # told to who looks at the answer
            self._answer.set_exception(error)

    def is_answered(self, seconds: float = 0.0) -> bool:
        """Whether there is an answer, or an error; waits for it for some seconds."""
        return bool(wait([self._answer], seconds).done)

    def answer(self) -> T:
        """Return the answer, or raise what `ask` raised."""
        return self._answer.result()


@contextmanager
def connected(address: str, timeout: float, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Client]:
    """Yield a client of a scheduler that has workers of this very version.

    Parameters
    ----------
    address
        Such as tcp://host:8786.
    timeout
        Seconds to wait for an answer, and for a first worker.
    should_stop
        Asked several times a second while an answer or a worker is waited for.

    Raises
    ------
    ClusterError
        The scheduler does not answer or goes away meanwhile, has no workers, or has workers without this program or
        with another version.
    Stopped
        `should_stop` returned True.
    """
    _require_dask()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)  # what they say in many lines is said here in one
    try:
        client = _client(address, timeout, should_stop)
        try:
            _wait_for_worker(client, address, timeout, should_stop)
            _require_same_version(client, address, timeout, should_stop)
            yield client
        except Exception as error:
            if client.status == "running" or isinstance(error, AttnSegError | Stopped):
                raise
            raise ClusterError(GONE) from error
        finally:
            client.close(_SECONDS_TO_CLOSE)
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _require_dask() -> None:
    if find_spec("distributed") is None:
        raise ClusterError(
            "Working on a cluster needs dask, which is not installed; install it with: pip install "
            "'napari-attnseg[cluster]'."
        )
    import distributed  # noqa: F401 - it sets up its loggers when it is imported


def _client(address: str, timeout: float, should_stop: Callable[[], bool]) -> Client:
    from distributed import Client, rpc

    async def who_is_there() -> str:
        async with rpc(address) as other:
            answer = await other.identity()
        return str(answer["type"])

    try:
        # first, for a client itself waits for ever where something listens that is no scheduler
        kind = _answer(lambda: asyncio.run(asyncio.wait_for(who_is_there(), timeout)), timeout, should_stop)
        if kind != "Scheduler":
            raise ClusterError(f"At {address} there is a {kind.lower()} of dask; give the address of the scheduler.")
        return Client(address, timeout=timeout, set_as_default=False)
    except (ClusterError, Stopped):
        raise
    except Exception as error:  # whatever listens there may send anything
        raise _silent(address, timeout) from error


def _wait_for_worker(client: Client, address: str, timeout: float, should_stop: Callable[[], bool]) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            if _answer(client.nthreads, timeout, should_stop):
                return
        except TimeoutError as error:
            raise _silent(address, timeout) from error
        if time.monotonic() > end:
            raise ClusterError(
                f"The scheduler {address} has no workers; start some with: dask worker {address} --nthreads 1 "
                "--memory-limit 0"
            )
        time.sleep(_SECONDS_BETWEEN_QUESTIONS)


def _silent(address: str, timeout: float) -> ClusterError:
    return ClusterError(
        f"The scheduler {address} did not answer within {timeout:g} seconds; see that it runs and can be reached "
        "from here, or give its address as it prints it, such as tcp://host:8786."
    )


def _require_same_version(client: Client, address: str, timeout: float, should_stop: Callable[[], bool]) -> None:
    own = version(PACKAGE)
    # a function of Python's own, for a worker without this program knows no other
    ask = partial(client.run, metadata.version, PACKAGE, on_error="return")
    try:
        answers = _answer(ask, timeout, should_stop)
    except TimeoutError as error:
        raise ClusterError(
            f"The scheduler {address}, or one of its workers, did not answer within {timeout:g} seconds when they were "
            f"asked for their version of {PACKAGE}; see that all of them run, and end those that hang."
        ) from error
    for worker, found in answers.items():
        is_gone = isinstance(found, Exception) and not isinstance(found, metadata.PackageNotFoundError)
        if found != own and not is_gone:
            has = f"has version {found}" if isinstance(found, str) else "does not have this program"
            raise ClusterError(
                f"The worker {worker} {has}, and this is version {own} of {PACKAGE}; install the same version on all."
            )


def _answer(ask: Callable[[], T], seconds: float, should_stop: Callable[[], bool]) -> T:
    """Ask the cluster something.

    Raises
    ------
    TimeoutError
        There is no answer within so many seconds.
    Stopped
        `should_stop` returned True.
    """
    question, end = Question(ask), time.monotonic() + seconds
    while not should_stop():
        if question.is_answered(_SECONDS_BETWEEN_QUESTIONS):
            return question.answer()
        if time.monotonic() > end:
            raise TimeoutError
    raise Stopped
