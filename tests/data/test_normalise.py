"""Intensities against NumPy's own percentiles."""

from __future__ import annotations

import numpy as np
import pytest

from napari_attnseg.data.normalise import finite_mask, normalise, to_grey
from napari_attnseg.settings import DataSettings

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 33, 31), (3, 2, 40, 50), (1, 3, 301, 299)])
def test_percentiles_of_each_channel(dtype, shape):
    pixels = (RNG.random(shape) * 200 + np.arange(shape[1])[:, None, None] * 20).astype(dtype)
    settings = DataSettings(low_percentile=1, high_percentile=97.3)
    scaled = normalise(pixels, settings)
    assert scaled.dtype == np.float32
    assert scaled.shape == shape
    for channel in range(shape[1]):
        values = pixels[:, channel].astype(float)
        low, high = np.percentile(values, (1, 97.3))
        np.testing.assert_allclose(scaled[:, channel], ((values - low) / (high - low)).clip(0, 1), atol=2e-5)


def test_other_ranges():
    pixels = np.array([[[[10, 20], [30, 110]]]], np.uint8)
    np.testing.assert_allclose(normalise(pixels, DataSettings(normalisation="minmax"))[0, 0], [[0, 0.1], [0.2, 1]])
    np.testing.assert_allclose(normalise(pixels, DataSettings(normalisation="dtype")), pixels / np.float32(255))
    real = np.array([[[[-1.0, 0.25], [0.5, 3.0]]]])
    np.testing.assert_allclose(normalise(real, DataSettings(normalisation="dtype"))[0, 0], [[0, 0.25], [0.5, 1]])


@pytest.mark.parametrize("how", ["percentile", "minmax"])
@pytest.mark.parametrize("value", [0, 7, np.nan, np.inf, 1e38])
def test_constant_channels_become_zero(how, value):
    pixels = np.full((1, 2, 20, 20), value, np.float32)
    pixels[:, 1] = RNG.random((20, 20))
    scaled = normalise(pixels, DataSettings(normalisation=how))
    assert not scaled[:, 0].any()
    assert scaled[:, 1].max() == 1


def test_sparse_signal_is_not_lost():
    pixels = np.zeros((1, 1, 100, 100), np.uint16)
    pixels[0, 0, 5, 5] = 1000  # fewer than the highest percentile leaves out
    assert normalise(pixels, DataSettings())[0, 0, 5, 5] == 1


def test_no_number_becomes_zero_and_is_marked():
    pixels = RNG.random((2, 3, 20, 20)).astype(np.float32)
    pixels[0, 1, 2, 3], pixels[1, 0, 4, 5], pixels[1, 2, 6, 7] = np.nan, np.inf, -np.inf
    scaled = normalise(pixels, DataSettings())
    assert np.isfinite(scaled).all()
    assert scaled[0, 1, 2, 3] == scaled[1, 0, 4, 5] == scaled[1, 2, 6, 7] == 0
    valid = finite_mask(pixels)
    assert np.argwhere(~valid).tolist() == [[0, 2, 3], [1, 4, 5], [1, 6, 7]]
    assert finite_mask(scaled) is None
    assert finite_mask(np.zeros((1, 1, 2, 2), np.uint8)) is None


def test_grey_of_rgb():
    pixels = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8).T.reshape(1, 3, 2, 2)
    grey = to_grey(pixels)
    assert grey.dtype == np.uint8
    assert grey.shape == (1, 1, 2, 2)
    assert grey.ravel().tolist() == [54, 182, 18, 255]
    assert to_grey(grey) is grey
    with pytest.raises(ValueError, match="not 2"):
        to_grey(pixels[:, :2])
