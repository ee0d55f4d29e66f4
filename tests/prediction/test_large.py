"""Images predicted tile by tile, from file to file: they say what the whole image says, and survive what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import zarr

from napari_attnseg.cli import main
from napari_attnseg.data.lazy import open_lazily
from napari_attnseg.data.ome_zarr import Layout, fill_levels, make_levels, open_levels
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.engine import predict_to
from napari_attnseg.errors import DataError, GapsError, SaveError, SettingsError
from napari_attnseg.events import Event, Progress
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet
from napari_attnseg.prediction import tile_rows, tiling, working_store
from napari_attnseg.prediction.disk import free_disk, require_disk
from napari_attnseg.prediction.finishing import LargeProgress
from napari_attnseg.prediction.from_card import layouts_of
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.room import MEMORY_VARIABLE
from napari_attnseg.prediction.streaming import goes_on_on_cpu, predict_streamed
from napari_attnseg.prediction.tiling import FloatArray, Stopped, forward_on_device
from napari_attnseg.prediction.to_files import is_predicted_tile_by_tile, predict_to_files
from napari_attnseg.prediction.working_store import (
    WorkingStore,
    read_progress,
    store_folder,
)
from napari_attnseg.settings import DataSettings, PredictionSettings, make
from tests.conftest import damage_tile
from tests.prediction.test_fitting import with_room_for
from tests.prediction.test_predictor import GREYS, model, noise, predictor

SMALL = {"tile_size": 64, "overlap": 16, "batch_size": 3}


def unet(path: Path, **values: Any) -> Path:
    return model(path, name="unet", **values)


def smooth(*shape: int) -> np.ndarray:
    """Spots of some pixels, so that there are objects and holes."""
    coarse = np.random.default_rng(0).integers(0, 255, [-(-side // 8) for side in shape[:2]] + list(shape[2:]))
    return np.repeat(np.repeat(coarse, 8, 0), 8, 1)[: shape[0], : shape[1]].astype(np.uint8)


def both_ways(one: Path, image: Path, out: Path, **values: object) -> list[tuple[Any, Any]]:
    """Predict in memory and tile by tile; return each image that is written, both ways."""
    found = []
    for way in ("never", "always"):
        (out / way).mkdir(parents=True)
        used = predictor(one, tile_by_tile=way, probability=True, attention=True, **{**SMALL, **values})
        found.append([read_image(path) for path in predict_to_files(used, image, out / way)])
        assert not list((out / way).glob(".*")), "the working store stays"
    assert len(found[0]) == len(found[1])
    return list(zip(*found, strict=True))


def require_same(pairs: list[tuple[Any, Any]]) -> None:
    for whole, tiled in pairs:
        assert tiled.pixels.shape == whole.pixels.shape
        assert tiled.pixels.dtype == whole.pixels.dtype
        assert np.abs(tiled.pixels.astype(float) - whole.pixels).max() < 1e-5
        assert (tiled.info.stack_axes, tiled.info.spacing) == (whole.info.stack_axes, whole.info.spacing)


def test_colour_in_tiles(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", smooth(150, 205, 3), photometric="rgb", tile=(32, 48), compression="zlib")
    require_same(both_ways(model(tmp_path / "m.safetensors", channels=3), tmp_path / "a.tif", tmp_path / "out"))


@pytest.mark.parametrize("channels", ["rgb", "grey"])
def test_images_that_get_the_channels_of_the_network(tmp_path: Path, channels: str) -> None:
    """A network that learnt from colour sees grey images in three equal channels, and one of grey ones no colour."""
    learnt_from_rgb = channels == "rgb"
    shape = (150, 205) if learnt_from_rgb else (150, 205, 3)
    kind = "minisblack" if learnt_from_rgb else "rgb"
    tifffile.imwrite(tmp_path / "a.tif", smooth(*shape), photometric=kind, tile=(32, 48), compression="zlib")
    data = make(DataSettings, {"channels": channels})
    path = model(tmp_path / "m.safetensors", channels=3 if learnt_from_rgb else 1, data=data)
    require_same(both_ways(path, tmp_path / "a.tif", tmp_path / "out"))


def test_classes_with_objects_tidied(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", smooth(200, 90).astype(np.uint16) * 100, rowsperstrip=7, compression="zlib")
    path = unet(tmp_path / "m.safetensors", masks=GREYS)
    pairs = both_ways(path, tmp_path / "a.tif", tmp_path / "out", min_size=30, fill_holes=True)
    require_same(pairs)
    plain = predictor(path, **SMALL).predict_file(tmp_path / "a.tif").labels
    assert not np.array_equal(pairs[0][0].pixels[:, 0] > 0, plain > 0), "there was nothing to tidy"


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_a_stack_scaled_as_a_whole(tmp_path: Path, dtype: type) -> None:
    stack = noise(3, 70, 100).astype(dtype)
    if dtype == np.float32:
        stack[0, 3:9, 5] = np.nan
    tifffile.imwrite(
        tmp_path / "s.ome.tif", stack, metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    )
    require_same(both_ways(unet(tmp_path / "m.safetensors"), tmp_path / "s.ome.tif", tmp_path / "out"))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (700, 1), (20, 70)])
def test_shapes_at_the_limits(tmp_path: Path, shape: tuple[int, int]) -> None:
    """One strip of a wide image is decoded for a whole row of tiles."""
    tifffile.imwrite(tmp_path / "a.tif", noise(*shape), rowsperstrip=1, compression="zlib")
    path = model(tmp_path / "m.safetensors")
    require_same(both_ways(path, tmp_path / "a.tif", tmp_path / "out", tile_size=256, overlap=32))


@pytest.mark.parametrize(("shape", "axes"), [((5000, 6), "YX"), ((3, 5000, 5), "ZYX")])
def test_a_pyramid_of_a_narrow_image_keeps_its_channels_and_planes(
    tmp_path: Path, shape: tuple[int, ...], axes: str
) -> None:
    """A width of 1 would be taken for samples of a pixel."""
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(*shape), metadata={"axes": axes}, imagej=axes != "YX")
    used = predictor(model(tmp_path / "m.safetensors"), tile_by_tile="always", attention=True, tile_size=512)
    _, attention = predict_to_files(used, image, tmp_path)
    lazy = open_lazily(attention)
    expected = used.predict_file(image).attention
    assert expected is not None
    gates, (height, width) = expected.shape[1], shape[-2:]
    for level in lazy.levels:
        assert level.shape == (*shape[:-2], gates, height, width)
        height, width = -(-height // 2), -(-width // 2)
    assert min(lazy.levels[-1].shape[-2:]) > 1
    assert np.allclose(np.asarray(lazy.levels[0]).reshape(expected.shape), expected, atol=0.02)
    lazy.close()


def test_files_are_written_where_the_next_call_finds_what_a_kill_has_left(tmp_path: Path) -> None:
    """A hidden file of gigabytes would lie beside the predictions for ever."""
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(300, 40))
    used = predictor(unet(tmp_path / "m.safetensors"), tile_by_tile="always", probability=True, **SMALL)
    store = stopped_after(2, used, image, tmp_path).partial
    left = store / ".attnseg-0123456789ab.tif"
    left.write_bytes(b"of a process that was killed")
    seen: set[Path] = set()

    def look(progress: LargeProgress) -> None:
        if progress.stage == "files":
            seen.update(tmp_path.rglob(".attnseg-*"))

    written = predict_streamed(used, image, tmp_path, look)
    assert {path.parent for path in seen} == {store}
    assert len(seen - {left}) == 2
    assert sorted(tmp_path.iterdir()) == sorted([image, tmp_path / "m.safetensors", *written])


def test_an_image_without_pixels_is_one_sentence(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile's, that no reader will like this
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((0, 40), np.uint8))
    for way in ("auto", "always"):
        with pytest.raises(DataError, match=r"a\.tif"):
            predict_to_files(
                predictor(unet(tmp_path / "m.safetensors"), tile_by_tile=way), tmp_path / "a.tif", tmp_path
            )


def test_a_large_result_is_a_pyramid_that_our_reader_opens_lazily(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(30, 4200), tile=(32, 512), compression="zlib")
    path = unet(tmp_path / "m.safetensors")
    used = predictor(path, tile_by_tile="always", probability=True, tile_size=512)
    mask, probability = predict_to_files(used, tmp_path / "a.tif", tmp_path)
    with tifffile.TiffFile(mask) as tif:
        assert tif.is_bigtiff
        assert tif.pages[0].is_tiled
        assert tif.pages[0].subifds
    for written in (mask, probability):
        lazy = open_lazily(written)
        assert [level.shape[-2:] for level in lazy.levels] == [(30, 4200), (15, 2100), (8, 1050), (4, 525)]
        assert lazy.overview is None
        fine, coarse = (np.asarray(level) for level in lazy.levels[:2])
        halved = fine[::2, ::2] if written == mask else fine.reshape(15, 2, 2100, 2).mean(axis=(1, 3))
        assert np.allclose(coarse, halved, atol=1e-6)
        lazy.close()


def test_ome_zarr_of_a_stack_with_its_metadata(tmp_path: Path) -> None:
    """What another reader needs: axes in OME-Zarr's order, their types and units, and the scale of each level."""
    metadata = {"axes": "ZYX", "spacing": 0.7, "unit": "um"}
    tifffile.imwrite(tmp_path / "s.tif", noise(2, 40, 50), imagej=True, resolution=(4.0, 2.0), metadata=metadata)
    path = model(tmp_path / "m.safetensors")
    used = predictor(path, format="ome-zarr", attention=True, **SMALL)
    for _ in range(2):  # the second one takes the place of the first
        mask, attention = predict_to_files(used, tmp_path / "s.tif", tmp_path)
    assert (mask.name, attention.name) == ("s_PRED.ome.zarr", "s_ATTN.ome.zarr")
    group = zarr.open_group(attention, mode="r")
    ome: Any = group.attrs["ome"]
    assert ome["version"] == "0.5"
    image = ome["multiscales"][0]
    assert [(axis["name"], axis["type"], axis.get("unit")) for axis in image["axes"]] == [
        ("c", "channel", None),
        ("z", "space", "micrometer"),
        ("y", "space", "micrometer"),
        ("x", "space", "micrometer"),
    ]
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == pytest.approx([1, 0.7, 0.5, 0.25])
    found = predictor(path, attention=True, **SMALL).predict_file(tmp_path / "s.tif")
    assert found.attention is not None
    assert np.allclose(np.asarray(group["0"]), found.attention.swapaxes(0, 1), atol=1e-5)
    labels = np.asarray(zarr.open_group(mask, mode="r")["0"])
    assert np.array_equal(labels, np.where(found.labels > 0, 255, 0))
    assert not list(tmp_path.glob(".*"))


