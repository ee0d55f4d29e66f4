"""What only an NVIDIA GPU shows; skipped without one.

None was at hand when this was written: it has not been run yet.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from napari_attnseg.engine import fit
from napari_attnseg.events import Event, Notice, Progress
from napari_attnseg.prediction.loaded_models import LoadedModels
from napari_attnseg.training import reporter
from tests.conftest import TINY, blobs
from tests.prediction.test_predictor import model, noise, predictor

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU: nothing was tried on one")

ON_GPU = {**TINY, "device": "cuda"}
PLANE = np.random.default_rng(0).random((1, 1100, 1000), np.float32)
Limit = Callable[[int], None]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of pairs."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(4):
        image, labels = blobs(number, (300, 260))
        tifffile.imwrite(folder / f"cell{number}.tif", image)
        tifffile.imwrite(folder / f"cell{number}_MASK.tif", labels * 255)
    return folder


@pytest.fixture
def limit() -> Iterator[Limit]:
    """A function that leaves so many bytes of the GPU's memory to this process, as if others had the rest."""

    def leave(size: int) -> None:
        give_back()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + size) / total)

    yield leave
    torch.cuda.set_per_process_memory_fraction(1.0)
    give_back()


def give_back() -> None:
    gc.collect()
    torch.cuda.empty_cache()


def test_a_training_goes_on_in_the_middle_of_an_epoch(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The losses before the stop come from a file, those after it from the GPU."""
    monkeypatch.setattr(reporter, "SECONDS_BETWEEN", 0.0)
    told: list[Event] = []

    def should_stop() -> bool:
        return any(isinstance(event, Progress) and event.message == "epoch 1, batch 1 of 3" for event in told)

    stopped = fit(source, tmp_path / "run", on_event=told.append, should_stop=should_stop, **ON_GPU)
    assert stopped.was_stopped
    told.clear()
    result = fit(source, tmp_path / "run", resume=True, on_event=told.append, **ON_GPU)
    assert "Resumed after epoch 0, step 1." in notices(told)
    rows = result.folder.read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert np.isfinite([row["loss"] for row in rows]).all()


def test_a_training_takes_fewer_patches_where_memory_runs_out(source: Path, tmp_path: Path, limit: Limit) -> None:
    values: dict[str, Any] = {**ON_GPU, "widths": (32, 64), "batch_size": 32, "patch_size": 128, "epochs": 1}
    told: list[Event] = []
    limit(250_000_000)  # of about twice as many that a whole batch takes
    result = fit(source, tmp_path / "run", on_event=told.append, **values)
    assert result.epochs == 1
    assert any(text.startswith("The GPU's memory ran out; going on with ") for text in notices(told))


def test_a_prediction_takes_fewer_tiles_where_memory_runs_out(tmp_path: Path, limit: Limit) -> None:
    path = model(tmp_path / "m.safetensors", name="unet")
    values = {"device": "cuda", "precision": "float32", "batch_size": 16, "tile_size": 512}
    whole = predictor(path, **values).predict_plane(PLANE, attention=False)
    one = predictor(path, **values)
    limit(150_000_000)
    found = one.predict_plane(PLANE, attention=False)
    assert one.tiling.batch_size < 16
    assert np.abs(found.probability - whole.probability).max() < 0.02


@pytest.mark.parametrize(("precision", "most"), [("float32", 0.01), ("auto", 0.05)])
def test_a_gpu_predicts_what_a_cpu_does(tmp_path: Path, precision: str, most: float) -> None:
    path, image = model(tmp_path / "m.safetensors"), tmp_path / "a.tif"
    tifffile.imwrite(image, noise(300, 260))
    on_cpu, on_gpu = (
        predictor(path, device=device, precision=number, probability=True, attention=True).predict_file(image)
        for device, number in (("cpu", "float32"), ("cuda", precision))
    )
    for ours, theirs in ((on_gpu.probability, on_cpu.probability), (on_gpu.attention, on_cpu.attention)):
        assert ours is not None
        assert theirs is not None
        assert np.abs(ours - theirs).max() < most


def test_memory_is_given_back(tmp_path: Path) -> None:
    """Compared between two uses: what CUDA's libraries take at the first one they keep."""
    path = model(tmp_path / "m.safetensors")
    models, kept = LoadedModels("cuda"), []
    for _ in range(2):
        models.get(path).predict_plane(PLANE, attention=False)
        used = torch.cuda.memory_reserved()
        models.release()
        kept.append(torch.cuda.memory_reserved())
        assert kept[-1] < used
    assert kept[1] <= kept[0]


def notices(told: list[Event]) -> list[str]:
    return [event.message for event in told if isinstance(event, Notice)]
