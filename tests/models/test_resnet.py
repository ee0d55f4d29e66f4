"""The ResNet-50 encoder: names, shapes and strides as published, and what the network around it makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_attnseg.errors import SettingsError
from napari_attnseg.models.device import Compute
from napari_attnseg.models.resnet import Bottleneck, ResNet50
from napari_attnseg.models.unet import UNet, build_model
from napari_attnseg.prediction.tiling import predict_plane
from napari_attnseg.settings import ModelSettings, make
from tests.models.resnet50_state import resnet50_shapes

CPU = Compute(torch.device("cpu"), torch.float32, "CPU")
WIDTHS = (8, 8, 8, 8, 8)


@pytest.fixture(scope="module")
def model() -> UNet:
    torch.manual_seed(0)
    built = build_model(ModelSettings(name="res_se_unet", widths=WIDTHS, in_channels=3, classes=3))
    with torch.no_grad():
        for _ in range(2):  # statistics of batch normalisation that fit the weights
            built(torch.rand(2, 3, 64, 64))
    return built.eval()


def test_names_and_shapes_are_the_published_ones(model: UNet) -> None:
    expected = {name: shape for name, shape in resnet50_shapes().items() if not name.startswith("fc.")}
    assert {name: tuple(value.shape) for name, value in model.encoder.state_dict().items()} == expected


def test_with_the_last_layer_it_has_161_parameters_of_25557032_values(model: UNet) -> None:
    parameters = [*model.encoder.parameters(), *nn.Linear(2048, 1000).parameters()]
    assert len(parameters) == 161
    assert sum(parameter.numel() for parameter in parameters) == 25_557_032


def test_features_halve_from_the_image_to_a_32nd(model: UNet) -> None:
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        features = model.encoder(image)
    sides = [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    channels = (3, 64, 256, 512, 1024, 2048)
    assert [tuple(one.shape) for one in features] == [(1, c, *side) for c, side in zip(channels, sides, strict=True)]
    assert torch.equal(features[0], image)


def test_the_3x3_convolution_has_the_stride(model: UNet) -> None:
    block = Bottleneck(8, 4, stride=2)
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))
    encoder = model.encoder
    assert isinstance(encoder, ResNet50)
    stages = (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)
    assert [stage[0].conv2.stride[0] for stage in stages] == [1, 2, 2, 2]


def test_a_bottleneck_adds_what_went_in() -> None:
    block = Bottleneck(16, 4, stride=1).eval()
    nn.init.zeros_(block.conv3.weight)
    x = torch.randn(1, 16, 5, 5)
    assert torch.allclose(block(x), x.clamp(min=0), atol=1e-6)


def test_tiles_begin_where_features_begin(model: UNet) -> None:
    """Moved by 32 pixels, the image has the same features, moved; moved by 4 it has not. So tiles begin at 32s."""
    image = torch.rand(1, 3, 32, 192)
    with torch.no_grad():
        whole, moved, off = (model.encoder(part)[3] for part in (image, image[..., 32:], image[..., 4:164]))
    here = whole[..., 12:16]
    assert model.divisor == 32
    near = 1e-3 * float(here.abs().max())
    assert torch.allclose(moved[..., 8:12], here, atol=near)
    assert not torch.allclose(off[..., 11:15], here, atol=near)
    assert not torch.allclose(off[..., 12:16], here, atol=near)
    plane = np.random.default_rng(0).random((3, 70, 130), np.float32)
    probability = predict_plane(model, plane, CPU, tile_size=64, overlap=32).probability
    assert probability.shape == (3, 70, 130)
    assert probability.sum(0) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("values", "words"), [({"widths": (8, 16)}, "needs 5 widths"), ({"normalisation": "group"}, "batch normalisation")]
)
def test_what_it_cannot_be_gets_one_sentence(values: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        make(ModelSettings, {"name": "res_se_unet", **values})
    assert "\n" not in str(caught.value)
