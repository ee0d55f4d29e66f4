"""What a network that learns carries from one device to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from napari_attnseg.errors import AttnSegError
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import build_model
from napari_attnseg.settings import ModelSettings, TrainingSettings
from napari_attnseg.training.learner import Learner

FULL = "CUDA out of memory"


def learner(dtype: torch.dtype, **values: Any) -> Learner:
    torch.manual_seed(0)
    compute = Compute(torch.device("cpu"), dtype, "CPU")
    settings = TrainingSettings(**{"batch_size": 2, **values})
    return Learner(build_model(ModelSettings(widths=(4, 8))), settings, compute)


def learnt(one: Learner) -> Learner:
    images, labels = torch.rand(2, one.model.settings.in_channels, 16, 16), torch.zeros(2, 16, 16, dtype=torch.long)
    one.step(images, labels, None, 0.01)
    return one


def test_a_state_goes_on_where_losses_are_scaled_and_where_they_are_not() -> None:
    """As from a CPU or a newer GPU to one that computes in float16, and back."""
    plain, scaled = learnt(learner(torch.float32)), learner(torch.float16)
    scaled.load_state(plain.state())
    assert scaled.scaler.is_enabled()
    assert scaled.scaler.get_scale() == learner(torch.float16).scaler.get_scale() > 1
    for name, values in plain.model.state_dict().items():
        assert torch.equal(scaled.model.state_dict()[name], values), name
    back = learner(torch.float32)
    back.load_state(scaled.state())
    learnt(back)


def weights(one: Learner) -> list[torch.Tensor]:
    return [values.detach().clone() for values in one.model.parameters()]


def out_of_memory(*_: Any, **__: Any) -> None:
    raise torch.OutOfMemoryError(FULL)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("where", ["clipping", "optimiser"])
def test_a_batch_is_learnt_again_where_memory_ran_out_after_its_gradients(
    dtype: torch.dtype, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optimiser takes most memory in its first step, and may have begun on its state then."""
    plain, one = learnt(learner(dtype)), learner(dtype)
    before = weights(one)

    def begins(*_: Any, **__: Any) -> None:
        one.optimiser.state[next(one.model.parameters())]["step"] = torch.tensor(0.0)
        out_of_memory()

    with monkeypatch.context() as patch:
        if where == "clipping":
            patch.setattr(torch.nn.utils, "clip_grad_norm_", out_of_memory)
        else:
            patch.setattr(one.optimiser, "step", begins)
        with pytest.raises(torch.OutOfMemoryError):
            learnt(one)
    assert all(torch.equal(a, b) for a, b in zip(weights(one), before, strict=True))
    scale = one.scaler.get_scale()
    one.split_further()
    learnt(one)
    assert one.scaler.get_scale() == scale == plain.scaler.get_scale()
    assert [float(state["step"]) for state in one.optimiser.state.values()] == [1.0] * len(before)
    assert not any(torch.equal(a, b) for a, b in zip(weights(one), before, strict=True) if a.ndim > 1)


def test_a_batch_is_not_learnt_twice_where_memory_runs_out_after_the_optimiser(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = learnt(learner(torch.float32))
    one = learner(torch.float32)
    with monkeypatch.context() as patch:
        patch.setattr(one._average, "update_parameters", out_of_memory)
        learnt(one)
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(plain), strict=True))
    learnt(one)
    assert int(one._average.n_averaged) == 1


def test_memory_that_runs_out_while_a_state_is_loaded_is_said_to_be_that(monkeypatch: pytest.MonkeyPatch) -> None:
    one = learner(torch.float32)
    state = one.state()
    with pytest.raises(AttnSegError, match="does not fit the model"):
        one.load_state(state | {"model": {}})
    monkeypatch.setattr(one.optimiser, "load_state_dict", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError, match=FULL):
        one.load_state(state)


def statistics(one: Learner) -> list[torch.Tensor]:
    modules = [module for module in one.averaged.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert all(module.momentum == 0.1 for module in modules)
    return [module.running_var.clone() for module in modules if module.running_var is not None]


def with_room_for(one: Learner, pixels: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Let passes of more pixels fail; return the list that images and sides of all passes are added to."""
    real, seen = one.averaged.forward, []

    def forward(images: torch.Tensor) -> torch.Tensor:
        seen.append((len(images), images.shape[-1]))
        if images.shape[0] * images.shape[-1] ** 2 > pixels:
            out_of_memory()
        return real(images)

    monkeypatch.setattr(one.averaged, "forward", forward)
    return seen


def batches(size: int) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand((4, 1, size, size), generator=generator) for _ in range(2))


@pytest.mark.parametrize("ema", [0.0, 0.98])
def test_statistics_are_measured_within_the_memory(ema: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller images first, then fewer at once; never more at once than in training."""
    one = learner(torch.float32, batch_size=4, ema=ema)
    one.chunks = 2
    seen = with_room_for(one, 20 * 20, monkeypatch)
    one.settle(batches, 64)
    assert seen == [(2, 64), (2, 32), (2, 16)] + [(1, 16)] * 8
    assert not one.averaged.training
    assert not any(torch.allclose(values, torch.ones(1)) for values in statistics(one))
    whole = learner(torch.float32, batch_size=4, ema=ema)
    seen = with_room_for(whole, 64 * 64 * 4, monkeypatch)
    whole.settle(batches, 64)
    assert seen == [(4, 64)] * 2


def test_statistics_that_cannot_be_measured_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    one = learner(torch.float32, batch_size=4)
    seen = with_room_for(one, 10, monkeypatch)
    with pytest.raises(MemoryError):
        one.settle(batches, 64)
    assert seen == [(4, 64), (4, 32), (4, 16), (2, 16), (1, 16)]
    statistics(one)
