"""Images and masks as layers: their data, colours, scale and contrast, in memory and lazily."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_attnseg.data.classes import ClassEntry, make_classes
from napari_attnseg.data.tiff import read_info
from napari_attnseg.viewer.layers import image_layers as module
from napari_attnseg.viewer.layers.image_layers import contrast_limits, image_layers, mask_layer, placement

RNG = np.random.default_rng(1)
KEY = "napari_attnseg"


@pytest.fixture(params=[False, True], ids=["in memory", "lazy"])
def lazily(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Run a test with the image in memory, and again opened lazily; files are closed afterwards."""
    opened: list[Any] = []
    open_lazily = module.open_lazily

    def keep(path: Path, axes: str | None) -> Any:
        opened.append(open_lazily(path, axes))
        return opened[-1]

    monkeypatch.setattr(module, "open_lazily", keep)
    if request.param:
        monkeypatch.setattr(module, "is_large", lambda info: True)
    yield request.param
    assert bool(opened) == request.param
    for image in opened:
        image.close()


def write(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **({"photometric": "minisblack", "compression": "zlib"} | options))
    return path


def test_grey_image(tmp_path: Path, lazily: bool) -> None:
    pixels = RNG.integers(1000, 4000, (40, 50), dtype=np.uint16)
    path = write(tmp_path / "größe 1.ome.tif", pixels)
    ((data, options, kind),) = image_layers(path)
    layer = Image(data, **options)
    assert kind == "image"
    assert layer.name == "größe 1"
    assert layer.colormap.name == "gray"
    np.testing.assert_array_equal(np.asarray(layer.data), pixels)
    note = layer.metadata[KEY]
    assert (note["image"], note["role"], note["channel"]) == (str(path), "image", 0)
    assert (note["lazy"] is not None) == lazily
    low, high = layer.contrast_limits
    assert 1000 <= low < 1020
    assert 3980 < high < 4000


def test_a_layer_for_each_channel(tmp_path: Path, lazily: bool) -> None:
    pixels = RNG.integers(0, 255, (3, 2, 40, 50), dtype=np.uint8)
    pixels[:, 1] //= 4
    metadata = {
        "axes": "ZCYX",
        "Channel": {"Name": ["DAPI", "actin"]},
        "PhysicalSizeX": 0.5,
        "PhysicalSizeY": 0.5,
        "PhysicalSizeZ": 2.0,
    }
    path = write(tmp_path / "cell.ome.tif", pixels, metadata=metadata)
    layers = [Image(data, **options) for data, options, _ in image_layers(path)]
    assert [layer.name for layer in layers] == ["cell [DAPI]", "cell [actin]"]
    assert [layer.blending for layer in layers] == ["translucent", "additive"]
    assert len({layer.colormap.name for layer in layers}) == 2
    for channel, layer in enumerate(layers):
        np.testing.assert_array_equal(np.asarray(layer.data), pixels[:, channel])
        assert layer.metadata[KEY]["channel"] == channel
        assert layer.scale.tolist() == [2.0, 0.5, 0.5]
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3
        assert layer.axis_labels == ("z", "y", "x")
    assert layers[0].contrast_limits[1] > 250
    assert layers[1].contrast_limits[1] < 64


def test_rgb_is_one_layer(tmp_path: Path, lazily: bool) -> None:
    pixels = RNG.integers(0, 255, (40, 50, 4), dtype=np.uint8)
    path = write(tmp_path / "cell.tif", pixels, photometric="rgb", extrasamples=["unassalpha"])
    ((data, options, _),) = image_layers(path)
    layer = Image(data, **options)
    assert layer.rgb
    assert layer.ndim == 2
    np.testing.assert_array_equal(np.asarray(layer.data), pixels[..., :3])


def test_rgb_of_12_bits_is_as_bright_as_meant(tmp_path: Path, lazily: bool) -> None:
    pixels = RNG.integers(0, 4096, (40, 50, 3), dtype=np.uint16)
    ((data, options, _),) = image_layers(write(tmp_path / "cell.tif", pixels, photometric="rgb"))
    layer = Image(data, **options)
    shown = np.asarray(layer.data)
    assert shown.dtype == np.uint8
    assert np.abs(shown.astype(float) - pixels / 4095 * 255).max() <= 1


