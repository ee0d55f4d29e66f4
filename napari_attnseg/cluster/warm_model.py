"""A model that stays loaded on a worker for as long as its images last."""

from __future__ import annotations

import gc
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import psutil
from distributed import WorkerPlugin, get_worker

from napari_attnseg.cluster.connection import PACKAGE
from napari_attnseg.data.memory import granted
from napari_attnseg.errors import ClusterError, ModelFileError
from napari_attnseg.prediction.origin import digest_of
from napari_attnseg.settings import PredictionSettings

_SECONDS_IDLE = 300.0
_SHARE_OF_LIMIT = 0.8  # dask gives a worker no more work beyond that, and soon ends it

if TYPE_CHECKING:
    from napari_attnseg.prediction.predictor import Predictor


class WarmModel(WorkerPlugin):
    """A model file on each worker, also on those that join later; loaded when it is needed, and kept while it is.

    Parameters
    ----------
    model
        A file that all workers see under the same path.
    settings
        How to predict.
    digest
        Of the file that is meant, see `digest_of`; '': of the file as it is now.
    """

    def __init__(self, model: Path, settings: PredictionSettings, digest: str = "") -> None:
        self.name = f"{PACKAGE}-{secrets.token_hex(6)}"
        self._model = model.absolute()
        self._settings = settings
        self._digest = digest or digest_of(model)
        self._version = version(PACKAGE)

    def setup(self, worker: Any) -> None:
        """Begin on a worker."""
        self._memory_limit: int | None = worker.memory_manager.memory_limit
        self._one_at_a_time = Lock()  # several threads of a worker share it
        self._loaded: Predictor | None = None
        self._last_use = time.monotonic()
        self._worker = str(worker.address)
        self._is_over = False
        self._release_when_idle(worker.loop)

    def teardown(self, worker: Any) -> None:
        """End on a worker: the model is given back, and an image that is being predicted is left."""
        self._is_over = True
        self._loop.remove_timeout(self._next_look)
        if self._one_at_a_time.acquire(blocking=False):  # else who uses it gives it back
            self._release()
            self._one_at_a_time.release()

    def is_over(self) -> bool:
        """Whether nobody waits for results any more."""
        return self._is_over

    @contextmanager
    def in_use(self) -> Iterator[Predictor]:
        """Yield the loaded model, which nobody else computes with meanwhile, within what dask grants the worker.

        Raises
        ------
        ClusterError
            This worker has another version of the program, or another file.
        ModelFileError
            This worker does not see the file, or it is damaged.
        """
        with self._one_at_a_time, granted(self._left):
            if self._loaded is None:
                self._loaded = self._load()
            try:
                yield self._loaded
            finally:
                self._last_use = time.monotonic()
                if self._is_over:
                    self._release()

    def _left(self) -> int:
        """Return what dask leaves to the worker, in bytes."""
        if self._memory_limit is None:
            return sys.maxsize
        return round(self._memory_limit * _SHARE_OF_LIMIT) - int(psutil.Process().memory_info().rss)

    def _release_when_idle(self, loop: Any) -> None:
        """Give the model back after a while without work: a client that was killed never says that it is over."""
        self._loop, self._next_look = loop, loop.call_later(_SECONDS_IDLE / 4, self._release_when_idle, loop)
        if self._one_at_a_time.acquire(blocking=False):
            try:
                if time.monotonic() - self._last_use >= _SECONDS_IDLE:
                    self._release()
            finally:
                self._one_at_a_time.release()

    def _release(self) -> None:
        """Forget the model, which is loaded again where it is needed, and give back the device's memory."""
        if self._loaded is not None:
            from napari_attnseg.prediction.fitting import free_memory as free_device

            compute, self._loaded = self._loaded.compute, None
            gc.collect()
            free_device(compute)

    def _load(self) -> Predictor:
        if version(PACKAGE) != self._version:
            raise ClusterError(
                f"The worker {self._worker} has version {version(PACKAGE)} of {PACKAGE} and this was asked for by "
                f"version {self._version}; install the same version on all."
            )
        if not self._model.is_file():
            raise ModelFileError(
                f"The worker {self._worker} does not see the model {self._model}; put it into a folder that all "
                "workers share under the same path."
            )
        if digest_of(self._model) != self._digest:
            raise ClusterError(
                f"The worker {self._worker} has another model under {self._model}; put the model into a folder that "
                "all workers share."
            )
        from napari_attnseg.prediction.predictor import Predictor  # torch takes seconds to import

        return Predictor(self._model, self._settings)


def warm_model(name: str) -> WarmModel:
    """Return the model of this name on the worker that asks."""
    found = get_worker().plugins[name]
    assert isinstance(found, WarmModel)
    return found
