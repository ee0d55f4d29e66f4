"""What the prediction of large images is made of: intensities, blending, tidying, the tiling that is fastest."""

from __future__ import annotations

import itertools
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from benchmarks.quality.seams import seams, step_ratio
from napari_attnseg.data import file_state
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.lazy import opened_pixels
from napari_attnseg.data.normalise import channel_range
from napari_attnseg.data.part_ranges import PartRanges
from napari_attnseg.errors import ChangedError, SettingsError
from napari_attnseg.models.device import Compute
from napari_attnseg.prediction import tidy_strips, tile_input
from napari_attnseg.prediction.grid import axes_of
from napari_attnseg.prediction.postprocess import tidy
from napari_attnseg.prediction.row_blend import RowBlend
from napari_attnseg.prediction.tile_input import TileInput
from napari_attnseg.prediction.tiling import predict_plane
from napari_attnseg.prediction.to_files import predict_to_files
from napari_attnseg.prediction.tuning import fastest, found_tiling
from napari_attnseg.settings import DataSettings, make
from tests.prediction.test_predictor import BINARY, GREYS, model, noise, predictor
from tests.prediction.test_tiling import network

CPU = Compute(torch.device("cpu"), torch.float32, "CPU")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("normalisation", ["percentile", "minmax", "dtype"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", "bool"])
def test_intensities_from_parts_are_those_of_the_whole(
    dtype: str, normalisation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("normalise", "part_ranges"):
        monkeypatch.setattr(f"napari_attnseg.data.{module}.MOST_SAMPLED", 700)  # so that not all pixels are looked at
    monkeypatch.setattr("napari_attnseg.data.normalise._COUNTED_AT_ONCE", 60)
    values = RNG.normal(120, 60, (2, 2, 37, 53)).clip(0, 255).astype(dtype)
    if values.dtype.kind == "f":
        values[0, 0, :5, :5] = np.nan
        values[1, 1, 3, 3] = np.inf
    settings = make(DataSettings, {"normalisation": normalisation})
    gathered = PartRanges((2, 37, 53), 2, values.dtype, settings)
    for plane, top, left in itertools.product(range(2), range(0, 37, 10), range(0, 53, 11)):
        gathered.add(values[plane, :, top : top + 10, left : left + 11], plane, top, left)
    expected = [channel_range(values[:, channel], settings) for channel in range(2)]
    assert np.allclose(gathered.ranges(), expected, rtol=1e-12)


def test_a_large_part_is_counted_some_values_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy makes 8 bytes of each of them."""
    bincount, lengths = np.bincount, []

    def counted(values: np.ndarray, **options: int) -> np.ndarray:
        lengths.append(len(values))
        return bincount(values, **options)

    monkeypatch.setattr(np, "bincount", counted)
    part = RNG.integers(0, 255, (1, 2000, 1500), np.uint8)
    gathered = PartRanges((1, 2000, 1500), 1, part.dtype, make(DataSettings, {"normalisation": "minmax"}))
    gathered.add(part, 0, 0, 0)
    assert gathered.ranges() == ((0.0, 254.0),)
    assert sum(lengths) == part.size // 2, "bytes go two at a time"
    assert max(lengths) <= 2**20


@pytest.mark.parametrize(("most", "expected"), [(2**40, 16), (100_000, 4), (1, 1)])
def test_as_many_parts_are_looked_at_at_once_as_memory_is_meant_for(
    tmp_path: Path, most: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where planes are one piece, a part is a plane: here of 40 x 100 pixels of 2 bytes, for which 6 are reckoned."""
    tifffile.imwrite(tmp_path / "a.tif", noise(9, 40, 100), imagej=True, metadata={"axes": "ZYX"})
    asked: list[int] = []
    pool = tile_input.ThreadPoolExecutor
    monkeypatch.setattr(tile_input, "ThreadPoolExecutor", lambda threads: (asked.append(threads), pool(threads))[1])
    monkeypatch.setattr(tile_input, "_MOST_LOOKED_AT", most)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    with opened_pixels(tmp_path / "a.tif") as (info, lazy):
        found = TileInput(info, lazy, DataSettings()).find_ranges()
        assert np.allclose(found, [channel_range(np.asarray(lazy[:]), DataSettings())])
    assert asked == [expected]


def test_a_constant_channel_and_pixels_that_do_not_count() -> None:
    settings = DataSettings()
    part = np.zeros((1, 4, 4), np.uint8)
    gathered = PartRanges((1, 4, 4), 1, part.dtype, settings)
    assert gathered.ranges() == ((0.0, 0.0),)
    part[0, 1:] = 7
    gathered.add(part, 0, 0, 0, part[0] > 0)
    assert gathered.ranges() == ((7.0, 7.0),)


@pytest.mark.parametrize("size", [(300, 200), (70, 500), (130, 65), (64, 64), (1, 700), (66, 68)])
@pytest.mark.parametrize("overlap", [0, 16, 32])
def test_blending_row_by_row_is_the_weighted_sum_and_nothing_is_final_twice(
    size: tuple[int, int], overlap: int
) -> None:
    down, across = axes_of(*size, 64, overlap, 8)
    blend = RowBlend(down, across, 2)
    total = np.zeros((2, down.length, across.length))
    final = np.full_like(total, np.nan)
    for row, y in enumerate(down.starts):
        for column, x in enumerate(across.starts):
            said = RNG.random((2, down.tile, across.tile), np.float32)
            window = down.weights[row][:, None] * across.weights[column]
            total[:, y : y + down.tile, x : x + across.tile] += said * window
            (rows, columns), values = blend.add(row, column, said)
            assert np.isnan(final[:, rows, columns]).all()
            final[:, rows, columns] = values
    assert np.abs(final - total).max() < 1e-6
    ones = sum(np.pad(w, (s, down.length - s - down.tile)) for s, w in zip(down.starts, down.weights, strict=True))
    assert np.allclose(ones, 1)


def labels_of(trial: int) -> tuple[np.ndarray, int]:
    """Return class ids with objects from specks to some that go through many strips, and the number of classes."""
    from scipy import ndimage

    rng = np.random.default_rng(trial)
    shape, classes = tuple(rng.integers(1, 90, 2)), int(rng.integers(2, 5))
    values = ndimage.gaussian_filter(rng.random(shape), rng.choice([0.3, 1, 2]))
    return np.digitize(values, np.quantile(values, np.linspace(0, 1, classes + 1)[1:-1])).astype(np.uint8), classes


@pytest.mark.parametrize("broken_off", [False, True])
def test_tidying_strip_by_strip_is_tidying_the_whole(broken_off: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was broken off somewhere and is done again."""
    monkeypatch.setattr(tidy_strips, "STRIP", 13)
    changed = 0
    for trial in range(60):
        labels, classes = labels_of(trial)
        options: dict[str, Any] = {"min_size": (0, 4, 30)[trial % 3], "fill_holes": trial % 2 == 0}
        mask = labels.copy()
        if broken_off:
            left = itertools.count(trial % 17, -1)

            def stop(left: Any = left) -> None:
                if next(left) <= 0:
                    raise InterruptedError

            with suppress(InterruptedError):
                tidy_strips.tidy_strips(tidy_strips.Mask(mask), range(1, classes), on_strip=stop, **options)
        tidy_strips.tidy_strips(tidy_strips.Mask(mask), range(1, classes), **options)
        expected = tidy(labels, **options)
        assert np.array_equal(mask, expected)
        changed += not np.array_equal(labels, expected)
    assert changed > 30


def test_each_strip_of_a_wide_image_is_read_once_for_a_row_of_tiles(tmp_path: Path) -> None:
    pixels = noise(40, 9000)
    tifffile.imwrite(tmp_path / "a.tif", pixels, rowsperstrip=4, compression="zlib")
    down, across = axes_of(40, 9000, 64, 16, 4)
    with opened_pixels(tmp_path / "a.tif") as (info, lazy):
        source = TileInput(info, lazy, make(DataSettings, {"normalisation": "dtype"}))
        read: list[Any] = []
        get = lazy._fill  # type: ignore[union-attr]
        lazy._fill = lambda part, slices: (read.append(slices), get(part, slices))  # type: ignore[union-attr,method-assign,return-value]
        ranges = source.find_ranges()
        for column in range(len(across.starts)):
            found = source.read_row(0, 0, down, across, [column], ranges)
            start = across.starts[column]
            expected = pixels[:, start : start + 64] / np.float32(65535)
            assert np.allclose(found[0, 0, :40, : expected.shape[1]], expected)
        assert len(read) == 1


@pytest.mark.parametrize("name", ["unet", "attention_se_unet"])
def test_no_step_across_the_borders_of_tiles(tmp_path: Path, name: str) -> None:
    """Tiles whose squeeze-and-excitation disagree are blended: their borders are no rougher than their insides.

    A dark and a bright half see to it that they disagree.
    """
    one = predictor(model(tmp_path / "m.safetensors", name=name))
    plane = RNG.random((1, 256, 256), np.float32) * np.linspace(0.1, 1, 256, dtype=np.float32)
    found = seams(one, plane, 64, 16)
    assert 0.9 < found.ratio < 1.1
    assert found.difference < 0.1


def test_a_step_at_the_borders_is_found() -> None:
    """The measure itself: tiles that are simply put side by side, each with its own brightness."""
    probability = RNG.random((1, 256, 256)) * 0.1
    probability[:, :, 64:128] += 0.5
    assert step_ratio(probability, 64, 0, 4) > 1.5


def test_turned_versions_make_a_prediction_that_turns_with_the_image() -> None:
    net = network("attention_se_unet")
    plane = RNG.random((1, 64, 48), np.float32)

    def said(values: np.ndarray, turned: bool) -> np.ndarray:
        return predict_plane(net, np.ascontiguousarray(values), CPU, turned=turned, attention=True).probability

    for change in (np.rot90, np.fliplr):
        changed = change(plane[0])[None]
        assert np.allclose(said(changed, True)[0], change(said(plane, True)[0]), atol=1e-5)
        assert not np.allclose(said(changed, False)[0], change(said(plane, False)[0]), atol=1e-4)


def test_turning_is_refused_where_sides_have_a_meaning(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="neither mirrored nor turned"):
        predictor(model(tmp_path / "a.safetensors", GREYS), tta=True)
    assert predictor(model(tmp_path / "b.safetensors", BINARY), tta=True).settings.tta
    instances = MaskConvention("instances", {0: 0}, ("background", "object"))
    assert predictor(model(tmp_path / "c.safetensors", instances), tta=True).settings.tta


def test_the_first_candidate_stays_unless_another_is_clearly_faster() -> None:
    candidates = [(512, 4), (512, 1), (1024, 1)]
    seconds = {(512, 4): 4.0, (512, 1): 0.98, (1024, 1): 4.0}
    assert fastest(candidates, 64, lambda *one: seconds[one]) == (1024, 1), "less of it is overlap"
    assert fastest(candidates, 64, lambda *one: seconds[one] + (one[0] == 1024)) == (512, 4)
    assert fastest(candidates, 64, lambda tile, batch: float("inf") if tile > 512 else batch) == (512, 4)


def test_what_is_fastest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_ATTNSEG_CACHE", str(tmp_path))
    net = network()
    options: dict[str, Any] = {"tile_size": 64, "batch_size": None, "overlap": 16}
    first = found_tiling(net, CPU, 10**9, **options)
    (kept,) = tmp_path.rglob("*.json")
    assert json.loads(kept.read_text()) == {"tile_size": 64, "batch_size": first.batch_size}
    other = 5 - first.batch_size  # 1 or 4
    kept.write_text(json.dumps({"tile_size": 64, "batch_size": other}))
    assert found_tiling(net, CPU, 10**9, **options).batch_size == other
    kept.write_text("damaged")
    assert found_tiling(net, CPU, 10**9, **options).batch_size in (1, 4)


def test_nothing_is_tried_for_what_is_given_or_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_ATTNSEG_CACHE", str(tmp_path))
    given = found_tiling(network(), CPU, 10**9, tile_size=96, batch_size=2, overlap=16)
    assert (given.tile_size, given.batch_size, given.overlap) == (96, 2, 16)
    small = found_tiling(network(), CPU, 10**6, tile_size=None, batch_size=None, overlap=64)
    assert (small.tile_size, small.batch_size) == (512, 4)
    assert not list(tmp_path.iterdir())


def test_a_tiled_image_that_changes_is_refused_and_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(64, 64), tile=(64, 64), compression="zlib")
    states = iter(range(10**6))
    monkeypatch.setattr(file_state, "state_of", lambda path: (next(states), 0))
    with pytest.raises(ChangedError, match=r"a\.tif was changed while it was being read"):
        predict_to_files(predictor(model(tmp_path / "m.safetensors")), image, tmp_path)
    assert not list(tmp_path.glob("*_PRED*"))
