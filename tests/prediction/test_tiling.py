"""Tiles: they cover the plane, blend without a seam, and agree with the whole image."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet, build_model
from napari_attnseg.prediction.labels import to_labels
from napari_attnseg.prediction.tiling import Stopped, predict_plane, starts, tiles
from napari_attnseg.settings import ModelSettings

CPU = Compute(torch.device("cpu"), torch.float32, "CPU")


def network(name: str = "unet", **values: object) -> UNet:
    torch.manual_seed(0)
    model = build_model(ModelSettings.model_validate({"name": name, "widths": (8, 16, 32), **values}))
    with torch.no_grad():
        for _ in range(5):
            model(torch.rand(2, model.settings.in_channels, 32, 32))
    return model.eval()


@pytest.mark.parametrize("length", [1, 63, 64, 65, 100, 129, 1000])
@pytest.mark.parametrize("overlap", [0, 16, 32])
def test_tiles_cover_everything_and_overlap_enough(length: int, overlap: int) -> None:
    found = starts(length, 64, overlap)
    on_grid = starts(-(-length // 8) * 8, 64, overlap, 8)
    assert all(start % 8 == 0 for start in on_grid)
    assert all(b - a <= 64 - overlap for a, b in itertools.pairwise(on_grid))
    assert found[0] == 0
    assert found[-1] + 64 >= length
    assert found[-1] + min(64, length) == length
    assert all(b - a <= 64 - overlap for a, b in itertools.pairwise(found))


def test_tiles_of_a_small_plane_are_the_plane() -> None:
    (tile,) = tiles(30, 50, 64, 16)
    assert (tile.y, tile.x, tile.height, tile.width) == (0, 0, 30, 50)


@pytest.mark.parametrize(("name", "tolerance"), [("unet", 0.03), ("attention_se_unet", 0.08)])
def test_tiled_equals_whole_prediction(name: str, tolerance: float) -> None:
    """Within 0.03 of probability for a net that sees its surroundings only, 0.08 for SE, which sees the whole tile."""
    model = network(name, classes=3)
    plane = np.random.default_rng(0).random((1, 150, 201), np.float32)
    whole = predict_plane(model, plane, CPU, tile_size=512, overlap=0)
    tiled = predict_plane(model, plane, CPU, tile_size=96, overlap=48, batch_size=3)
    difference = np.abs(whole.probability - tiled.probability)
    assert difference.max() < tolerance
    assert difference.mean() < tolerance / 10
    assert tiled.probability.sum(0) == pytest.approx(1, abs=1e-4)


def test_attention_has_the_planes_size_and_range() -> None:
    plane = np.random.default_rng(0).random((1, 70, 131), np.float32)
    result = predict_plane(network("attention_se_unet"), plane, CPU, tile_size=64, overlap=16, attention=True)
    assert result.attention is not None
    assert result.attention.shape == (2, 70, 131)
    assert 0 <= result.attention.min() <= result.attention.max() <= 1 + 1e-6
    assert predict_plane(network("attention_se_unet"), plane, CPU).attention is None


def test_progress_is_told_and_a_stop_is_heeded() -> None:
    plane = np.zeros((1, 200, 200), np.float32)
    seen: list[tuple[int, int]] = []
    predict_plane(network(), plane, CPU, tile_size=64, overlap=0, batch_size=5, on_tiles=lambda *n: seen.append(n))
    assert seen[-1] == (16, 16)
    assert len(seen) == 4
    with pytest.raises(Stopped):
        predict_plane(network(), plane, CPU, tile_size=64, overlap=0, should_stop=lambda: True)


def test_labels_from_probability() -> None:
    binary = np.array([[[0.2, 0.5, 0.7]]], np.float32)
    assert to_labels(binary).tolist() == [[0, 0, 1]]
    assert to_labels(binary, 0.1).tolist() == [[1, 1, 1]]
    several = np.array([[[0.5, 0.1]], [[0.3, 0.2]], [[0.2, 0.7]]], np.float32)
    assert to_labels(several).tolist() == [[0, 2]]


class HalfBroken(UNet):
    """A network on a GPU whose 16-bit numbers are none, and on request those of 32 bits too."""

    is_broken = False

    def forward_with_attention(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        logits, maps = super().forward_with_attention(x)
        in_half = torch.is_autocast_enabled("cpu")
        return logits * float("nan") if in_half or self.is_broken else logits, maps


@pytest.mark.parametrize("turned", [False, True])
def test_what_is_no_number_in_16_bits_is_predicted_in_float32(turned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    doubtful = property(lambda self: self.dtype != torch.float32 and not self.half.fails)  # here a GPU would be it
    monkeypatch.setattr(Compute, "is_doubtful", doubtful)
    torch.manual_seed(0)
    net = HalfBroken(network().settings).eval()
    plane = np.random.default_rng(0).random((1, 40, 40), np.float32)
    compute, told = Compute(torch.device("cpu"), torch.bfloat16, "GPU"), []
    compute.half.tell = told.append
    net.is_broken = True
    predict_plane(net, plane, compute, turned=turned)
    assert not compute.half.fails, "it is the network"
    net.is_broken = False
    found = [predict_plane(net, plane, compute, turned=turned).probability for _ in range(2)]
    expected = predict_plane(net, plane, CPU, turned=turned).probability
    assert all(np.array_equal(one, expected) for one in found)
    assert len(told) == 1
    assert "in bfloat16, so images are predicted in float32 from now on" in told[0]
