"""The models that were used last, kept loaded."""

from __future__ import annotations

import gc
from pathlib import Path

from napari_attnseg.prediction.fitting import free_memory
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.settings import DeviceName, PredictionSettings

KEPT = 2

_Key = tuple[str, int, int]


class LoadedModels:
    """Up to two models, loaded anew when their file has changed."""

    def __init__(self, device: DeviceName) -> None:
        self._device = device
        self._models: dict[_Key, Predictor] = {}

    def get(self, path: Path) -> Predictor:
        """Return a model.

        Raises
        ------
        ModelFileError
            There is no usable model file any more.
        """
        key = _key(path)
        self._models = {k: model for k, model in self._models.items() if k == key or k[0] != str(path)}
        found = self._models.pop(key, None) if key else None
        if found is None:
            found = self._load(path)
        if key:
            self._models[key] = found  # the one used last is the last
        while len(self._models) > KEPT:
            del self._models[next(iter(self._models))]
        return found

    def release(self) -> None:
        """Forget all, and give back the device's memory."""
        models, self._models = list(self._models.values()), {}
        computes = {model.compute for model in models}
        models.clear()
        gc.collect()
        for compute in computes:
            free_memory(compute)

    def _load(self, path: Path) -> Predictor:
        model = Predictor(path, PredictionSettings(device=self._device))
        if model.compute.device.type == "cpu":
            model.tiling.batch_size = 1  # as fast as four at once, and a cancel is heard sooner
        return model


def _key(path: Path) -> _Key | None:
    """Return what tells a model file from the one that was there before; None if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_mtime_ns, status.st_size
