"""Objects of planes and volumes that are looked at some rows at a time: the same as of the whole at once."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_attnseg.cli import main
from napari_attnseg.data.class_ids import ClassIds
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.mask_rows import ClassRows, MaskRows
from napari_attnseg.data.masks import read_mask, survey_mask
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import ChangedError, DataError, Stopped
from napari_attnseg.objects import blank, measure, one_image, room, strips
from napari_attnseg.objects.finding import find_objects
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.objects.separate import Objects
from napari_attnseg.settings import ObjectSettings
from tests.conftest import damage_tile
from tests.objects.drawn import ellipsoid
from tests.objects.test_zarr_predictions import written

SIZE = (700, 300)
FEW = 2**15
BINARY = MaskConvention("binary", {0: 0, 255: 1}, ("background", "object"))


def blobs(seed: int, level: float, shape: tuple[int, ...] = SIZE, width: float = 5) -> np.ndarray:
    """Return where smooth noise is above a level, in its standard deviations."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, (*(1.5 for _ in shape[:-2]), width, width))
    return np.asarray(smooth > level * smooth.std())


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return a probability (..., y, x)."""
    values = np.random.default_rng(seed).random(shape).astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(values, (*(0 for _ in shape[:-2]), 2, 2)))


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Objects, Objects]]:
    """Return a function that finds objects of the whole, and in strips."""

    def find(classes: np.ndarray, geometry: Geometry, settings: ObjectSettings, probability: np.ndarray | None = None):
        size = classes.shape[1:]
        whole = find_objects(classes, size, geometry, settings, probability=probability)
        monkeypatch.setattr(strips, "MOST_AT_ONCE", FEW)
        monkeypatch.setattr(room, "free_memory", lambda: 10**7)
        monkeypatch.setattr(room, "require_memory", lambda *given: None)
        shares: list[float] = []
        apart = find_objects(classes, size, geometry, settings, probability=probability, on_progress=shares.append)
        assert shares == sorted(shares)
        assert len(shares) > 6
        return whole, apart

    return find


@pytest.mark.parametrize("level", [0.4, 1.0])
@pytest.mark.parametrize(
    "settings",
    [
        ObjectSettings(),
        ObjectSettings(min_size=30, min_distance=9, connectivity="sides"),
        ObjectSettings(smoothing=3),
        ObjectSettings(split=False, min_size=30),
        ObjectSettings(split=False, connectivity="sides"),
    ],
    ids=["default", "distance", "smooth", "touching", "sides"],
)
def test_a_plane_in_strips_is_as_the_whole(
    both: Callable[..., tuple[Objects, Objects]], settings: ObjectSettings, level: float
) -> None:
    one = blobs(0, level)
    classes = (one + 2 * (blobs(1, level) & ~one)).astype(np.uint8)[None]
    whole, apart = both(classes, Geometry(), settings, noise(2, (1, 3, *SIZE)))
    assert whole.count > 40
    assert np.array_equal(whole.labels, apart.labels)
    assert np.array_equal(whole.classes, apart.classes)


@pytest.mark.parametrize(
    "geometry",
    [Geometry("Z", (6,)), Geometry("Z", (6,), (1.0, 1.0), 2.5, "µm"), Geometry("TZ", (2, 3), (0.5, 0.5), 1.0, "µm")],
    ids=["pixels", "flat", "frames"],
)
def test_a_volume_in_strips_is_as_the_whole(both: Callable[..., tuple[Objects, Objects]], geometry: Geometry) -> None:
    classes = blobs(3, 0.9, (6, 400, 150)).astype(np.uint8)
    whole, apart = both(classes, geometry, ObjectSettings(min_size=20), noise(4, (6, 1, 400, 150)))
    assert whole.count > 20
    assert np.array_equal(whole.labels, apart.labels)


@pytest.mark.parametrize(
    "settings",
    [ObjectSettings(), ObjectSettings(smoothing=0, connectivity="sides"), ObjectSettings(min_distance=8)],
    ids=["default", "sharp", "distance"],
)
def test_what_is_equally_thick_is_cut_as_in_the_whole(
    both: Callable[..., tuple[Objects, Objects]], settings: ObjectSettings
) -> None:
    """Discs have many pixels of one height, and a watershed may take those in any order."""
    random = np.random.default_rng(1)
    classes = np.zeros((1, *SIZE), np.uint8)
    for _ in range(300):
        disc = ellipsoid((19, 19), (9, 9), (random.integers(3, 9),) * 2)
        top, left = random.integers(0, SIZE[0] - 19), random.integers(0, SIZE[1] - 19)
        classes[0, top : top + 19, left : left + 19] |= disc
    whole, apart = both(classes, Geometry(), settings)
    assert whole.count > 80
    assert np.array_equal(whole.labels, apart.labels)


def test_cells_that_all_touch_are_cut_though_no_window_shows_them_all(
    both: Callable[..., tuple[Objects, Objects]],
) -> None:
    classes = blobs(5, -0.6, (3000, 90)).astype(np.uint8)[None]
    assert classes[0].any(axis=1).all()
    whole, apart = both(classes, Geometry(), ObjectSettings())
    assert np.array_equal(apart.labels > 0, classes > 0)
    assert np.array_equal(np.unique(apart.labels), np.arange(apart.count + 1))
    pairs, sizes = np.unique(
        np.stack([whole.labels[classes > 0], apart.labels[classes > 0]]), axis=1, return_counts=True
    )
    same = {tuple(pair) for pair, size in zip(pairs.T, sizes, strict=True) if size == (whole.labels == pair[0]).sum()}
    assert abs(whole.count - apart.count) <= 2
    assert len(same) >= 0.95 * whole.count


def test_an_object_higher_than_all_windows_stays_one(both: Callable[..., tuple[Objects, Objects]]) -> None:
    classes = np.zeros((1, 3000, 90), np.uint8)
    classes[0, 5:2990, 20:60] = 1
    whole, apart = both(classes, Geometry(), ObjectSettings(min_size=100_000))
    assert whole.count == 1
    assert np.array_equal(whole.labels, apart.labels)


def test_it_stops_between_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "MOST_AT_ONCE", FEW)
    shares: list[float] = []
    for split in (True, False):
        shares.clear()
        with pytest.raises(Stopped):
            find_objects(
                blobs(0, 0.5)[None].astype(np.uint8), SIZE, Geometry(), ObjectSettings(split=split),
                on_progress=shares.append, should_stop=lambda: len(shares) > 2,
            )  # fmt: skip
        assert 3 <= len(shares) <= 4


def test_it_stops_where_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "MOST_AT_ONCE", FEW)
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(1)
        return len(asked) > 4

    with pytest.raises(Stopped):
        find_objects(
            np.zeros((1, 3000, 90), np.uint8), (3000, 90), Geometry(), ObjectSettings(), should_stop=should_stop
        )


def test_only_regions_too_high_to_wait_for_are_cut(both: Callable[..., tuple[Objects, Objects]]) -> None:
    """A chain of discs ends within the window that cuts the region beside it, and is cut as in the whole."""
    classes = np.zeros((1, 3000, 90), np.uint8)
    classes[0, :, 60:80] = 1
    for number, top in enumerate(range(3, 2970, 11)):
        if number % 9:
            classes[0, top : top + 15, 10:25] |= ellipsoid((15, 15), (7, 7), (7, 7))
    whole, apart = both(classes, Geometry(), ObjectSettings())
    left = whole.labels[0, :, :40]
    assert whole.count > 200
    assert np.array_equal(left > 0, apart.labels[0, :, :40] > 0)
    assert len(np.unique(np.stack([left, apart.labels[0, :, :40]]).reshape(2, -1), axis=1).T) == whole.count


def slide(folder: Path, kind: str) -> Path:
    """Write an image of 0.25 µm pixels in tiles, and a prediction of it with its probability."""
    folder.mkdir()
    there = blobs(7, 0.7)
    image = np.where(there, 180, 30).astype(np.uint8) + np.arange(SIZE[1], dtype=np.uint8) % 20
    tiled = {"tile": (128, 128), "compression": "zlib"}
    size = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    path = folder / "slide.ome.tif"
    tifffile.imwrite(path, np.stack([image] * 3, -1), photometric="rgb", metadata={"axes": "YXS", **size}, **tiled)
    labels, probability = there.astype(np.uint8) * 255, noise(8, SIZE)
    if kind == "zarr":
        written(path.rename(folder / "slide.tif"), "_PRED", labels)
        written(folder / "slide.tif", "_PROB", probability)
    else:
        tifffile.imwrite(folder / "slide_PRED.tif", labels, **tiled)
        tifffile.imwrite(folder / "slide_PROB.tif", probability, **tiled)
    return folder


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
@pytest.mark.parametrize("more", [[], ["--no-split"], ["--threshold", "0.52"]], ids=["split", "touching", "threshold"])
def test_a_large_prediction_gives_the_tables_of_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, more: list[str]
) -> None:
    folder = slide(tmp_path / "data", kind)
    assert main(["objects", str(folder), "--out", str(tmp_path / "whole"), *more]) == 0
    monkeypatch.setattr(strips, "MOST_AT_ONCE", FEW)
    monkeypatch.setattr(blank, "MOST_IN_MEMORY", 100)
    assert main(["objects", str(folder), "--out", str(tmp_path / "strips"), *more]) == 0
    for name in ("objects.csv", "summary.csv"):
        text = (tmp_path / "strips" / name).read_text("utf-8-sig")
        assert text.count("\n") >= 2
        assert "Area (µm²)" in text.splitlines()[0] or name == "summary.csv"
        assert text == (tmp_path / "whole" / name).read_text("utf-8-sig")
    (one,), (other,) = ((tmp_path / name).glob("slide*_OBJECTS.tif*") for name in ("whole", "strips"))
    assert np.array_equal(tifffile.imread(one), tifffile.imread(other))
    assert read_info(other).pixel_size == read_info(one).pixel_size == (0.25, 0.25)


def test_numbered_objects_and_a_tile_that_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiled = {"tile": (128, 128), "compression": "zlib"}
    numbers, count = ndimage.label(blobs(9, 1.2))
    numbers[numbers == 3] = 70_000
    tifffile.imwrite(tmp_path / "a.tif", np.full(SIZE, 9, np.uint8), **tiled)
    tifffile.imwrite(tmp_path / "a_MASK.tif", numbers.astype(np.uint32), **tiled)
    damage_tile(tmp_path / "a.tif", 7)
    assert main(["objects", str(tmp_path), "--out", str(tmp_path / "whole")]) == 0
    monkeypatch.setattr(strips, "MOST_AT_ONCE", FEW)
    assert main(["objects", str(tmp_path), "--out", str(tmp_path / "strips")]) == 0
    text = (tmp_path / "strips/objects.csv").read_text("utf-8-sig")
    assert len(text.splitlines()) == count + 1
    assert text == (tmp_path / "whole/objects.csv").read_text("utf-8-sig")
    assert ",," in text, "objects in the damaged tile alone have no intensity"
    assert tifffile.imread(tmp_path / "strips/a_OBJECTS.tif").max() == count


def test_a_pyramid_is_written_of_what_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((8300, 64), np.uint8)
    mask[4000:4200, 10:50] = 255
    tifffile.imwrite(tmp_path / "a_MASK.tif", mask, tile=(256, 64), compression="zlib")
    monkeypatch.setattr(strips, "MOST_AT_ONCE", 2**17)
    assert main(["objects", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    with tifffile.TiffFile(tmp_path / "out/a_OBJECTS.tif") as tif:
        shapes = [level.shape for level in tif.series[0].levels]
        assert shapes == [(8300, 64), (4150, 32), (2075, 16), (1038, 8), (519, 4)]
        assert np.array_equal(tif.series[0].levels[1].asarray(), (mask[::2, ::2] > 0).astype(np.uint8))


@pytest.mark.parametrize("axes", ["ZTYX", "TZYX", "ZYX"])
@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_planes_of_large_stacks_stay_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axes: str, kind: str
) -> None:
    shape = {"Z": 3, "T": 2}
    planes = [shape[axis] for axis in axes[:-2]]
    mask = np.zeros((*planes, 120, 90), np.uint8)
    for number, place in enumerate(np.ndindex(*planes)):
        for column in range(number + 1):
            mask[(*place, slice(10, 100), slice(10 * column, 10 * column + 6))] = (
                255 if kind == "classes" else column + 1
            )
    described = {"photometric": "minisblack", "metadata": {"axes": axes}}
    tifffile.imwrite(tmp_path / "a.tif", mask, **described)
    tifffile.imwrite(tmp_path / "a_MASK.tif", mask, **described)
    command = ["objects", str(tmp_path), "--reach", "planes"]
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    monkeypatch.setattr(strips, "MOST_AT_ONCE", 4000)
    assert main([*command, "--out", str(tmp_path / "strips")]) == 0
    one, other = (read_image(tmp_path / name / "a_OBJECTS.tif") for name in ("whole", "strips"))
    assert one.pixels.max() == sum(range(1, len(one.pixels) + 1))
    assert np.array_equal(one.pixels, other.pixels)
    assert (one.info.stack_axes, one.info.stack_shape) == (other.info.stack_axes, other.info.stack_shape)
    tables = ((tmp_path / name / "objects.csv").read_text("utf-8-sig") for name in ("whole", "strips"))
    assert next(tables) == next(tables)


def test_a_box_too_large_for_an_outline_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[5:10, 5:10] = mask[20:50, 20:50] = 255
    tifffile.imwrite(tmp_path / "a_MASK.tif", mask)
    for module in (measure, one_image):
        monkeypatch.setattr(module, "LARGEST_OUTLINE", 800)
    assert main(["objects", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert "The box around 1 object has over 0 million pixels: too many" in capsys.readouterr().out
    small, large = csv.DictReader((tmp_path / "out/objects.csv").read_text("utf-8-sig").splitlines())
    assert (small["Solidity"], large["Solidity"], large["Perimeter (px)"]) == ("1", "", "")
    assert large["Eccentricity"] == "0"


def test_rows_mean_what_the_whole_mask_means(tmp_path: Path) -> None:
    path = tmp_path / "a_MASK.tif"
    mask = np.zeros((40, 30), np.uint8)
    mask[20:] = 7
    tifffile.imwrite(path, mask, tile=(16, 16), compression="zlib")
    rows = ClassRows(path, BINARY)
    assert np.array_equal(rows.part(0, slice(10, 30)), read_mask(path, BINARY)[0, 10:30]), "one further value"
    ids = ClassIds(path, BINARY)
    ids.of(mask)
    with pytest.raises(DataError, match="holds the value 7; expected were 0, 255"):
        ids.of(np.array([[0, 255]], np.uint8))
    values = MaskRows(path)
    tifffile.imwrite(path, mask[:, ::-1], tile=(16, 16))
    with pytest.raises(ChangedError):
        values.part(0, slice(0, 5))


def test_what_values_a_large_mask_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_attnseg.data import mask_survey

    path = tmp_path / "a_MASK.tif"
    mask = np.random.default_rng(0).integers(0, 60_000, (3, 50, 40)).astype(np.uint16)
    tifffile.imwrite(path, mask, photometric="minisblack", metadata={"axes": "ZYX"})
    expected = survey_mask(path)
    assert expected.count == len(np.unique(mask))
    monkeypatch.setattr(mask_survey, "is_large", lambda info: True)
    for at_once in (700, 2000, 10**6):
        monkeypatch.setattr(mask_survey, "_AT_ONCE", at_once)
        assert survey_mask(path) == expected
    opened: list[int] = []
    series = tifffile.TiffPageSeries.asarray

    def asarray(one: Any, *given: Any, **options: Any) -> Any:
        opened.append(1)
        return series(one, *given, **options)

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", asarray)
    volume = {"volumetric": True, "tile": (1, 16, 16), "photometric": "minisblack", "metadata": {"axes": "ZYX"}}
    tifffile.imwrite(path, mask, compression="zlib", **volume)
    assert survey_mask(path).values == expected.values
    assert len(opened) <= 1, "a file that has no planes of its own is not read for each"
    high = np.array([[0, 2**60 + 1], [2**60 + 2, 0]], np.uint64)
    tifffile.imwrite(path, high, photometric="minisblack", rowsperstrip=1)
    monkeypatch.setattr(mask_survey, "_AT_ONCE", 2)
    assert survey_mask(path).values == (0, 2**60 + 1, 2**60 + 2)
    tifffile.imwrite(path, mask.astype(np.float32) + 0.5, photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(DataError, match="the value"):
        survey_mask(path)
