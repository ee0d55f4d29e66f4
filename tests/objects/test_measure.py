"""Measures against scikit-image's of the whole, and the table as a file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from skimage.measure import regionprops_table

from napari_attnseg.errors import Stopped
from napari_attnseg.objects.finding import find_objects
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.objects.measure import measure
from napari_attnseg.objects.separate import Objects
from napari_attnseg.objects.table import joined, shown, summary, table_of, write_table
from napari_attnseg.settings import ObjectSettings
from tests.objects.drawn import ellipsoid

RNG = np.random.default_rng(0)


def drawn(planes: int = 1) -> tuple[Objects, np.ndarray]:
    """Return two ellipses or ellipsoids of two classes, and an image of two channels."""
    labels = np.zeros((planes, 40, 60), np.uint16)
    depth = (planes - 1) / 2 or 1
    for number, centre in ((1, (18, 15)), (2, (20, 45))):
        labels[ellipsoid(labels.shape, ((planes - 1) / 2, *centre), (depth, 8 + number, 12))] = number
    pixels = RNG.normal(1000, 50, (planes, 2, 40, 60)).astype(np.float32)
    return Objects(labels, np.array([0, 1, 2], np.uint8)), pixels


def test_a_plane_is_measured_as_scikit_image_does() -> None:
    objects, pixels = drawn()
    geometry = Geometry(pixel_size=(0.5, 0.5), unit="µm")
    table = measure(
        objects, geometry, "z", image="a", class_names=("background", "cell", "gap"), pixels=pixels,
        channels=("DAPI", "GFP"),
    ).columns  # fmt: skip
    names = ("area", "centroid", "bbox", "eccentricity", "solidity", "perimeter", "equivalent_diameter_area")
    intensities = ("intensity_mean", "intensity_min", "intensity_max", "intensity_std")
    expected = regionprops_table(objects.labels[0], np.moveaxis(pixels[0], 0, -1), properties=(*names, *intensities))
    assert list(table["Class"]) == ["cell", "gap"]
    pairs = {
        "Pixels": ("area", 1), "Area (µm²)": ("area", 0.25), "Perimeter (µm)": ("perimeter", 0.5),
        "Equivalent diameter (µm)": ("equivalent_diameter_area", 0.5), "Eccentricity": ("eccentricity", 1),
        "Solidity": ("solidity", 1), "Centre y (px)": ("centroid-0", 1), "Centre x (px)": ("centroid-1", 1),
        "Left (px)": ("bbox-1", 1), "Top (px)": ("bbox-0", 1), "Mean DAPI": ("intensity_mean-0", 1),
        "Mean GFP": ("intensity_mean-1", 1), "Min DAPI": ("intensity_min-0", 1), "Max GFP": ("intensity_max-1", 1),
        "SD DAPI": ("intensity_std-0", 1), "SD GFP": ("intensity_std-1", 1),
    }  # fmt: skip
    for title, (name, factor) in pairs.items():
        np.testing.assert_allclose(table[title], expected[name] * factor, rtol=1e-6, err_msg=title)
    np.testing.assert_array_equal(table["Width (px)"], expected["bbox-3"] - expected["bbox-1"])
    np.testing.assert_array_equal(table["Height (px)"], expected["bbox-2"] - expected["bbox-0"])


def test_a_volume_is_measured_plane_by_plane_as_a_whole() -> None:
    objects, pixels = drawn(planes=7)
    geometry = Geometry("Z", (7,), (0.5, 0.25), 2.0, "mm")
    columns = measure(
        objects, geometry, "z", image="a", class_names=("background", "cell", "gap"), pixels=pixels[:, :1],
        channels=("intensity",),
    ).columns  # fmt: skip
    expected = regionprops_table(objects.labels, pixels[:, 0], properties=("area", "centroid", "intensity_std", "bbox"))
    np.testing.assert_allclose(columns["Volume (mm³)"], expected["area"] * 0.25)
    np.testing.assert_allclose(columns["Centre z"], expected["centroid-0"])
    np.testing.assert_allclose(columns["SD intensity"], expected["intensity_std"], rtol=1e-5)
    np.testing.assert_array_equal(columns["First z"], expected["bbox-0"])
    np.testing.assert_array_equal(columns["Last z"], expected["bbox-3"] - 1)
    assert "Perimeter (mm)" not in columns


def test_pixels_that_are_not_square_have_an_area_and_no_perimeter() -> None:
    labels = np.zeros((1, 30, 60), np.uint16)
    labels[0][ellipsoid((30, 60), (15, 30), (10, 20))] = 1  # a disc where a pixel is twice as high as wide
    geometry = Geometry(pixel_size=(2.0, 1.0), unit="µm")
    columns = measure(
        Objects(labels, np.array([0, 1], np.uint8)), geometry, "z", image="a", class_names=("background", "cell")
    ).columns
    assert columns["Area (µm²)"][0] == pytest.approx(np.pi * 400, rel=0.02)
    assert columns["Eccentricity"][0] < 0.3
    assert np.isnan(columns["Perimeter (µm)"][0])


def test_pixels_without_a_value_do_not_count() -> None:
    objects, pixels = drawn()
    pixels[0, 0, 18, 15] = np.nan
    pixels[0, 1][objects.labels[0] == 2] = np.inf
    columns = measure(
        objects, Geometry(), "z", image="a", class_names=("b", "c", "d"), pixels=pixels, channels=("one", "two")
    ).columns
    own = pixels[0, 0][objects.labels[0] == 1]
    assert columns["Mean one"][0] == pytest.approx(np.nanmean(own), rel=1e-6)
    assert np.isnan(columns["Mean two"][1])
    assert np.isfinite(columns["Mean two"][0])


def test_objects_through_time_have_the_mean_area_of_their_frames() -> None:
    classes = np.zeros((3, 20, 20), np.uint8)
    classes[0, 5:9, 5:9] = classes[1, 5:9, 5:11] = 1
    geometry = Geometry("T", (3,), (1.0, 1.0), None, "µm")
    settings = ObjectSettings(split=False, reach="zt")
    objects = find_objects(classes, (20, 20), geometry, settings)
    columns = measure(objects, geometry, "zt", image="a", class_names=("background", "cell")).columns
    assert objects.count == 1
    assert columns["Area (µm²)"][0] == pytest.approx((16 + 24) / 2)
    assert (columns["First t"][0], columns["Last t"][0]) == (0, 1)
    assert find_objects(classes, (20, 20), geometry, ObjectSettings(split=False)).count == 2


def test_a_summary_counts_what_there_is_and_what_there_is_not() -> None:
    objects, _ = drawn()
    geometry = Geometry(pixel_size=(10.0, 10.0), unit="µm")
    table = measure(objects, geometry, "z", image="a", class_names=("background", "cell", "gap"))
    every, cell, gap = summary(table, geometry, "z", (40, 60), "a")
    assert (every["Objects"], cell["Class"], gap["Objects"]) == (2, "cell", 1)
    assert every["Objects per mm²"] == pytest.approx(2 / (40 * 60 * 1e-4))
    assert every["Total area (µm²)"] == pytest.approx(100 * np.count_nonzero(objects.labels))
    assert every["Covered (%)"] == pytest.approx(100 * np.count_nonzero(objects.labels) / 2400)
    nothing = measure(
        Objects(np.zeros((1, 4, 5), np.uint16), np.zeros(1, np.uint8)), geometry, "z", image="b", class_names=("x",)
    )
    (row,) = summary(nothing, geometry, "z", (4, 5), "b")
    assert row["Objects"] == row["Total size (px)"] == 0


def test_tables_of_different_units_are_joined_and_written(tmp_path: Path) -> None:
    objects, _ = drawn()
    names = ("background", "cell", "gap")
    tables = [
        measure(objects, geometry, "z", image=image, class_names=names)
        for image, geometry in (
            ("a", Geometry(pixel_size=(0.5, 0.5), unit="µm")),
            ("b, in pixels", Geometry()),
            ("c", Geometry(pixel_size=(0.5, 0.5), unit="mm")),
        )
    ]
    path = tmp_path / "objects.csv"
    write_table(path, joined(tables))
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert [row["Image"] for row in rows] == ["a", "a", "b, in pixels", "b, in pixels", "c", "c"]
    assert rows[0]["Area (µm²)"] == f"{objects.labels[objects.labels == 1].size / 4:.6g}"
    assert rows[0]["Area (mm²)"] == rows[2]["Area (µm²)"] == ""
    assert float(rows[4]["Area (mm²)"]) == float(rows[0]["Area (µm²)"])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "so that spreadsheets know that it is UTF-8"
    write_table(path, table_of([{"Image": "a", "Objects": 2}, {"Image": "b", "Density": 0.5}]))
    assert path.read_text(encoding="utf-8-sig") == "Image,Objects,Density\na,2,\nb,,0.5\n"


def test_many_objects_are_measured_with_stops_in_between() -> None:
    labels = np.arange(1, 601).reshape(1, 20, 30)
    objects = Objects(labels, np.ones(601, np.uint8))
    shares: list[float] = []
    names = ("background", "cell")
    table = measure(objects, Geometry(), "z", image="a", class_names=names, on_progress=shares.append)
    assert len(table) == 600
    assert len(shares) > 3
    assert shares == sorted(shares)
    with pytest.raises(Stopped):
        measure(objects, Geometry(), "z", image="a", class_names=names, should_stop=lambda: len(shares) > 0)


def test_an_outline_is_of_one_plane() -> None:
    labels = np.zeros((2, 9, 9), np.uint8)
    labels[:, 2:5, 2:5] = 1
    labels[1, 6:8, 6:8] = 2
    objects = Objects(labels, np.array([0, 1, 1], np.uint8))
    columns = measure(objects, Geometry("Z", (2,)), "planes", image="a", class_names=("background", "cell")).columns
    assert np.isnan(columns["Solidity"][0])
    assert columns["Solidity"][1] == 1


def test_whole_numbers_are_written_in_full() -> None:
    values = {16777215.0: "16777215", 0.5: "0.5", 123456.789: "123457", float("nan"): "", 1e20: "1e+20"}
    assert [shown(value) for value in values] == list(values.values())
    assert shown(np.int64(40_000_000)) == "40000000"