def stopped_after(rows: int, used: Predictor, image: Path, out: Path) -> LargeProgress:
    """Stop a prediction once some rows of tiles are done; return the last that was heard of it."""
    heard: list[LargeProgress] = []
    with pytest.raises(Stopped):
        predict_streamed(used, image, out, heard.append, lambda: bool(heard) and heard[-1].rows_done >= rows)
    return heard[-1]


def test_a_stopped_prediction_goes_on_and_says_the_same(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", noise(2, 300, 40), imagej=True, metadata={"axes": "ZYX"})
    path = unet(tmp_path / "m.safetensors")
    used = predictor(path, probability=True, **SMALL)
    whole = used.predict_file(tmp_path / "s.tif")
    for rows in (2, 8):  # in the first plane, and in the second
        reached = stopped_after(rows, used, tmp_path / "s.tif", tmp_path)
        assert reached.partial.is_dir()
    heard: list[LargeProgress] = []
    predict_streamed(used, tmp_path / "s.tif", tmp_path, heard.append)
    assert heard[0].rows_done >= 8
    assert (heard[-1].rows_done, heard[-1].share) == (heard[-1].rows, 1.0)
    assert [one.share for one in heard] == sorted(one.share for one in heard)
    assert np.abs(read_image(tmp_path / "s_PROB.tif").pixels - whole.probability).max() < 1e-5


@pytest.mark.parametrize("stage", ["intensities", "objects", "files"])
def test_it_may_be_stopped_at_any_stage(tmp_path: Path, stage: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", smooth(600, 40))  # two tiles of the file that is written
    used = predictor(unet(tmp_path / "m.safetensors"), min_size=20, fill_holes=True, **SMALL)
    heard: list[str] = []
    with pytest.raises(Stopped):
        predict_streamed(
            used, tmp_path / "a.tif", tmp_path, lambda one: heard.append(one.stage), lambda: stage in heard
        )
    assert not (tmp_path / "a_PRED.tif").exists()
    predict_streamed(used, tmp_path / "a.tif", tmp_path)
    labels = used.predict_file(tmp_path / "a.tif").labels
    assert np.array_equal(read_image(tmp_path / "a_PRED.tif").pixels[:, 0] > 0, labels > 0)


@pytest.mark.parametrize("change", ["threshold", "model", "image"])
def test_what_belongs_to_something_else_is_begun_anew(tmp_path: Path, change: str) -> None:
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(300, 40))
    path = unet(tmp_path / "m.safetensors")
    stopped_after(2, predictor(path, **SMALL), image, tmp_path)
    if change == "image":
        tifffile.imwrite(image, noise(300, 41))
    values = {"threshold": 0.4} if change == "threshold" else {}
    used = predictor(unet(tmp_path / "n.safetensors", masks=GREYS) if change == "model" else path, **SMALL, **values)
    heard: list[LargeProgress] = []
    predict_streamed(used, image, tmp_path, heard.append)
    assert heard[0].rows_done == 0
    labels = used.predict_file(image).labels
    assert np.array_equal(read_image(tmp_path / "a_PRED.tif").pixels[:, 0] > 0, labels > 0)


def test_a_killed_process_leaves_what_the_next_one_goes_on_with(tmp_path: Path) -> None:
    image, out = tmp_path / "a.tif", tmp_path / "out"
    tifffile.imwrite(image, noise(1200, 60))
    path = unet(tmp_path / "m.safetensors")
    values = [
        "--tile-by-tile",
        "always",
        "--tile-size",
        "64",
        "--overlap",
        "32",
        "--batch-size",
        "1",
        "--device",
        "cpu",
    ]
    command = [sys.executable, "-m", "napari_attnseg", "predict", path, image, "--out", out, *values]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    store = store_folder(image, out)
    try:
        while (progress := read_progress(store)) is None or progress.rows_done < 2:
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        child.kill()
        child.wait()
    heard: list[LargeProgress] = []
    used = predictor(path, tile_by_tile="always", tile_size=64, overlap=32)
    predict_streamed(used, image, out, heard.append)
    assert 2 <= heard[0].rows_done < heard[0].rows
    assert np.array_equal(read_image(out / "a_PRED.tif").pixels[:, 0] > 0, used.predict_file(image).labels > 0)


def test_an_image_that_changes_meanwhile(tmp_path: Path) -> None:
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(300, 40))

    def change(progress: LargeProgress) -> None:
        if 0 < progress.rows_done < progress.rows:
            tifffile.imwrite(image, noise(300, 40) + 1)

    used = predictor(unet(tmp_path / "m.safetensors"), **SMALL)
    with pytest.raises(DataError, match=r"a\.tif was changed while"):
        predict_streamed(used, image, tmp_path, change)
    assert not store_folder(image, tmp_path).exists()
    assert not (tmp_path / "a_PRED.tif").exists()


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_planes_smaller_than_a_batch_go_through_the_network_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axes: str
) -> None:
    """In memory and tile by tile, the last batch being smaller; planes of one tile, and of two rows of two."""
    path = unet(tmp_path / "m.safetensors")
    batches: list[int] = []

    def seen(model: UNet, cut: FloatArray, *others: Any, **options: Any) -> torch.Tensor:
        batches.append(len(cut))
        return forward_on_device(model, cut, *others, **options)

    monkeypatch.setattr(tile_rows, "forward_on_device", seen)
    monkeypatch.setattr(tiling, "forward_on_device", seen)
    for size, expected in ((48, [3, 3, 1]), (80, [3] * 9 + [1])):
        image = tmp_path / f"s{size}.tif"
        tifffile.imwrite(image, noise(7, size, size), imagej=True, metadata={"axes": axes})
        values = {**SMALL, "probability": True}
        one_by_one = predictor(path, **{**values, "batch_size": 1}).predict_file(image).probability
        batches.clear()
        in_memory = predictor(path, **values).predict_file(image).probability
        assert batches == (expected if size == 48 else [3, 1] * 7), "what one plane has enough of is not mixed"
        batches.clear()
        predict_streamed(predictor(path, **values), image, tmp_path)
        assert batches == expected
        written = read_image(tmp_path / f"s{size}_PROB.tif").pixels
        assert one_by_one is not None
        assert in_memory is not None
        assert np.abs(in_memory - one_by_one).max() < 1e-5
        assert np.abs(written - one_by_one).max() < 1e-5


