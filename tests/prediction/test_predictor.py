"""The predictor: what it gives for planes, stacks, RGB and several classes, and what it writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from napari_attnseg.data import tiff
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import DataError, ModelFileError, SettingsError
from napari_attnseg.models.model_file import ModelCard, save_model
from napari_attnseg.models.unet import build_model
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.tiling import Stopped
from napari_attnseg.prediction.writing import write_prediction
from napari_attnseg.settings import DataSettings, ModelSettings, PredictionSettings, make
from napari_attnseg.training.scoring import score_pair

BINARY = MaskConvention("binary", {0: 0, 255: 1}, ("background", "nucleus"))
GREYS = MaskConvention("classes", {0: 0, 63: 1, 126: 2, 252: 3}, ("background", "liver", "kidney", "spleen"))


def model(
    path: Path,
    masks: MaskConvention = BINARY,
    channels: int = 1,
    name: str = "attention_se_unet",
    data: DataSettings | None = None,
) -> Path:
    """Write a network as it is before training, three levels deep."""
    classes = 1 if masks.n_classes == 2 else masks.n_classes
    settings = make(ModelSettings, {"name": name, "widths": (8, 16, 16), "in_channels": channels, "classes": classes})
    torch.manual_seed(1)
    card = ModelCard(model=settings, data=data or DataSettings(), masks=masks.to_dict(), patch_size=32)
    save_model(path, build_model(settings), card)
    return path


def predictor(path: Path, **values: object) -> Predictor:
    return Predictor(path, make(PredictionSettings, {"device": "cpu", **values}))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4096, shape, np.uint16)


def test_a_plane(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(45, 61))
    found = predictor(model(tmp_path / "m.safetensors"), probability=True, attention=True).predict_file(
        tmp_path / "a.tif"
    )
    assert found.labels.shape == (1, 45, 61)
    assert found.labels.dtype == np.uint8
    assert found.probability is not None
    assert found.attention is not None
    assert found.probability.shape == (1, 1, 45, 61)
    assert found.attention.shape == (1, 2, 45, 61)
    for values in (found.probability, found.attention):
        assert values.dtype == np.float32
        assert 0 <= values.min() <= values.max() <= 1
    assert np.array_equal(found.labels, found.probability[:, 0] > 0.5)


def test_an_image_that_is_rewritten_while_it_is_read_gives_neither_mask_nor_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, understood = tmp_path / "a.tif", tiff.describe
    tifffile.imwrite(path, noise(45, 61))
    tifffile.imwrite(tmp_path / "a_MASK.tif", np.zeros((45, 61), np.uint8))
    one = predictor(model(tmp_path / "m.safetensors"))
    assert one.predict_file(path).labels.shape == (1, 45, 61)

    times = iter(range(1, 1000))  # not that of the clock, which may tick too slowly for a test

    def describe(*args: Any) -> tiff.ImageInfo:
        tifffile.imwrite(path, noise(45, 61) + 1)
        os.utime(path, ns=(0, next(times)))
        return understood(*args)

    monkeypatch.setattr(tiff, "describe", describe)
    with pytest.raises(DataError, match=r"a\.tif was changed while it was being read"):
        one.predict_file(path)
    with pytest.raises(DataError, match=r"a\.tif was changed while it was being read"):
        score_pair(one, Pair(path, tmp_path / "a_MASK.tif"), BINARY, lambda: False)


def test_nothing_that_was_not_asked_for(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(32, 32))
    one = predictor(model(tmp_path / "m.safetensors"))
    found = one.predict_file(tmp_path / "a.tif")
    assert found.probability is None
    assert found.attention is None
    assert [path.name for path in write_prediction(one.card, found, tmp_path)] == ["a_PRED.tif"]


def test_classes_sum_to_one_and_are_written_in_their_greys(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(40, 40))
    one = predictor(model(tmp_path / "m.safetensors", GREYS), probability=True)
    found = one.predict_file(tmp_path / "a.tif")
    assert found.probability is not None
    assert found.probability.shape == (1, 4, 40, 40)
    assert np.allclose(found.probability.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(found.labels, found.probability.argmax(axis=1))
    mask, probability = write_prediction(one.card, found, tmp_path)
    assert np.array_equal(tifffile.imread(mask), np.array([0, 63, 126, 252], np.uint8)[found.labels[0]])
    written = read_info(probability)
    assert (written.axes, written.shape, written.dtype) == ("CYX", (4, 40, 40), "float32")


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "TZYX"])
def test_stacks_keep_axes_and_pixel_size(tmp_path: Path, axes: str) -> None:
    shape = {"ZYX": (3, 40, 36), "TYX": (3, 40, 36), "TZYX": (2, 3, 40, 36)}[axes]
    tifffile.imwrite(
        tmp_path / "s.tif",
        noise(*shape),
        imagej=True,
        resolution=(4.0, 2.0),
        metadata={"axes": axes, "spacing": 0.7, "unit": "um"},
    )
    one = predictor(model(tmp_path / "m.safetensors"), probability=True, attention=True)
    found = one.predict_file(tmp_path / "s.tif")
    planes = int(np.prod(shape[:-2]))
    assert found.labels.shape == (planes, 40, 36)
    image = read_info(tmp_path / "s.tif")
    assert image.pixel_size == pytest.approx((0.5, 0.25))
    written = {path.name: path for path in write_prediction(one.card, found, tmp_path / ".")}
    assert set(written) == {"s_PRED.tif", "s_PROB.tif", "s_ATTN.tif"}
    for name, path in written.items():
        info = read_info(path)
        assert (info.pixel_size, info.z_spacing, info.unit) == (image.pixel_size, image.z_spacing, image.unit)
        assert info.stack_axes == image.stack_axes
        assert info.n_planes == planes
        assert info.channels == {"s_PRED.tif": 1, "s_PROB.tif": 1, "s_ATTN.tif": 2}[name]
    assert np.array_equal(read_image(written["s_PRED.tif"]).pixels[:, 0] > 0, found.labels > 0)
    assert found.attention is not None
    assert np.array_equal(read_image(written["s_ATTN.tif"]).pixels, found.attention)


def test_each_plane_of_a_stack_is_predicted_as_if_alone_but_scaled_with_the_stack(tmp_path: Path) -> None:
    stack = noise(2, 40, 36)
    stack[1] = stack[0]
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    found = predictor(model(tmp_path / "m.safetensors"), probability=True).predict_file(tmp_path / "s.tif")
    assert found.probability is not None
    assert np.array_equal(found.probability[0], found.probability[1])


def test_rgb_gives_one_mask_without_colour(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", noise(40, 36, 3).astype(np.uint8), photometric="rgb")
    one = predictor(model(tmp_path / "m.safetensors", channels=3), probability=True)
    found = one.predict_file(tmp_path / "c.tif")
    assert found.labels.shape == (1, 40, 36)
    assert read_info(write_prediction(one.card, found, tmp_path)[0]).axes == "YX"


def test_a_grey_model_says_what_to_do_with_rgb_and_does_it(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", noise(40, 36, 3).astype(np.uint8), photometric="rgb")
    path = model(tmp_path / "m.safetensors")
    with pytest.raises(DataError, match=r"c\.tif has 3 channels.*--channels grey"):
        predictor(path).predict_file(tmp_path / "c.tif")
    assert predictor(path, channels="grey").predict_file(tmp_path / "c.tif").labels.shape == (1, 40, 36)


def test_attention_is_given_deepest_gate_first(tmp_path: Path) -> None:
    """A gate's map has half or a quarter of the resolution: the deeper, the smoother it is at image size."""
    tifffile.imwrite(tmp_path / "a.tif", noise(64, 64))
    found = predictor(model(tmp_path / "m.safetensors"), attention=True).predict_file(tmp_path / "a.tif")
    assert found.attention is not None
    deep, fine = found.attention[0]
    assert roughness(deep) < roughness(fine)


