"""One base tester for all networks: every preset goes through every test."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_attnseg.models.fold import folded
from napari_attnseg.models.unet import PRESETS, UNet, build_model, count_parameters
from napari_attnseg.settings import ModelSettings

WIDTHS = (8, 16, 32)
GATED = [name for name, parts in PRESETS.items() if parts.gates]


def network(name: str = "attention_se_unet", **values: object) -> UNet:
    torch.manual_seed(0)
    return build_model(ModelSettings.model_validate({"name": name, "widths": WIDTHS, **values}))


def lively(model: UNet) -> UNet:
    """Give the network weights and statistics that are far from those of its birth."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(2, model.settings.in_channels, 16, 16) * 3)
        model.head.weight.normal_()
    return model.eval()


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("channels", "classes"), [(1, 1), (3, 1), (5, 4)])
def test_every_channel_and_class_count_gives_logits_of_the_images_size(name: str, channels: int, classes: int) -> None:
    model = network(name, in_channels=channels, classes=classes)
    images = torch.rand(2, channels, 24, 32)
    logits = model(images)
    assert logits.shape == (2, classes, 24, 32)
    logits.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 3), (17, 31), (33, 16), (64, 63)])
def test_every_size_goes_through(name: str, height: int, width: int) -> None:
    model = network(name, in_channels=1).eval()
    assert model(torch.rand(1, 1, height, width)).shape == (1, 1, height, width)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
def test_variants_learn(name: str, norm: str, upsampling: str) -> None:
    model = network(name, normalisation=norm, upsampling=upsampling, dropout=0.1)
    images, target = torch.rand(2, 1, 16, 16), torch.zeros(2, 1, 16, 16)
    target[..., 4:12, 4:12] = 1
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (37, 50)])
def test_gates_give_maps_in_0_to_1_deepest_first(name: str, height: int, width: int) -> None:
    model = lively(network(name))
    logits, maps = model.forward_with_attention(torch.rand(2, 1, height, width))
    assert logits.shape == (2, 1, height, width)
    assert [tuple(one.shape) for one in maps] == [
        (2, 1, -(-height // 2), -(-width // 2)),
        (2, 1, height, width),
    ]
    assert all(one.min().item() >= 0 and one.max().item() <= 1 for one in maps)
    assert any(one.std().item() > 0 for one in maps)


def test_a_gate_lets_through_what_its_map_says() -> None:
    gate = network().decoder[-1].gate
    assert gate is not None
    skip, below = torch.rand(1, 8, 8, 8), torch.rand(1, 16, 4, 4)
    gated, attention = gate.eval()(skip, below)
    assert torch.allclose(gated, skip * attention)


def test_a_preset_without_gates_gives_no_maps() -> None:
    assert network("unet").forward_with_attention(torch.rand(1, 1, 16, 16))[1] == []


def test_presets_differ_in_their_parts() -> None:
    def has(model: UNet, part: str) -> bool:
        return any(type(module).__name__ == part for module in model.modules())

    assert has(network(), "AttentionGate")
    assert has(network(), "SqueezeExcitation")
    assert not has(network("unet"), "AttentionGate")
    assert not has(network("unet"), "SqueezeExcitation")
    assert count_parameters(network()) > count_parameters(network("unet"))


def test_squeeze_and_excitation_looks_at_the_whole_image() -> None:
    """A change in one corner changes the weights of channels everywhere."""
    se = network().decoder[-1].se
    assert se is not None
    before = torch.rand(1, 8, 16, 16)
    after = before.clone()
    after[..., 0, 0] += 100
    assert not torch.allclose(se(before)[..., 8:, 8:], se(after)[..., 8:, 8:])


@pytest.mark.parametrize("name", PRESETS)
def test_folding_batch_normalisation_changes_nothing(name: str) -> None:
    model = lively(network(name))
    images = torch.rand(1, 1, 40, 24)
    fast = folded(model)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for block in fast.encoder for m in block.modules())
    expected: Tensor = model(images).detach()
    assert torch.allclose(fast(images), expected, atol=1e-4 * float(expected.abs().max()))
    assert torch.equal(model(images), expected), "the original was changed"
