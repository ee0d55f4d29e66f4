"""What the values of masks mean, and that saving keeps what was there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.data.classes import find_classes, read_classes, write_classes
from napari_attnseg.data.masks import MaskConvention, decide_convention, read_mask, survey_masks, write_mask
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError

RNG = np.random.default_rng(0)


def mask_of(values: tuple[int, ...], shape: tuple[int, ...] = (12, 16), dtype: str = "uint8") -> np.ndarray:
    """A mask with exactly these values and 0."""
    array = np.zeros(np.prod(shape), dtype)
    array[: len(values)] = values
    return array.reshape(shape)


def write(path: Path, array: np.ndarray, **options) -> Path:
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **options})
    return path


def surveyed(folder: Path, *files: tuple[int, ...]):
    paths = [write(folder / f"m{i}_MASK.tif", mask_of(values, dtype="uint16")) for i, values in enumerate(files)]
    return survey_masks(paths)


IDS = tuple(range(1, 6))


@pytest.mark.parametrize(
    ("files", "kind", "values"),
    [
        ([(1,)], "binary", {0: 0, 1: 1}),
        ([(255,), ()], "binary", {0: 0, 255: 1}),
        ([(1,), (255,)], "binary", {0: 0, 1: 1, 255: 1}),
        ([(128,), (128,)], "binary", {0: 0, 128: 1}),
        ([(2,)], "binary", {0: 0, 2: 1}),
        ([(), ()], "binary", {0: 0, 255: 1}),
        ([(1, 2, 3), (2,)], "classes", {0: 0, 1: 1, 2: 2, 3: 3}),
        ([(1,), (2,)], "classes", {0: 0, 1: 1, 2: 2}),
        ([(1, 4), (2,)], "classes", {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}),
        ([(63, 126, 189, 252), (63,)], "classes", {0: 0, 63: 1, 126: 2, 189: 3, 252: 4}),
        ([(63,), (126,), (189, 252)], "classes", {0: 0, 63: 1, 126: 2, 189: 3, 252: 4}),
        ([(128, 255), (255,)], "classes", {0: 0, 128: 1, 255: 2}),
        ([tuple(range(1, 60))], "instances", {0: 0}),
        ([tuple(range(1, 12)), tuple(range(1, 8))], "instances", {0: 0}),
        ([(17, 230), (41, 99), (5, 1200)], "instances", {0: 0}),
    ],
)
def test_folder_decides(tmp_path, files, kind, values):
    survey = surveyed(tmp_path, *files)
    convention = decide_convention(survey)
    assert (convention.kind, convention.values) == (kind, values)
    assert convention.n_classes == (len(set(values.values())) if kind == "classes" else 2)
    assert convention.class_names[0] == "background"
    assert len(convention.class_names) == convention.n_classes
    assert MaskConvention.from_dict(json.loads(json.dumps(convention.to_dict()))) == convention
    for path, mask in survey.items():
        labels = read_mask(path, convention)
        assert labels.dtype == np.uint8
        assert labels.shape == (1, 12, 16)
        expected = 1 if kind == "instances" else None
        for i, value in enumerate(mask.non_zero):
            assert labels[0].flat[i] == (expected or values[value])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([(255,), (1, 2, 3)], r"m0_MASK\.tif holds 0 and 255, but m1_MASK\.tif holds 0, 1, 2, 3\. Save all of them as"),
        ([(1,), (255,), (2,)], r"two kinds are mixed: m1_MASK\.tif"),
        ([(100,), (255,)], r"m0_MASK\.tif holds only the value 100 and m1_MASK\.tif only 255"),
    ],
)
def test_contradictions_are_told(tmp_path, files, message):
    with pytest.raises(DataError, match=message):
        decide_convention(surveyed(tmp_path, *files))


def test_the_setting_decides(tmp_path):
    survey = surveyed(tmp_path, (100,), (255,))
    assert decide_convention(survey, mode="binary").values == {0: 0, 100: 1, 255: 1}
    assert decide_convention(survey, mode="classes").values == {0: 0, 100: 1, 255: 2}
    assert decide_convention(survey, mode="instances").kind == "instances"
    assert decide_convention(surveyed(tmp_path, (1,)), mode="classes").kind == "classes"
    with pytest.raises(DataError, match="set mask_values to 'instances'"):
        decide_convention(surveyed(tmp_path, tuple(range(1, 190)), tuple(range(150, 300))), mode="classes")


def test_classes_file(tmp_path):
    path = tmp_path / "classes.json"
    path.write_text('{"0": "background", "1": "liver", "2": "spleen"}')
    classes = find_classes(tmp_path)
    assert classes is not None
    assert classes.names == ("background", "liver", "spleen")
    assert find_classes(tmp_path / "train").names == classes.names
    convention = decide_convention(surveyed(tmp_path, (1,)), classes)
    assert (convention.kind, convention.n_classes) == ("classes", 3)
    assert convention.notices == ("No mask has a pixel of spleen.",)
    assert decide_convention(surveyed(tmp_path, (90, 180)), classes).values == {0: 0, 90: 1, 180: 2}
    with pytest.raises(DataError, match=r"m0_MASK\.tif holds the value 3, which classes\.json does not name"):
        decide_convention(surveyed(tmp_path, (1, 3)), classes)
    with pytest.raises(DataError, match=r"holds the value 255"):
        decide_convention(surveyed(tmp_path, (255,)), classes)
    path.write_text('["nucleus", {"name": "border", "color": "#FF0000", "value": 200}]')
    classes = read_classes(path)
    assert classes.names == ("background", "nucleus", "border")
    assert classes.values == {0: 0, 1: 1, 200: 2}
    assert classes.colours[2] == "#ff0000"
    write_classes(path, classes)
    assert read_classes(path) == classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no valid JSON"), ("3", "an object or a list"), ("{}", "names 1 classes"),
        ('{"a": "b"}', "'a' is no class id"),
        ('{"1": ""}', "class 1 has no name"), ('{"1": 2}', "has no name"), ('{"2": "a"}', "there is no class 1"),
        ('["bg", "a", "a"]', "'a' occurs twice"), ('[{"name": "a", "color": "red"}]', "'red' of 'a' is not written as"),
        ('[{"name": "a", "value": -1}]', "is no whole number"), ('[{"name": "a", "id": 1.5}]', "is no class id"),
    ],
)  # fmt: skip
def test_classes_file_that_makes_no_sense(tmp_path, text, message):
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_classes(path)


BINARY = MaskConvention("binary", {0: 0, 255: 1}, ("background", "foreground"))
CLASSES = MaskConvention("classes", {0: 0, 63: 1, 126: 2}, ("background", "a", "b"))
COLOURS = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1)) % np.array([[65535], [40000], [30000]], np.uint16)


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (mask_of((1,)).astype(bool), {}),
        (mask_of((1,)).astype(bool), {"photometric": "miniswhite"}),
        (mask_of((1,)), {"compression": "lzw"}),
        (mask_of((255,)), {"compression": "packbits"}),
        (mask_of((255,), dtype="int16"), {}),
        (mask_of((7,), dtype="uint32"), {"compression": "zlib"}),
        (mask_of((255,)).astype("float32"), {}),
        (mask_of((1,)), {"photometric": "palette", "colormap": COLOURS}),
        (np.repeat(mask_of((255,))[..., None], 3, 2), {"photometric": "rgb"}),
        (np.repeat(mask_of((255,))[None], 3, 0), {"photometric": "rgb", "planarconfig": "separate"}),
    ],
)
def test_binary_masks_of_every_kind_are_read_and_kept(tmp_path, array, options):
    image = read_info(write(tmp_path / "a.tif", RNG.integers(0, 9, (12, 16)).astype("uint8")))
    path = write(tmp_path / "a_MASK.tif", array, **options)
    before, stored = read_info(path), tifffile.imread(path)
    labels = read_mask(path, BINARY, image)
    assert labels.sum() == 1
    assert labels[0, 0, 0] == 1
    labels[0, 5, 5:9] = 1
    write_mask(path, labels, BINARY, like=image, existing=before)
    after, now = read_info(path), tifffile.imread(path)
    assert (after.dtype, after.axes, after.photometric) == (before.dtype, before.axes, before.photometric)
    assert (after.compression, after.shape) == (before.compression, before.shape)
    assert set(np.unique(now)) == set(np.unique(stored))
    assert (now != 0).sum() == 5 * (stored != 0).sum()
    np.testing.assert_array_equal(read_mask(path, BINARY, image), labels)


@pytest.mark.parametrize("convention", [BINARY, CLASSES])
@pytest.mark.parametrize("axes", ["YX", "ZYX", "TZYX", "ZCYX", "YXS"])
@pytest.mark.parametrize("name", ["a_MASK.tif", "a_MASK.ome.tif"])
def test_new_masks(tmp_path, convention, axes, name):
    shape = [{"T": 2, "Z": 3, "C": 2, "Y": 12, "X": 16, "S": 3}[axis] for axis in axes]
    options = {"photometric": "rgb"} if "S" in axes else {"imagej": True}
    write(tmp_path / "a.tif", np.zeros(shape, "uint8"), metadata={"axes": axes}, **options)
    image = read_info(tmp_path / "a.tif")
    labels = RNG.integers(0, convention.n_classes, (image.n_planes, 12, 16)).astype("uint8")
    path = tmp_path / name
    write_mask(path, labels, convention, like=image)
    assert read_info(path).axes == image.plane_axes
    assert set(np.unique(tifffile.imread(path))) == set(convention.values)
    np.testing.assert_array_equal(read_mask(path, convention, image), labels)


def test_stack_masks_without_axes_and_in_another_order(tmp_path):
    image = read_info(write(tmp_path / "a.tif", np.zeros((3, 12, 16), "uint8"), imagej=True, metadata={"axes": "ZYX"}))
    array = np.stack([mask_of((255,) * n) for n in (1, 2, 3)])
    path = write(tmp_path / "a_MASK.tif", array)  # looks like three channels
    labels = read_mask(path, BINARY, image)
    assert labels.sum(axis=(1, 2)).tolist() == [1, 2, 3]
    write_mask(path, labels, BINARY, like=image, existing=read_info(path))
    np.testing.assert_array_equal(tifffile.imread(path), array)
    ome = {"ome": True, "metadata": {"axes": "ZTYX"}}
    image = read_info(
        write(tmp_path / "b.tif", np.zeros((2, 3, 12, 16), "uint8"), imagej=True, metadata={"axes": "TZYX"})
    )
    array = RNG.integers(0, 2, (3, 2, 12, 16)).astype("uint8")
    path = write(tmp_path / "b_MASK.tif", array, **ome)
    labels = read_mask(path, BINARY, image)
    np.testing.assert_array_equal(labels, array.swapaxes(0, 1).reshape(6, 12, 16))
    write_mask(path, labels, BINARY, like=image, existing=read_info(path))
    np.testing.assert_array_equal(tifffile.imread(path), array)


def test_numbered_objects_keep_their_numbers(tmp_path):
    image = read_info(write(tmp_path / "a.tif", np.zeros((12, 16), "uint8")))
    old = np.zeros((12, 16), "uint16")
    old[1:3, 1:3], old[1:3, 8:10] = 700, 12
    path = write(tmp_path / "a_MASK.tif", old)
    convention = decide_convention(survey_masks([path]), mode="instances")
    labels = read_mask(path, convention, image)
    labels[0, 1:3, 3:5] = 1  # 700 grows
    labels[0, 1:3, 8:10] = 0  # 12 goes
    labels[0, 8:10, 8:10] = 1  # a new one
    write_mask(path, labels, convention, like=image, existing=read_info(path))
    expected = np.zeros_like(old)
    expected[1:3, 1:5], expected[8:10, 8:10] = 700, 701
    np.testing.assert_array_equal(tifffile.imread(path), expected)


def test_values_that_no_longer_fit_get_a_larger_type(tmp_path):
    image = read_info(write(tmp_path / "a.tif", np.zeros((12, 16), "uint8")))
    path = write(tmp_path / "a_MASK.tif", mask_of((63,)).astype(bool))
    labels = mask_of((1, 2))[None]
    write_mask(path, labels, CLASSES, like=image, existing=read_info(path))
    np.testing.assert_array_equal(read_mask(path, CLASSES, image), labels)


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((12, 15), "uint8"), {}, r"a_MASK\.tif is 12 x 15 \(y, x\) but its image a\.tif is 12 x 16"),
        (np.zeros((16, 12), "uint8"), {}, r"rows and columns are swapped"),
        (np.zeros((5, 12, 16), "uint8"), {}, r"is 5 x 12 x 16 \(plane, y, x\)"),
        (RNG.integers(0, 255, (12, 16, 3)).astype("uint8"), {"photometric": "rgb"}, "is a colour image"),
        (np.full((12, 16), 0.5, "float32"), {}, r"holds the value 0\.5; whole numbers"),
        (np.full((12, 16), np.nan, "float32"), {}, "NaN or infinite"),
        (np.full((12, 16), -1, "int16"), {}, "negative value -1"),
        (mask_of((255, 3)), {}, r"holds the value 3; expected were 0, 255"),
    ],
)
def test_masks_that_cannot_be_used(tmp_path, array, options, message):
    image = read_info(write(tmp_path / "a.tif", np.zeros((12, 16), "uint8")))
    path = write(tmp_path / "a_MASK.tif", array, **options)
    with pytest.raises(DataError, match=message):
        read_mask(path, BINARY, image)


def test_labels_that_cannot_be_saved(tmp_path):
    image = read_info(write(tmp_path / "a.tif", np.zeros((12, 16), "uint8")))
    with pytest.raises(DataError, match="has the class 2, but the last class is 1"):
        write_mask(tmp_path / "a_MASK.tif", mask_of((2,))[None], BINARY, like=image)
    with pytest.raises(DataError, match="has the size of its image"):
        write_mask(tmp_path / "a_MASK.tif", np.zeros((1, 3, 3), "uint8"), BINARY, like=image)
    assert not (tmp_path / "a_MASK.tif").exists()


@pytest.mark.parametrize("axes", ["YXZ", "XY", "TXYZ", "ZXY", "YXCZ"])
@pytest.mark.parametrize("replaced", [False, True])
def test_masks_of_unusual_orders_of_axes_come_back(tmp_path, axes, replaced):
    lengths = {"T": 2, "Z": 3, "C": 2, "Y": 12, "X": 16}
    stored = np.zeros([lengths[axis] for axis in axes], "uint8")
    image = read_info(write(tmp_path / "a.tif", stored, metadata={"axes": axes}, photometric="minisblack"))
    convention = MaskConvention("binary", {0: 0, 255: 1}, ("background", "foreground"))
    labels = np.random.default_rng(0).integers(0, 2, (image.n_planes, 12, 16)).astype("uint8")
    path = tmp_path / "a_MASK.tif"
    write_mask(path, labels, convention, like=image)
    if replaced:
        labels = 1 - labels
        write_mask(path, labels, convention, like=image, existing=read_info(path))
    assert read_info(path).axes == axes.replace("C", "")
    np.testing.assert_array_equal(read_mask(path, convention, image), labels)