def roughness(values: np.ndarray) -> float:
    """Second differences along x, as a share of the spread."""
    return float(np.abs(np.diff(values, 2, axis=-1)).mean() / values.std())


def test_a_model_without_gates_writes_no_attention(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(32, 32))
    one = predictor(model(tmp_path / "m.safetensors", name="unet"), attention=True)
    assert not one.has_attention
    found = one.predict_file(tmp_path / "a.tif")
    assert [path.name for path in write_prediction(one.card, found, tmp_path)] == ["a_PRED.tif"]


def test_threshold_small_objects_and_holes(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(64, 64))
    path = model(tmp_path / "m.safetensors")
    plain = predictor(path, probability=True).predict_file(tmp_path / "a.tif")
    assert plain.probability is not None
    middle = float(np.median(plain.probability))
    some = predictor(path, threshold=middle).predict_file(tmp_path / "a.tif").labels
    assert np.array_equal(some, plain.probability[:, 0] > middle)
    assert not predictor(path, threshold=middle, min_size=64 * 64).predict_file(tmp_path / "a.tif").labels.any()
    filled = predictor(path, threshold=middle, fill_holes=True).predict_file(tmp_path / "a.tif").labels
    assert filled.sum() > some.sum()
    assert not (some & ~filled).any()


def test_progress_runs_from_0_to_1_and_a_stop_is_heard(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", noise(3, 150, 100), imagej=True, metadata={"axes": "ZYX"})
    one = predictor(model(tmp_path / "m.safetensors"), tile_size=64, overlap=16)
    shares: list[float] = []
    one.predict_file(tmp_path / "s.tif", shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 3
    with pytest.raises(Stopped):
        one.predict_file(tmp_path / "s.tif", should_stop=lambda: True)


def test_objects_counted_one_by_one_come_out_as_0_and_255(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(32, 32))
    one = predictor(model(tmp_path / "m.safetensors", MaskConvention("instances", {0: 0}, ("background", "object"))))
    written = write_prediction(one.card, one.predict_file(tmp_path / "a.tif"), tmp_path)[0]
    assert set(np.unique(tifffile.imread(written))) <= {0, 255}


def test_a_wrong_device_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model file"):
        predictor(tmp_path / "no.safetensors")
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="cuda"):
            predictor(model(tmp_path / "m.safetensors"), device="cuda")