def test_a_tile_that_cannot_be_decoded_is_named_and_a_gap(tmp_path: Path) -> None:
    """The image would fit into memory; the way tile by tile is taken because of the damage."""
    image = tmp_path / "a.tif"
    pixels = smooth(150, 205)
    tifffile.imwrite(image, pixels, tile=(64, 64), compression="zlib")
    path = unet(tmp_path / "m.safetensors")
    used = predictor(path, probability=True, threshold=0.01, **SMALL)
    whole = used.predict_file(image).probability
    damage_tile(image, 5)
    with pytest.raises(GapsError, match=r"rows 64 to 127 and columns 64 to 127 cannot be decoded"):
        predict_to_files(used, image, tmp_path)
    gap = np.zeros((150, 205), bool)
    gap[64:128, 64:128] = True
    probability = read_image(tmp_path / "a_PROB.tif").pixels[0, 0]
    assert np.array_equal(np.isnan(probability), gap)
    assert np.array_equal(read_image(tmp_path / "a_PRED.tif").pixels[0, 0] == 0, gap)
    assert whole is not None
    assert np.abs(probability - whole[0, 0])[:, 140:].max() < 0.02, "the gap is not left out of the intensities"


@pytest.mark.parametrize("form", ["tiff", "ome-zarr"])
def test_gaps_stay_known_beside_the_mask(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    image, out = tmp_path / "a.tif", tmp_path / "out"
    out.mkdir()
    tifffile.imwrite(image, smooth(150, 205), tile=(64, 64), compression="zlib")
    sound = image.read_bytes()
    used = predictor(unet(tmp_path / "m.safetensors"), threshold=0.01, format=form, **SMALL)
    damage_tile(image, 5)
    with pytest.raises(GapsError):
        predict_to_files(used, image, out)
    assert main(["objects", str(out), "--out", str(tmp_path / "found")]) == 0
    name = "a_PRED.tif" if form == "tiff" else "a_PRED.ome.zarr"
    assert f"{name} has 1 gap, where the image could not be decoded" in capsys.readouterr().out
    image.write_bytes(sound)
    predict_to_files(used, image, out)
    assert [path.name for path in out.iterdir()] == [name]
    assert main(["objects", str(out), "--out", str(tmp_path / "found")]) == 0
    assert "1 gap" not in capsys.readouterr().out


def test_too_small_a_disk_is_said_before(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(8, 8))
    huge = Layout(replace(read_info(tmp_path / "a.tif"), height=10**8, width=10**8), "float32", ("nucleus",))
    with pytest.raises(SaveError, match=r"needs about [\d.]+ GB in .* and [\d.]+ [GM]B are free"):
        require_disk(tmp_path, {"_PROB": huge}, share_left=1, as_tiff=True)
    require_disk(tmp_path, {"_PROB": huge}, share_left=0, as_tiff=False)


def test_what_will_be_replaced_is_room(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(8, 8))
    free = free_disk(tmp_path)
    needed = replace(read_info(tmp_path / "a.tif"), height=1000, width=(free + 2**40) // 4000)
    layouts = {"_PROB": Layout(needed, "float32", ("nucleus",))}
    old = tmp_path / "old"
    old.mkdir()
    with (old / "chunk").open("wb") as file:
        file.truncate(2**42)  # which takes no room on the disk
    with pytest.raises(SaveError, match="needs about"):
        require_disk(tmp_path, layouts, share_left=0.6, as_tiff=False)
    require_disk(tmp_path, layouts, share_left=0.6, as_tiff=False, replaced=old)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on file sizes")
def test_a_disk_that_gets_full_keeps_what_is_finished(tmp_path: Path) -> None:
    image, out = tmp_path / "a.tif", tmp_path / "out"
    tifffile.imwrite(image, noise(300, 64))
    path = unet(tmp_path / "m.safetensors")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from napari_attnseg.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    values = ["--tile-by-tile", "always", "--tile-size", "64", "--overlap", "16", "--probability", "--device", "cpu"]
    command = [sys.executable, "-c", code, "predict", path, image, "--out", out, *values]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert store_folder(image, out).is_dir()
    used = predictor(path, tile_by_tile="always", tile_size=64, overlap=16, probability=True)
    predict_to_files(used, image, out)
    whole = used.predict_file(image).probability
    assert np.abs(read_image(out / "a_PROB.tif").pixels - whole).max() < 1e-5


def test_memory_that_runs_out_for_a_tile_begins_anew_with_smaller_ones(tmp_path: Path) -> None:
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(600, 300))
    path = unet(tmp_path / "m.safetensors")
    whole = predictor(path, probability=True, tile_size=1024).predict_file(image).probability
    used = predictor(path, tile_by_tile="always", probability=True, tile_size=256, overlap=64, batch_size=4)
    with_room_for(used, 2 * 128 * 128, torch.cuda.OutOfMemoryError("CUDA out of memory."))
    predict_to_files(used, image, tmp_path)
    assert used.tiling.tile_size == 128
    assert np.abs(read_image(tmp_path / "a_PROB.tif").pixels - whole).max() < 0.03  # where tiles meet


def test_memory_that_runs_out_for_a_batch_is_met_with_smaller_batches_alone(tmp_path: Path) -> None:
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(300, 1000))
    path = unet(tmp_path / "m.safetensors")
    whole = predictor(path, probability=True, tile_size=128, overlap=32).predict_file(image).probability
    used = predictor(path, tile_by_tile="always", probability=True, tile_size=128, overlap=32, batch_size=4)
    seen = with_room_for(used, 2 * 128 * 128, torch.cuda.OutOfMemoryError("CUDA out of memory."))
    predict_to_files(used, image, tmp_path)
    assert (used.tiling.tile_size, used.tiling.batch_size) == (128, 2)
    assert sum(shape[0] > 2 for shape in seen) == 1, "what was too much once is tried again"
    assert np.abs(read_image(tmp_path / "a_PROB.tif").pixels - whole).max() < 1e-5


