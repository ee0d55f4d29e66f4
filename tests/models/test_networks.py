"""One base tester for all networks: every preset goes through every test."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_attnseg.models import fold
from napari_attnseg.models.attention import AttentionGate
from napari_attnseg.models.device import Compute
from napari_attnseg.models.fold import folded
from napari_attnseg.models.presets import PRESETS
from napari_attnseg.models.unet import UNet, build_model, count_parameters
from napari_attnseg.settings import ModelSettings

WIDTHS = (8, 16, 32)
GATED = [name for name, parts in PRESETS.items() if parts.gates]
SMALL = [name for name, parts in PRESETS.items() if parts.encoder == "plain"]
"""Those whose encoder can be made small; the others go through each test, but not through every variant of it."""


def network(name: str = "attention_se_unet", **values: object) -> UNet:
    torch.manual_seed(0)
    widths = WIDTHS if name in SMALL else (8, 8, 8, 8, 8)
    return build_model(ModelSettings.model_validate({"name": name, "widths": widths, **values}))


def lively(model: UNet) -> UNet:
    """Give the network weights and statistics that are far from those of its birth."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(2, model.settings.in_channels, 16, 16) * 3)
        model.head.weight.normal_()
    return model.eval()


@pytest.mark.parametrize(
    ("name", "channels", "classes"),
    [(n, c, k) for n in SMALL for c, k in [(1, 1), (3, 1), (5, 4)]] + [("res_se_unet", 5, 4)],
)
def test_every_channel_and_class_count_gives_logits_of_the_images_size(name: str, channels: int, classes: int) -> None:
    model = network(name, in_channels=channels, classes=classes)
    images = torch.rand(2, channels, 24, 32)
    logits = model(images)
    assert logits.shape == (2, classes, 24, 32)
    logits.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@torch.no_grad()
@pytest.mark.parametrize("name", PRESETS)
def test_every_size_goes_through(name: str) -> None:
    model = network(name, in_channels=1).eval()
    for height, width in [(1, 1), (5, 3), (17, 31), (33, 16), (64, 64), (64, 63)]:
        logits = model(torch.rand(1, 1, height, width))
        assert logits.shape == (1, 1, height, width)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
def test_a_single_small_patch_can_be_learnt_from_and_predicted(name: str, norm: str) -> None:
    """Of which a single pixel is left at the coarsest level, and there is no spread to normalise by."""
    model = network(name, normalisation=norm, widths=(4, 4, 4))
    patch = torch.rand(1, 1, 4, 3)
    logits = model(patch)
    logits.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert logits.shape == (1, 1, 4, 3)
    maps = model.eval().forward_with_attention(patch)[1]
    assert [tuple(one.shape[-2:]) for one in maps] == [(2, 2), (4, 3)][: len(maps)]


@pytest.mark.parametrize(
    ("name", "norm", "upsampling"),
    [
        *((n, norm, "bilinear") for n in ("unet", "attention_se_unet") for norm in ("batch", "group", "instance")),
        *((name, "batch", "transposed") for name in SMALL),
        ("full_se_unet", "group", "bilinear"),
        ("res_se_unet", "batch", "bilinear"),
    ],
)
def test_variants_learn(name: str, norm: str, upsampling: str) -> None:
    model = network(name, normalisation=norm, upsampling=upsampling, dropout=0.1, gate="channel")
    images, target = torch.rand(4, 1, 16, 16), torch.zeros(4, 1, 16, 16)
    target[..., 4:12, 4:12] = 1
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    losses: list[float] = []
    while len(losses) < 12 and not (losses and losses[-1] < 0.8 * losses[0]):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("gate", ["single", "channel"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (37, 50)])