@pytest.mark.parametrize("kind", [np.bool_, np.float16, np.int16, np.float64])
def test_number_types_that_napari_does_not_draw_are_turned_into_ones_that_it_does(
    tmp_path: Path, lazily: bool, kind: type
) -> None:
    pixels = (RNG.integers(0, 2, (40, 50)) if kind is np.bool_ else RNG.normal(0, 50, (40, 50))).astype(kind)
    ((data, options, _),) = image_layers(write(tmp_path / "cell.tif", pixels))
    layer = Image(data, **options)
    np.testing.assert_array_equal(np.asarray(layer.data), pixels)
    ViewerModel().add_layer(layer)
    assert layer._slice.image.view.shape == (40, 50)
    assert layer.contrast_limits[0] < layer.contrast_limits[1]


def test_large_colours_show_what_is_filled_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_large", lambda info: True)
    pixels = RNG.integers(0, 4096, (64, 4200, 3), dtype=np.uint16)
    path = write(tmp_path / "wide.tif", pixels, photometric="rgb", tile=(32, 32))
    ((data, options, _),) = image_layers(path)
    layer = Image(data, **options)
    assert layer.multiscale
    coarse = layer.data[1]
    assert not np.asarray(coarse[:]).any()
    lazy = layer.metadata[KEY]["lazy"]
    assert lazy.fill_overview()
    expected = pixels[::2, ::2] / 4095 * 255
    assert np.abs(np.asarray(coarse[:]).astype(float) - expected).max() <= 1
    lazy.close()


def test_axes_chosen_by_the_user(tmp_path: Path) -> None:
    path = write(tmp_path / "cell.tif", RNG.integers(0, 255, (3, 40, 50), dtype=np.uint8))
    assert len(image_layers(path)) == 3
    ((data, options, _),) = image_layers(path, "TYX")
    assert data.shape == (3, 40, 50)
    assert options["axis_labels"] == ("t", "y", "x")


def test_scale_without_a_unit_keeps_the_proportions(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    metadata = {"axes": "ZYX", "spacing": 6.0}
    stack = np.zeros((3, 40, 50), np.uint8)
    tifffile.imwrite(path, stack, imagej=True, metadata=metadata, resolution=(0.5, 0.5))
    found = placement(read_info(path))
    assert found["units"] == ("pixel", "pixel", "pixel")
    assert found["scale"] == (3.0, 1.0, 1.0)
    tifffile.imwrite(path, stack, imagej=True, metadata={**metadata, "unit": "um"}, resolution=(0.5, 0.5))
    found = placement(read_info(path))
    assert found["units"] == ("micrometer",) * 3
    assert found["scale"] == (6.0, 2.0, 2.0)


def test_contrast_of_special_images() -> None:
    assert contrast_limits(np.zeros(9, np.uint8)) == (0.0, 1.0)
    assert contrast_limits(np.full(9, 7, np.uint16)) == (0.0, 7.0)
    assert contrast_limits(np.array([np.nan, np.inf, 1.0, 3.0])) == pytest.approx((1.0, 3.0), abs=0.01)
    assert contrast_limits(np.array([np.nan])) == (0.0, 1.0)
    spotted = np.zeros(10_000, np.uint16)
    spotted[:3] = 900
    assert contrast_limits(spotted) == (0.0, 900.0)


def test_mask_of_classes_has_their_colours(tmp_path: Path) -> None:
    path = write(tmp_path / "cell.tif", np.zeros((40, 50), np.uint8))
    classes = make_classes([ClassEntry(1, "liver", "#ff0000", 63), ClassEntry(2, "bone", "#00ff00", 126)], path)
    labels = np.zeros((40, 50), np.uint8)
    data, options, kind = mask_layer(labels, read_info(path), classes, "classes", "cell_MASK", path)
    layer = Labels(data, **options)
    assert kind == "labels"
    assert layer.name == "cell_MASK"
    assert layer.opacity == 0.5
    assert np.shares_memory(layer.data, labels)
    assert layer.get_color(1).tolist() == [1, 0, 0, 1]
    assert layer.get_color(2).tolist() == [0, 1, 0, 1]
    background = layer.get_color(0)
    assert background is None or background[3] == 0
    assert layer.get_color(9)[3] == 1
    assert layer.features["name"].tolist() == ["background", "liver", "bone"]
    assert layer.metadata[KEY] == {"image": str(path), "role": "mask", "channel": 0, "classes": classes}


def test_mask_of_numbered_objects_has_a_colour_for_each(tmp_path: Path) -> None:
    path = write(tmp_path / "cell.tif", np.zeros((40, 50), np.uint8))
    labels = np.arange(2000, dtype=np.uint16).reshape((40, 50))
    classes = make_classes([ClassEntry(1, "object", "#ff0000", 1)], path)
    layer = Labels(labels, **mask_layer(labels, read_info(path), classes, "instances", "m", path)[1])
    colours = {tuple(layer.get_color(number)) for number in range(1, 20)}
    assert len(colours) > 15
