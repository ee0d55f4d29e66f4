"""The sample data: committed files follow the conventions, and the script draws the same pixels again."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile
from scipy.ndimage import binary_dilation, binary_erosion

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "sample_data"
# One of each modality, the smaller ones: drawing all takes too long for a test.
REDRAWN = (
    "nuclei/train/fluorescence08",
    "nuclei/test/brightfield06",
    "nuclei/train/stained06",
    "organs/subject02_z11",
    "stack/nuclei3d",
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
        return importlib.import_module("make_sample_data")


def images(folder: str) -> list[Path]:
    return sorted(path for path in (DATA / folder).rglob("*.tiff") if not path.stem.endswith("_MASK"))


def mask_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}_MASK.tiff")


def test_all_files_are_there(script: ModuleType) -> None:
    names = {str(path.relative_to(DATA).with_suffix("")) for path in DATA.rglob("*.tiff")}
    drawn = set(script.all_samples())
    assert names == drawn | {f"{name}_MASK" for name in drawn}
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 6e6


@pytest.mark.parametrize("name", REDRAWN)
def test_script_draws_the_committed_pixels(script: ModuleType, tmp_path: Path, name: str) -> None:
    script.write_sample(script.draw_sample(name), tmp_path, name)
    for suffix in ("", "_MASK"):
        again = tifffile.imread(tmp_path / f"{name}{suffix}.tiff")
        committed = tifffile.imread(DATA / f"{name}{suffix}.tiff")
        assert again.dtype == committed.dtype
        np.testing.assert_array_equal(again, committed)


def test_files_are_the_same_bytes_each_time(script: ModuleType, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        script.write_sample(script.draw_sample("organs/subject01_z08"), tmp_path / folder, "organs/subject01_z08")
    for file in ("subject01_z08.tiff", "subject01_z08_MASK.tiff"):
        assert (tmp_path / "one/organs" / file).read_bytes() == (tmp_path / "two/organs" / file).read_bytes()


@pytest.mark.parametrize("path", sorted(DATA.rglob("*.tiff")), ids=lambda path: path.stem)
def test_files_have_no_date_and_are_deflated(path: Path) -> None:
    with tifffile.TiffFile(path) as tiff:
        for page in tiff.pages:
            assert not {"Software", "DateTime"} & {tag.name for tag in page.tags}
            assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE


@pytest.mark.parametrize("modality", ["fluorescence", "brightfield", "stained"])
def test_nuclei_are_rgb_with_a_0_255_mask(modality: str) -> None:
    paths = [path for path in images("nuclei") if path.stem.startswith(modality)]
    assert len(paths) >= 4
    assert len({tifffile.imread(path).shape for path in paths}) >= 2
    for path in paths:
        image, mask = tifffile.imread(path), tifffile.imread(mask_of(path))
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == (*mask.shape, 3)
        assert np.unique(mask).tolist() == [0, 255]
        assert 0.03 < (mask > 0).mean() < 0.5


def test_nuclei_are_split_for_training_and_testing() -> None:
    train, test = images("nuclei/train"), images("nuclei/test")
    assert (len(train), len(test)) == (20, 6)
    assert not {path.name for path in train} & {path.name for path in test}
    modalities = sorted(path.stem.rstrip("0123456789") for path in test)
    assert modalities == ["brightfield"] * 2 + ["fluorescence"] * 2 + ["stained"] * 2
    colours = [tifffile.imread(path).mean(axis=(0, 1)) for path in test if path.stem.startswith("fluorescence")]
    assert sorted(blue > 2 * red for red, _, blue in colours) == [False, True]


def test_brightfield_nuclei_of_the_test_have_rims_of_either_sign() -> None:
    brighter_inside = []
    for path in (path for path in images("nuclei/test") if path.stem.startswith("brightfield")):
        image, mask = tifffile.imread(path)[..., 0].astype(float), tifffile.imread(mask_of(path)) > 0
        inside, outside = mask & ~binary_erosion(mask, iterations=3), ~mask & binary_dilation(mask, iterations=3)
        brighter_inside.append(image[inside].mean() > image[outside].mean())
    assert sorted(brighter_inside) == [False, True]


@pytest.mark.parametrize("folder", ["nuclei/train", "nuclei/test"])
def test_a_global_threshold_is_not_enough_for_the_nuclei(script: ModuleType, folder: str) -> None:
    pairs = [(tifffile.imread(path), tifffile.imread(mask_of(path))) for path in images(folder)]
    assert 0.45 < np.mean([script.otsu_f1(image, mask) for image, mask in pairs]) < 0.7


def test_organs_are_16_bit_with_five_classes() -> None:
    paths = images("organs")
    masks = [tifffile.imread(mask_of(path)) for path in paths]
    assert json.loads((DATA / "organs" / "classes.json").read_text()) == {
        "0": "background", "1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"
    }  # fmt: skip
    subjects = [path.stem.split("_z")[0] for path in paths]
    assert len(set(subjects)) >= 4
    assert all(subjects.count(subject) >= 3 for subject in subjects)
    for path, mask in zip(paths, masks, strict=True):
        image = tifffile.imread(path)
        assert image.dtype == np.uint16
        assert mask.dtype == np.uint8
        assert image.shape == mask.shape == (160, 160)
        assert 400 < image.max() <= 1200
        assert set(np.unique(mask)) <= {0, 1, 2, 3, 4}
    for label in (1, 2, 3, 4):
        assert sum((mask == label).sum() > 50 for mask in masks) >= 8
    for mask in masks:
        right, left = np.nonzero(mask == 2)[1], np.nonzero(mask == 3)[1]
        assert (right < 80).all()
        assert (left >= 80).all()


def test_no_organ_class_is_told_by_its_intensity() -> None:
    """Even the best guess from the intensity alone finds no organ well."""
    paths = images("organs")
    image = np.concatenate([tifffile.imread(path).ravel() for path in paths]) // 20
    mask = np.concatenate([tifffile.imread(mask_of(path)).ravel() for path in paths])
    counts = np.array([np.bincount(image[mask == label], minlength=61) for label in range(5)])
    guess = counts.argmax(axis=0)[image]  # the best guess there is by intensity alone
    for label in (1, 2, 3, 4):
        hit = ((guess == label) & (mask == label)).sum()
        assert 2 * hit / ((guess == label).sum() + (mask == label).sum()) < 0.65


@pytest.mark.parametrize(("name", "dtype"), [("nuclei3d", np.uint16), ("nuclei3d_MASK", np.uint8)])
def test_stack_is_a_calibrated_imagej_hyperstack(name: str, dtype: type) -> None:
    with tifffile.TiffFile(DATA / "stack" / f"{name}.tiff") as tiff:
        assert tiff.is_imagej
        assert tiff.series[0].axes == "ZYX"
        assert tiff.series[0].shape == (12, 128, 160)
        assert tiff.series[0].dtype == dtype
        assert tiff.imagej_metadata["spacing"] == 1.0
        assert tiff.imagej_metadata["unit"] == "micron"
        assert tiff.pages[0].tags["XResolution"].value == (4, 1)  # pixels a micrometre
    stack = tifffile.imread(DATA / "stack" / f"{name}.tiff")
    if dtype is np.uint8:
        assert np.unique(stack).tolist() == [0, 255]
        assert all(0.05 < (plane > 0).mean() < 0.6 for plane in stack)
    else:
        assert stack.max() > 1000