def test_gates_give_maps_in_0_to_1_deepest_first(name: str, gate: str, height: int, width: int) -> None:
    model = lively(network(name, gate=gate))
    logits, maps = model.forward_with_attention(torch.rand(2, 1, height, width))
    assert logits.shape == (2, 1, height, width)
    assert [tuple(one.shape) for one in maps] == [
        (2, 1, -(-height // 2), -(-width // 2)),
        (2, 1, height, width),
    ]
    assert all(one.min().item() >= 0 and one.max().item() <= 1 for one in maps)
    assert any(one.std().item() > 0 for one in maps)


@pytest.mark.parametrize("name", set(SMALL) - set(GATED))
def test_a_preset_without_gates_gives_no_maps(name: str) -> None:
    model = network(name)
    assert not model.has_attention
    assert model.forward_with_attention(torch.rand(2, 1, 16, 16))[1] == []


def test_presets_are_different_networks() -> None:
    counts = {name: count_parameters(network(name)) for name in SMALL}
    assert len(set(counts.values())) == len(SMALL)
    assert min(counts, key=lambda name: counts[name]) == "unet"


# Model files from before there were other presets hold these names; with them they are loaded.
BLOCK = ("0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias")
ENCODER = [f"encoder.{level}.{part}" for level in range(3) for part in BLOCK]
UP = ("up.conv.weight", "up.conv.bias")
GATE = ("skip.weight", "gate.weight", "gate.bias", "norm.weight", "norm.bias", "psi.weight", "psi.bias")
SE = ("squeeze.weight", "squeeze.bias", "excite.weight", "excite.bias")
CONV = [f"conv.{part}" for part in BLOCK]
HEAD = ["head.weight", "head.bias"]


@pytest.mark.parametrize(
    ("name", "parts", "values"),
    [
        ("unet", [*UP, *CONV], 7_762_465),
        ("attention_se_unet", [*UP, *(f"gate.{p}" for p in GATE), *CONV, *(f"se.{p}" for p in SE)], 8_036_069),
    ],
)
def test_the_parameters_of_existing_model_files_keep_their_names(name: str, parts: list[str], values: int) -> None:
    expected = [*ENCODER, *(f"decoder.{level}.{part}" for level in range(2) for part in parts), *HEAD]
    model = network(name)
    assert [name for name, _ in model.named_parameters()] == expected
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    assert {name.rsplit(".")[-1] for name, _ in model.named_buffers()} == statistics
    assert count_parameters(build_model(ModelSettings.model_validate({"name": name}))) == values


def test_squeeze_and_excitation_looks_at_the_whole_image() -> None:
    """A change in one corner changes the weights of channels everywhere."""
    se = network().decoder[-1].se
    before = torch.rand(1, 8, 16, 16)
    after = before.clone()
    after[..., 0, 0] += 100
    assert not torch.allclose(se(before)[..., 8:, 8:], se(after)[..., 8:, 8:])


@pytest.mark.parametrize("name", PRESETS)
def test_folding_batch_normalisation_changes_nothing(name: str) -> None:
    model = lively(network(name))
    images = torch.rand(1, 1, 40, 24)
    fast = folded(model)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.encoder.modules())
    expected: Tensor = model(images).detach()
    assert torch.allclose(fast(images), expected, atol=1e-4 * float(expected.abs().max()))
    assert torch.equal(model(images), expected), "the original was changed"


def test_convolutions_with_their_relu_in_one_pass_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever number type one asks after the other."""
    fast = folded(lively(network()))
    joined = [module for module in fast.modules() if isinstance(module, fold.ConvRelu)]
    assert len(joined) == 2 * 5

    def said(dtype: torch.dtype) -> Tensor:
        compute = Compute(torch.device("cpu"), dtype, "")
        compute.place(fast)
        torch.manual_seed(1)
        with torch.inference_mode(), compute.autocast():
            return fast(compute.images(torch.rand(2, 1, 48, 40))).float()

    if not fold.has_joined(torch.float32):
        pytest.skip("this PyTorch has no such pass on this processor")
    found = [said(dtype) for dtype in (torch.float32, torch.bfloat16, torch.float32)]
    monkeypatch.setattr(fold, "has_joined", lambda dtype: False)
    exact, rounded = said(torch.float32), said(torch.bfloat16)
    for one, apart, error in zip(found, (exact, rounded, exact), (1e-5, 0.05, 1e-5), strict=True):
        assert torch.allclose(one, apart, atol=error * float(apart.abs().max()))


@pytest.mark.parametrize("channels", [8, 32])
def test_a_gate_weighs_all_channels_of_a_place_alike_in_16_bit(channels: int) -> None:
    gate = AttentionGate(channels, 16, "batch").eval().to(torch.bfloat16).to(memory_format=torch.channels_last)
    skip = torch.rand(2, channels, 16, 16).bfloat16().contiguous(memory_format=torch.channels_last)
    gated, attention = gate(skip, torch.rand(2, 16, 8, 8).bfloat16().contiguous(memory_format=torch.channels_last))
    assert torch.equal(gated, skip * attention)
    assert gated.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", PRESETS)
def test_16_bit_and_channels_last_change_little(name: str) -> None:
    """As training and prediction run on a CPU with 16-bit arithmetic, and on a GPU."""
    model = lively(network(name))
    compute = Compute(torch.device("cpu"), torch.bfloat16, "")
    images = torch.rand(2, 1, 32, 32)
    expected = model(images).detach()
    placed = compute.place(model)
    with torch.no_grad(), compute.autocast():
        logits = placed(compute.images(images))
    assert logits.shape == expected.shape
    assert float((logits.float() - expected).abs().mean()) < 0.05 * float(expected.std())
    placed.train()
    with compute.autocast():
        loss = placed(compute.images(images)).float().square().mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in placed.parameters())