def test_smaller_tiles_stay_as_they_are_when_it_goes_on(tmp_path: Path) -> None:
    """Their overlap is smaller too, and with another one there would be another number of rows."""
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(900, 200))
    path = unet(tmp_path / "m.safetensors")
    whole = predictor(path, probability=True, tile_size=1024).predict_file(image).probability
    values = {"tile_by_tile": "always", "probability": True, "tile_size": 256, "overlap": 128}
    used = predictor(path, **values)
    with_room_for(used, 128 * 128, torch.cuda.OutOfMemoryError("CUDA out of memory."))
    begun = stopped_after(3, used, image, tmp_path)
    assert used.tiling.overlap < 128
    heard: list[LargeProgress] = []
    predict_streamed(predictor(path, **values), image, tmp_path, heard.append)
    assert heard[0].rows_done >= begun.rows_done
    assert heard[0].rows == begun.rows
    assert np.abs(read_image(tmp_path / "a_PROB.tif").pixels - whole).max() < 0.03  # where tiles meet


def test_rows_that_are_finished_stay_where_memory_is_short_for_the_moment(tmp_path: Path) -> None:
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(900, 200))
    path = unet(tmp_path / "m.safetensors")
    values = {"tile_by_tile": "always", "probability": True, "tile_size": 256, "overlap": 64, "batch_size": 1}
    whole = predictor(path, **values).predict_file(image).probability
    begun = stopped_after(2, predictor(path, **values), image, tmp_path)
    before = {file: file.read_bytes() for file in begun.partial.rglob("*") if file.is_file()}
    progress = read_progress(begun.partial)
    assert progress is not None
    used = predictor(path, **values)
    with_room_for(used, 128 * 128, torch.cuda.OutOfMemoryError("CUDA out of memory."))
    done = rf"in tiles of 256 pixels; {progress.rows_done} of {progress.rows} rows of tiles are finished, and stay\."
    with pytest.raises(DataError, match=rf"to go on with a\.tif {done}.*--tile-size 128 begins anew"):
        predict_streamed(used, image, tmp_path)
    assert {file: file.read_bytes() for file in begun.partial.rglob("*") if file.is_file()} == before
    heard: list[LargeProgress] = []
    predict_streamed(predictor(path, **values), image, tmp_path, heard.append)
    assert heard[0].rows_done == progress.rows_done
    assert np.abs(read_image(tmp_path / "a_PROB.tif").pixels - whole).max() < 1e-5


