"""A model that stays loaded on a worker for as long as its images last."""

from __future__ import annotations

import hashlib
import secrets
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from napari_attnseg.cluster.connection import PACKAGE
from napari_attnseg.errors import ClusterError, ModelFileError
from napari_attnseg.settings import PredictionSettings

if TYPE_CHECKING:
    from napari_attnseg.prediction.predictor import Predictor


class WarmModel(WorkerPlugin):
    """A model file on each worker, also on those that join later; loaded once, when it is first needed.

    Parameters
    ----------
    model
        A file that all workers see under the same path.
    settings
        How to predict.
    """

    def __init__(self, model: Path, settings: PredictionSettings) -> None:
        self.name = f"{PACKAGE}-{secrets.token_hex(6)}"
        self._model = model.absolute()
        self._settings = settings
        self._digest = digest_of(model)
        self._version = version(PACKAGE)

    def setup(self, worker: Any) -> None:
        """Begin on a worker."""
        self.one_at_a_time = Lock()
        """Held while the device computes: several threads of a worker share it."""
        self._loading = Lock()
        self._loaded: Predictor | None = None
        self._worker = str(worker.address)
        self._is_over = False

    def teardown(self, worker: Any) -> None:
        """End on a worker: the model is given back, and an image that is being predicted is left."""
        self._is_over = True
        self._loaded = None

    def is_over(self) -> bool:
        """Whether nobody waits for results any more."""
        return self._is_over

    def predictor(self) -> Predictor:
        """Return the loaded model.

        Raises
        ------
        ClusterError
            This worker has another version of the program, or another file.
        ModelFileError
            This worker does not see the file, or it is damaged.
        """
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

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


def digest_of(path: Path) -> str:
    """Return what tells files of other content apart."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
