"""The way to a dask cluster: a client of its scheduler, and what is wrong when there is none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from napari_attnseg.errors import AttnSegError, ClusterError, Stopped

if TYPE_CHECKING:
    from distributed import Client

PACKAGE = "napari-attnseg"
GONE = "The scheduler has gone; what was done so far is kept. Start the cluster, and ask again."
_LOGGERS = ("distributed", "distributed.client", "distributed.core", "distributed.comm")
_SECONDS_TO_CLOSE = 2
_SECONDS_BETWEEN_QUESTIONS = 0.2


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
        Asked while a worker is waited for.

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
        client = _client(address, timeout)
        try:
            _wait_for_worker(client, address, timeout, should_stop)
            _require_same_version(client)
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


def _client(address: str, timeout: float) -> Client:
    from distributed import Client, rpc

    async def who_is_there() -> str:
        async with rpc(address) as other:
            answer = await other.identity()
        return str(answer["type"])

    try:
        # first, for a client itself waits for ever where something listens that is no scheduler
        kind = asyncio.run(asyncio.wait_for(who_is_there(), timeout))
        if kind != "Scheduler":
            raise ClusterError(f"At {address} there is a {kind.lower()} of dask; give the address of the scheduler.")
        return Client(address, timeout=timeout, set_as_default=False)
    except ClusterError:
        raise
    except Exception as error:  # whatever listens there may send anything
        raise ClusterError(
            f"The scheduler {address} did not answer within {timeout:g} seconds; see that it runs and can be reached "
            "from here, or give its address as it prints it, such as tcp://host:8786."
        ) from error


def _wait_for_worker(client: Client, address: str, timeout: float, should_stop: Callable[[], bool]) -> None:
    end = time.monotonic() + timeout
    while not client.nthreads():
        if should_stop():
            raise Stopped
        if time.monotonic() > end:
            raise ClusterError(
                f"The scheduler {address} has no workers; start some with: dask worker {address} --nthreads 1 "
                "--memory-limit 0"
            )
        time.sleep(_SECONDS_BETWEEN_QUESTIONS)


def _require_same_version(client: Client) -> None:
    own = version(PACKAGE)
    # a function of Python's own, for a worker without this program knows no other
    for worker, found in client.run(metadata.version, PACKAGE, on_error="return").items():
        is_gone = isinstance(found, Exception) and not isinstance(found, metadata.PackageNotFoundError)
        if found != own and not is_gone:
            has = f"has version {found}" if isinstance(found, str) else "does not have this program"
            raise ClusterError(
                f"The worker {worker} {has}, and this is version {own} of {PACKAGE}; install the same version on all."
            )
