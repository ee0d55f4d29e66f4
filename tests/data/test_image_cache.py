"""Images that do not fit into memory: read part by part, they give the very patches that they give in memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.data.convention import decide_convention
from napari_attnseg.data.image_cache import load_images, memory_limit
from napari_attnseg.data.loading import network_channels
from napari_attnseg.data.mask_survey import survey_masks
from napari_attnseg.data.packed import PackedPlanes
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.patches import LoadedImage, PatchSampler
from napari_attnseg.data.pixels_on_disk import PixelsOnDisk
from napari_attnseg.data.tiff import read_info
from napari_attnseg.engine import fit
from napari_attnseg.events import Event, Notice
from napari_attnseg.settings import DataSettings
from napari_attnseg.training.class_weights import inverse_frequency
from napari_attnseg.training.run_folder import RunFolder
from tests.conftest import TINY, MakeFolder, blobs

KINDS = {
    "grey": ((), {"metadata": {"axes": "YX"}}),
    "tiled": ((), {"tile": (64, 64), "compression": "zlib", "metadata": {"axes": "YX"}}),
    "stack of channels": ((2, 3), {"imagej": True, "metadata": {"axes": "ZCYX"}}),
    "rgb": ("rgb", {"photometric": "rgb"}),
}


def written(folder: Path, kind: str, dtype: Any) -> Path:
    """Write one pair with an image of 300 x 290 pixels."""
    leading, options = KINDS[kind]
    plane, labels = blobs(1, (300, 290))
    rng = np.random.default_rng(0)
    shape = (*plane.shape, 3) if leading == "rgb" else (*leading, *plane.shape)
    base = plane[..., None] if leading == "rgb" else plane
    values = (base * rng.uniform(0.5, 1, shape)).astype(dtype)
    tifffile.imwrite(folder / "a.tif", values, **options)
    planes = leading[0] if isinstance(leading, tuple) and leading else 0
    mask = np.stack([labels] * planes) if planes else labels
    axes = {"imagej": True, "metadata": {"axes": "ZYX"}} if planes else {}
    tifffile.imwrite(folder / "a_MASK.tif", mask * 255, **axes)
    return folder


def loaded(folder: Path, settings: DataSettings, limit: int | None) -> list[LoadedImage]:
    pairs = find_pairs(folder).annotated
    convention = decide_convention(survey_masks(pair.mask for pair in pairs if pair.mask), None, "auto")
    channels = network_channels(read_info(pairs[0].image), settings)
    return load_images(pairs, convention, settings, channels, limit=limit)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", ["as-is", "grey", "rgb"])
def test_patches_from_files_are_those_from_memory(kind: str, channels: Any, tmp_path: Path) -> None:
    if channels == "rgb" and kind == "stack of channels":
        pytest.skip("two or more channels are not made RGB")
    dtype = np.uint8 if kind == "rgb" else np.uint16
    settings = DataSettings(channels=channels)
    folder = written(tmp_path, kind, dtype)
    (inside,), (outside,) = loaded(folder, settings, None), loaded(folder, settings, 0)
    assert isinstance(inside.pixels, np.ndarray)
    assert isinstance(outside.pixels, PixelsOnDisk)
    assert outside.pixels.shape == inside.pixels.shape
    assert np.array_equal(outside.pixels[0], inside.pixels[0])
    cut = [PatchSampler([one], size=70, foreground=0.5, seed=1).batch(0, 8, flips=True) for one in (inside, outside)]
    assert np.array_equal(cut[0].images, cut[1].images)
    assert np.array_equal(cut[0].labels, cut[1].labels)


def test_pixels_that_do_not_count_are_kept_apart(tmp_path: Path) -> None:
    folder = written(tmp_path, "grey", np.float32)
    values = tifffile.imread(folder / "a.tif")
    values[40:80, 100:140] = np.nan
    tifffile.imwrite(folder / "a.tif", values)
    (inside,), (outside,) = loaded(folder, DataSettings(), None), loaded(folder, DataSettings(), 0)
    cut = [PatchSampler([one], size=256, foreground=0, seed=1).batch(0, 4, flips=False) for one in (inside, outside)]
    assert cut[0].valid is not None
    assert not cut[0].valid.all()
    assert np.array_equal(cut[0].valid, cut[1].valid)
    assert np.array_equal(cut[0].images, cut[1].images)
    assert inverse_frequency([inside], 2).tolist() == inverse_frequency([outside], 2).tolist()


def test_packed_planes_are_indexed_like_arrays() -> None:
    planes = np.random.default_rng(0).integers(0, 5, (2, 700, 513)).astype(np.uint8)
    packed = PackedPlanes(planes)
    assert (packed.shape, packed.size, len(packed)) == (planes.shape, planes.size, 2)
    assert np.array_equal(packed[1], planes[1])
    for rows, columns in (
        (slice(0, 10), slice(500, 600)),
        (slice(250, 520), slice(250, 258)),
        (slice(699, 900), slice(0, 513)),
        (slice(255, 257), slice(511, 513)),
    ):
        assert np.array_equal(packed[0, ..., rows, columns], planes[0, ..., rows, columns])
    assert PackedPlanes(np.zeros((1, 2000, 2000), np.uint8)).nbytes < 2000 * 2000 / 100


def test_images_within_the_limit_stay_in_memory(make_folder: MakeFolder) -> None:
    folder = make_folder(4)
    one = loaded(folder, DataSettings(), None)[0]
    size = one.pixels.nbytes + one.labels.nbytes
    kinds = [type(image.pixels) for image in loaded(folder, DataSettings(), 2 * size)]
    assert kinds == [np.ndarray, np.ndarray, PixelsOnDisk, PixelsOnDisk]


def test_the_limit_is_shared_by_the_processes_of_a_machine() -> None:
    assert memory_limit(3.0, 3) == 10**9
    assert memory_limit(None, 1) > 0


def test_a_training_without_memory_for_images_learns_the_same(make_folder: MakeFolder, tmp_path: Path) -> None:
    source, events = make_folder(4), list[Event]()
    fit(source, tmp_path / "inside", **TINY)
    found = fit(source, tmp_path / "outside", **TINY, image_memory=0, on_event=events.append)
    assert any(isinstance(e, Notice) and e.message.startswith("4 of 4 images do not fit") for e in events)
    inside, outside = (RunFolder(tmp_path / name).read_metrics() for name in ("inside", "outside"))
    for one, other in zip(inside, outside, strict=True):
        assert 0 <= one.pop("waiting") <= 1
        assert 0 <= other.pop("waiting") <= 1
        assert {**one, "minutes": 0} == {**other, "minutes": 0}
    assert found.waiting is not None
    assert 0 <= found.waiting <= 1


def test_images_are_read_in_parts_without_what_the_viewer_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation without the viewer has no dask."""
    for name in ("dask", "dask.array"):
        monkeypatch.setitem(sys.modules, name, None)
    (image,) = loaded(written(tmp_path, "tiled", np.uint8), DataSettings(), limit=0)
    assert isinstance(image.pixels, PixelsOnDisk)
    assert image.pixels[0, :, 10:20, 10:30].shape == (1, 10, 20)
