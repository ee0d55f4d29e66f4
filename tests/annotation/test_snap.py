"""A click grows to the object under it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_attnseg.annotation.corrections.snap import snap
from napari_attnseg.errors import DataError

SAMPLES = Path(__file__).parents[2] / "sample_data"


def disc(shape: tuple[int, int], centre: tuple[int, int], radius: float) -> np.ndarray:
    y, x = np.indices(shape)
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def noisy(truth: np.ndarray, inside: float, outside: float, noise: float = 4) -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.where(truth, inside, outside) + rng.normal(0, noise, truth.shape)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize(("inside", "outside"), [(180, 40), (40, 180)])
def test_a_bright_or_dark_disc_is_found(dtype: type, inside: float, outside: float) -> None:
    truth = disc((120, 140), (60, 50), 17)
    image: np.ndarray = noisy(truth, inside, outside).astype(dtype)
    before = image.copy()
    mask = snap(image, (63, 46), tolerance=None)
    assert mask.dtype == bool
    assert mask.shape == (120, 140)
    assert overlap(mask, truth) > 0.9
    assert np.array_equal(image, before)


def test_an_object_that_is_a_speck_in_its_window_is_found() -> None:
    truth = disc((400, 400), (200, 210), 6)
    assert overlap(snap(noisy(truth, 150, 50), (200, 210), tolerance=None), truth) > 0.8


def test_colours_of_equal_brightness_are_told_apart() -> None:
    truth = disc((100, 100), (50, 50), 20)
    image = np.stack([noisy(truth, 160, 80), noisy(truth, 80, 160), noisy(truth, 90, 90)], axis=-1)
    assert abs(image.mean(axis=-1)[truth].mean() - image.mean(axis=-1)[~truth].mean()) < 1
    assert overlap(snap(image.astype(np.uint8), (45, 55), tolerance=None), truth) > 0.9


def test_holes_are_filled_and_a_neighbour_on_a_thread_is_left_out() -> None:
    own, other = disc((100, 160), (50, 50), 20), disc((100, 160), (50, 110), 20)
    image = np.where(own | other, 200.0, 20.0)
    image[disc(image.shape, (45, 45), 2)] = 20
    image[49:52, 65:95] = 200
    mask = snap(image, (55, 55), tolerance=None)
    assert mask[45, 45]
    assert not mask[50, 110]
    assert overlap(mask, own) > 0.9


def test_the_tolerance_decides_how_far_it_goes() -> None:
    image = np.full((60, 90), 10.0)
    image[20:40, 10:30], image[20:40, 30:50], image[20:40, 50:70] = 100, 85, 60
    areas = [int(snap(image, (30, 20), tolerance=part, smooth=0).sum()) for part in (0.05, 0.3, 0.6, 1.0)]
    assert areas == sorted(areas)
    for area, columns in zip(areas, (20, 40, 60), strict=False):
        assert area == pytest.approx(20 * columns, rel=0.08)
    assert areas[-1] == image.size


def test_only_the_window_around_the_click_is_taken() -> None:
    image = np.tile(np.array([0.0, 0.001]), (100, 50))
    image[0, 0] = 1
    mask = snap(image, (50, 50), tolerance=1.0, max_radius=10)
    assert mask[40:61, 40:61].any()
    mask[40:61, 40:61] = False
    assert not mask.any()


def test_an_object_at_the_corner_of_the_image_is_not_rounded_there() -> None:
    truth = np.zeros((90, 90), bool)
    truth[:20, :30] = True
    mask = snap(noisy(truth, 180, 40), (8, 8), tolerance=None)
    assert mask[0, :25].all()
    assert overlap(mask, truth) > 0.9


def test_it_does_not_leak_over_the_window() -> None:
    truth = disc((200, 200), (100, 100), 15)
    image = ndimage.gaussian_filter(noisy(truth, 120, 60, noise=0), 6) + np.indices((200, 200))[1] * 0.1
    assert 0.4 < snap(image, (100, 100), tolerance=None).sum() / truth.sum() < 2.5


def test_missing_values_are_no_part_of_it() -> None:
    truth = disc((100, 100), (50, 50), 20)
    image = noisy(truth, 180, 40).astype(np.float32)
    image[:, 60:] = np.nan
    image[10, 10] = np.inf
    mask = snap(image, (50, 48), tolerance=None)
    assert not mask[:, 60:].any()
    assert overlap(mask, truth & np.isfinite(image)) > 0.85
    with pytest.raises(DataError, match=r"no value \(NaN\)"):
        snap(image, (50, 70), tolerance=None)


def test_numbers_too_large_for_single_precision_are_left_out() -> None:
    truth = disc((60, 60), (30, 30), 12)
    image = noisy(truth, 180, 40)
    image[0, 0] = 1e300
    assert overlap(snap(image, (30, 30), tolerance=None), truth) > 0.9


def test_a_click_that_finds_nothing_is_told() -> None:
    with pytest.raises(DataError, match="outside the image"):
        snap(np.zeros((5, 5)), (5, 0), tolerance=None)
    with pytest.raises(DataError, match="same value everywhere"):
        snap(np.full((30, 30), 7, np.uint8), (5, 5), tolerance=0.2)
    background = np.zeros((60, 60))
    background[5:9, 5:9] = 1
    with pytest.raises(DataError, match="No region with a clear outline"):
        snap(background, (40, 40), tolerance=None, smooth=0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        snap(background, (40, 40), tolerance=1.5)


@pytest.mark.parametrize(
    ("images", "floor"),
    [("nuclei/train/fluorescence0[23].tiff", 0.65), ("organs/subject0[12]_z1*[15].tiff", 0.55)],
)
def test_the_centres_of_objects_in_the_sample_data(images: str, floor: float) -> None:
    """The mean overlap with the true objects over all of them, the merged and the faint ones too, has a floor."""
    overlaps = []
    for path in sorted(SAMPLES.glob(images)):
        image, truth = tifffile.imread(path), tifffile.imread(path.with_name(f"{path.stem}_MASK.tiff"))
        for value in np.unique(truth[truth > 0]):
            numbered, count = ndimage.label(truth == value, np.ones((3, 3)))
            for number in range(1, count + 1):
                own = numbered == number
                if own.sum() >= 30:
                    depth = ndimage.distance_transform_edt(own)
                    y, x = np.unravel_index(depth.argmax(), depth.shape)
                    overlaps.append(overlap(snap(image, (int(y), int(x)), tolerance=None), own))
    assert len(overlaps) >= 10
    assert np.mean(overlaps) > floor


def test_importing_the_corrections_loads_no_heavy_library() -> None:
    names = "planes, interpolate, snap"
    code = (
        f"import sys; from napari_attnseg.annotation.corrections import {names}; "
        "print([name for name in ('scipy', 'skimage', 'torch', 'tifffile') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