@pytest.mark.parametrize(
    ("kind", "dtype", "precision", "expected"),
    [
        ("cuda", torch.float32, "float32", True),
        ("cuda", torch.bfloat16, "bfloat16", True),
        ("cuda", torch.float16, "auto", False),
        ("cuda", torch.float16, "float16", False),
        ("cpu", torch.float32, "auto", False),
    ],
)
def test_when_a_cpu_goes_on_with_what_a_gpu_has_begun(
    tmp_path: Path, kind: str, dtype: torch.dtype, precision: Any, expected: bool
) -> None:
    one = predictor(unet(tmp_path / "m.safetensors"))
    one.compute = Compute(torch.device(kind), dtype, "")
    one.settings = PredictionSettings(precision=precision)
    assert goes_on_on_cpu(one) == expected


def test_a_row_that_could_not_be_written_does_not_count_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network drive fails once, while batches that come after are waiting to be written."""
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(300, 160))
    used = predictor(unet(tmp_path / "m.safetensors"), probability=True, **{**SMALL, "batch_size": 1})
    put, calls = WorkingStore.put, []

    def failing_once(store: WorkingStore, kind: str, plane: int, channel: int, rows: slice, *rest: Any) -> None:
        calls.append(rows)
        if len(calls) == 9:  # in the second row of tiles
            time.sleep(0.5)
            raise SaveError("The drive is gone.")
        put(store, kind, plane, channel, rows, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(WorkingStore, "put", failing_once)
        with pytest.raises(SaveError, match="drive"):
            predict_streamed(used, image, tmp_path)
    progress = read_progress(store_folder(image, tmp_path))
    assert progress is not None
    assert progress.lines_done <= calls[8].start
    predict_streamed(used, image, tmp_path)
    whole = used.predict_file(image).probability
    assert np.abs(read_image(tmp_path / "a_PROB.tif").pixels - whole).max() < 1e-5


@pytest.mark.parametrize("threshold", [0.5, 0.4])
def test_what_was_broken_off_goes_on_or_goes(tmp_path: Path, threshold: float) -> None:
    """Also where the memory would be enough by now; with other settings it is of no use any more."""
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(300, 40))
    path = unet(tmp_path / "m.safetensors")
    begun = stopped_after(2, predictor(path, **SMALL), image, tmp_path)
    heard: list[LargeProgress | None] = []
    used = predictor(path, threshold=threshold, **SMALL)
    predict_to_files(used, image, tmp_path, lambda share, large: heard.append(large))
    first = heard[0]
    assert (first is None) == (threshold != 0.5)
    assert first is None or first.rows_done >= begun.rows_done
    assert not begun.partial.exists()
    assert np.array_equal(read_image(tmp_path / "a_PRED.tif").pixels[:, 0] > 0, used.predict_file(image).labels > 0)


def test_an_event_says_how_many_rows_are_done_and_where(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(300, 40))
    events: list[Event] = []
    path = unet(tmp_path / "m.safetensors")
    written = predict_to(
        path,
        tmp_path / "a.tif",
        tmp_path,
        on_event=events.append,
        tile_by_tile="always",
        device="cpu",
        **{**SMALL, "batch_size": 1},  # else several rows of one tile are done at once
    )
    assert [one.name for one in written] == ["a_PRED.tif"]
    details = [event.details for event in events if isinstance(event, Progress)]
    assert details[-1] == {"tile_rows_done": 6, "tile_rows": 6, "partial": str(tmp_path / ".a_PRED.partial.zarr")}
    assert sorted({one["tile_rows_done"] for one in details}) == list(range(7))
    json.dumps(details)


def test_when_an_image_goes_tile_by_tile(tmp_path: Path) -> None:
    """A gigantic image, of which only the header exists, does not fit into half of any memory."""
    tifffile.imwrite(tmp_path / "a.tif", noise(40, 40))
    path = unet(tmp_path / "m.safetensors")
    assert not is_predicted_tile_by_tile(predictor(path), tmp_path / "a.tif", tmp_path)
    assert is_predicted_tile_by_tile(predictor(path, format="ome-zarr"), tmp_path / "a.tif", tmp_path)
    with tifffile.TiffWriter(tmp_path / "b.tif", bigtiff=True) as writer:
        tile = (65536, 65536)
        empty = iter([b""] * 4096)
        writer.write(empty, shape=(2**22, 2**22), dtype=np.uint8, tile=tile, compression="zlib")
    assert is_predicted_tile_by_tile(predictor(path), tmp_path / "b.tif", tmp_path)
    assert not is_predicted_tile_by_tile(predictor(path, tile_by_tile="never"), tmp_path / "b.tif", tmp_path)


def test_the_memory_that_may_be_taken_can_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(40, 40))
    used = predictor(unet(tmp_path / "m.safetensors"))
    monkeypatch.setenv(MEMORY_VARIABLE, "0.00001")
    assert is_predicted_tile_by_tile(used, image, tmp_path)
    monkeypatch.setenv(MEMORY_VARIABLE, "1e6")
    assert not is_predicted_tile_by_tile(used, image, tmp_path), (
        "there is no more than the computer has, and that is enough"
    )
    assert is_predicted_tile_by_tile(used, image, tmp_path, lambda: 10_000)
    monkeypatch.setenv(MEMORY_VARIABLE, "much")
    with pytest.raises(SettingsError, match="gigabytes"):
        is_predicted_tile_by_tile(used, image, tmp_path)


@pytest.mark.parametrize("seconds", [0, 1000])
def test_coarser_levels_grow_with_the_finest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """What is finished looks the same from far, in a stack too, and nothing is left to be done at the end.

    Real numbers, which take long, are filled now and then: up to the last whole chunk where that is not due.
    """
    monkeypatch.setattr(working_store, "_SECONDS_BETWEEN_FILLS", seconds)
    image = tmp_path / "s.tif"
    tifffile.imwrite(image, noise(2, 5001, 33), imagej=True, metadata={"axes": "ZYX"})
    values = {"format": "ome-zarr", "tile_size": 1024, "overlap": 64, "batch_size": 1}
    used = predictor(unet(tmp_path / "m.safetensors"), probability=True, **values)
    reached = stopped_after(9, used, image, tmp_path)
    progress = read_progress(reached.partial)
    assert progress is not None
    plane, done = progress.rows_done // (progress.rows // 2), progress.lines_done
    assert (plane, 0 < done < 5001) == (1, True)
    mask, probability = (open_levels(reached.partial / kind) for kind in ("_PRED", "_PROB"))
    assert len(mask) == 4
    for number, (finer, coarser) in enumerate(pairwise(mask), start=1):
        for at, until in ((0, 5001 >> number), (1, done >> number)):
            assert np.array_equal(np.asarray(coarser)[at, :until], np.asarray(finer)[at, ::2, ::2][:until])
    fine, coarse = (np.asarray(level)[0, 0] for level in probability[:2])
    expected = (fine[0:5000:2, :32:2] + fine[1:5000:2, :32:2] + fine[0:5000:2, 1:32:2] + fine[1:5000:2, 1:32:2]) / 4
    assert np.allclose(coarse[:2500, :16], expected, atol=1e-6)
    filled = done if seconds == 0 else done - done % 1024
    assert done > 1024
    assert np.asarray(probability[3])[0, 1, : filled // 8].all()
    assert not np.asarray(probability[3])[0, 1, filled // 8 + 1 :].any()
    predict_streamed(used, image, tmp_path)
    grown = [np.asarray(level) for level in open_levels(tmp_path / "s_PROB.ome.zarr")]
    layout = layouts_of(used.card, used.settings, read_info(image))["_PROB"]
    make_levels(tmp_path / "anew.zarr", layout)
    anew = open_levels(tmp_path / "anew.zarr", writable=True)
    anew[0][...] = grown[0]
    assert list(fill_levels(anew, layout, mean=True))[-1] == 1.0
    assert all(np.allclose(one, np.asarray(other), atol=1e-6) for one, other in zip(grown, anew, strict=True))


def test_what_is_written_says_what_it_was_made_of(tmp_path: Path) -> None:
    image, path = tmp_path / "a.tif", unet(tmp_path / "m.safetensors")
    tifffile.imwrite(image, noise(300, 40))
    used = predictor(path, format="ome-zarr", threshold=0.4, **SMALL)
    reached = stopped_after(2, used, image, tmp_path)
    expected = Origin.of(path, image, used.settings)
    assert Origin.read(reached.partial / "_PRED") == expected
    predict_streamed(used, image, tmp_path)
    assert Origin.read(tmp_path / "a_PRED.ome.zarr") == expected
    assert expected.settings["threshold"] == 0.4
    assert Origin.of(path, image, PredictionSettings(threshold=0.5)) != expected
    assert Origin.read(tmp_path) is None


def test_a_second_prediction_of_the_same_image_is_refused_and_names_the_first(tmp_path: Path) -> None:
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, noise(100, 40))
    used = predictor(unet(tmp_path / "m.safetensors"), tile_by_tile="always", **SMALL)
    code = (
        "import sys, time; from pathlib import Path; from napari_attnseg.prediction.claim import claimed;"
        "hold = claimed(Path(sys.argv[1]), 'it'); hold.__enter__(); print('held', flush=True); time.sleep(100)"
    )
    lock = tmp_path / ".a_PRED.lock"
    other = subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SaveError, match=rf"a\.tif is being predicted into .* by process {other.pid} on"):
            predict_to_files(used, image, tmp_path)
        assert not store_folder(image, tmp_path).exists()
    finally:
        other.kill()
        other.communicate()
    predict_to_files(used, image, tmp_path)  # the lock of one that was killed holds nobody up
    assert not lock.exists()
    assert (tmp_path / "a_PRED.tif").is_file()
