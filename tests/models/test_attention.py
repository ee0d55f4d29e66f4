"""The parts that weigh features, against what is worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from napari_attnseg.models.attention import AttentionGate, Cbam, SqueezeExcitation
from napari_attnseg.models.unet import build_model
from napari_attnseg.settings import ModelSettings

FEATURES = torch.randn(2, 8, 9, 11, generator=torch.Generator().manual_seed(0))


def array(values: torch.Tensor) -> NDArray[np.float64]:
    return values.detach().numpy().astype(np.float64)


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values))


def judged(part: SqueezeExcitation | Cbam, pooled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the two layers make of (N, C)."""
    first, second = array(part.squeeze.weight)[..., 0, 0], array(part.excite.weight)[..., 0, 0]
    hidden = np.maximum(pooled @ first.T + array(part.squeeze.bias), 0)
    return hidden @ second.T + array(part.excite.bias)


def test_squeeze_and_excitation_by_hand() -> None:
    part = SqueezeExcitation(8, reduction=2)
    assert part.squeeze.out_channels == 4
    x = array(FEATURES)
    weight = sigmoid(judged(part, x.mean((2, 3))))
    assert np.allclose(array(part(FEATURES)), x * weight[..., None, None], atol=1e-5)


def test_cbam_by_hand() -> None:
    part = Cbam(8, reduction=2)
    x = array(FEATURES)
    x = x * sigmoid(judged(part, x.mean((2, 3))) + judged(part, x.max((2, 3))))[..., None, None]
    seen = np.stack([x.mean(1), x.max(1)], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(seen, ((0, 0), (0, 0), (3, 3), (3, 3))), (7, 7), (2, 3))
    places = sigmoid(np.einsum("ncyxij,cij->nyx", windows, array(part.place.weight)[0]) + array(part.place.bias))
    assert np.allclose(array(part(FEATURES)), x * places[:, None], atol=1e-5)


@pytest.mark.parametrize(("kind", "maps"), [("single", 1), ("channel", 8)])
def test_a_gate_lets_through_what_its_maps_say(kind: str, maps: int) -> None:
    gate = AttentionGate(8, 16, "batch", kind).eval()
    assert gate.psi.out_channels == maps
    below = torch.randn(2, 16, 6, 5)
    skip = torch.rand(2, 8, 12, 10) + 0.1
    gated, shown = gate(skip, below)
    used = gated / skip
    assert shown.shape == (2, 1, 12, 10)
    assert torch.allclose(shown, used.mean(1, keepdim=True), atol=1e-5)
    assert used.min() > 0
    assert used.max() < 1
    assert (used.std(1).max() > 1e-3) == (kind == "channel")


def test_a_gate_by_hand() -> None:
    """At a single place: psi of the rectified sum of what skip and gate are mapped to."""
    gate = AttentionGate(4, 6, "batch").eval()  # fresh batch normalisation only divides by sqrt(1 + eps)
    skip, below = torch.randn(1, 4, 2, 2), torch.randn(1, 6, 1, 1)
    summed = np.einsum("hcij,cij->h", array(gate.skip.weight), array(skip)[0])
    summed += array(gate.gate.weight)[..., 0, 0] @ array(below)[0, :, 0, 0] + array(gate.gate.bias)
    relevance = np.maximum(summed / np.sqrt(1 + 1e-5), 0) @ array(gate.psi.weight)[0, :, 0, 0] + array(gate.psi.bias)
    assert np.allclose(array(gate(skip, below)[1]), sigmoid(relevance), atol=1e-5)


@pytest.mark.parametrize("name", ["attention_se_unet", "full_se_unet", "cbam_unet"])
def test_all_weights_begin_nearly_open(name: str) -> None:
    """With features of nothing, only the biases speak, and each weighing lets 0.88 through."""
    model = build_model(ModelSettings.model_validate({"name": name, "widths": (8, 16)})).eval()
    found = [part for part in model.modules() if isinstance(part, SqueezeExcitation | Cbam)]
    assert found
    for part in found:
        tiny = torch.full((1, part.squeeze.in_channels, 4, 4), 1e-6)
        weighings = 2 if isinstance(part, Cbam) else 1
        assert torch.allclose(part(tiny) / tiny, torch.tensor(0.8808**weighings), atol=1e-3)
    for gate in (part for part in model.modules() if isinstance(part, AttentionGate)):
        assert gate.psi.bias is not None
        assert torch.sigmoid(gate.psi.bias).item() == pytest.approx(0.8808, abs=1e-3)


def test_squeeze_and_excitation_stands_where_the_presets_say() -> None:
    def places(name: str, kind: type[nn.Module]) -> list[tuple[str, int]]:
        model = build_model(ModelSettings.model_validate({"name": name, "widths": (8, 16, 32)}))
        parts = ((path, part) for path, part in model.named_modules() if isinstance(part, kind))
        return [(path, part.excite.out_channels) for path, part in parts]

    after_joining = [("decoder.0.joined", 32), ("decoder.1.joined", 16)]
    assert places("unet", SqueezeExcitation) == []
    assert places("attention_unet", SqueezeExcitation) == []
    assert places("attention_se_unet", SqueezeExcitation) == [("decoder.0.se", 16), ("decoder.1.se", 8)]
    assert places("se_unet", SqueezeExcitation) == after_joining
    assert places("cbam_unet", Cbam) == after_joining
    in_encoder = [("encoder.1.0", 8), ("encoder.2.0", 16)]
    assert places("full_se_unet", SqueezeExcitation) == [*in_encoder, *after_joining, ("before_head", 8)]
