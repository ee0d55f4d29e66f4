"""What a network that learns carries from one device to the next."""

from __future__ import annotations

import torch

from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import build_model
from napari_attnseg.settings import ModelSettings, TrainingSettings
from napari_attnseg.training.learner import Learner


def learner(dtype: torch.dtype) -> Learner:
    torch.manual_seed(0)
    compute = Compute(torch.device("cpu"), dtype, "CPU")
    return Learner(build_model(ModelSettings(widths=(4, 8))), TrainingSettings(batch_size=2), compute)


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
