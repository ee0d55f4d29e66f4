"""What was predicted before by the same model, of the same image and in the same way, is kept; nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.cli import main
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.masks import write_mask, write_values
from napari_attnseg.data.ome_zarr import Layout, fill_levels, make_levels, open_levels
from napari_attnseg.data.pyramid_tiff import write_pyramid
from napari_attnseg.data.tiff import read_info
from napari_attnseg.data.tiff_note import NOTE_TAG, read_note
from napari_attnseg.data.write import write_image
from napari_attnseg.engine import predict_to
from napari_attnseg.events import Event, Finished, Notice, Progress, Started, event_from_json
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.working_store import read_progress, store_folder
from napari_attnseg.settings import PredictionSettings
from tests.conftest import damage_tile
from tests.prediction.test_predictor import BINARY, GREYS, model, noise

Predict = Callable[..., list[Event]]
ALL = ("a.tif", "b.tif", "late/c.tif")
TILES = ("--tile-by-tile", "always", "--tile-size", "64", "--overlap", "16")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return model(tmp_path / "model.safetensors")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "late").mkdir(parents=True)
    for number, name in enumerate(ALL):
        tifffile.imwrite(folder / name, noise(70 + number, 90).astype(np.uint8))
    return folder


@pytest.fixture
def predict(network: Path, images: Path, tmp_path: Path) -> Predict:
    """Return what predicts the three images into the folder 'out' and returns what was told."""

    def call(*more: object, code: int = 0, using: Path = network) -> list[Event]:
        job = tmp_path / "job"
        job.mkdir(exist_ok=True)
        (job / "events.jsonl").unlink(missing_ok=True)
        words = ["predict", using, images, "--out", tmp_path / "out", "--job", job, "--device", "cpu", *more]
        assert main([str(word) for word in words]) == code
        found = [event_from_json(line) for line in (job / "events.jsonl").read_text().splitlines()]
        return [event for event in found if event is not None]

    return call


def kept(told: list[Event]) -> int:
    end = told[-1]
    assert isinstance(end, Finished)
    assert end.results["images"] + end.results["kept"] == 3
    return int(end.results["kept"])


def notices(told: list[Event]) -> list[str]:
    return [event.message for event in told if isinstance(event, Notice)]


@pytest.mark.parametrize(
    "form",
    [
        (),
        TILES,
        ("--format", "ome-zarr", "--tile-size", "64", "--overlap", "16"),
        ("--probability", "--attention"),
        (*TILES, "--probability", "--attention"),
    ],
)
def test_what_is_there_is_kept_and_counted_as_done(predict: Predict, tmp_path: Path, form: tuple[str, ...]) -> None:
    predict(*form)
    written = sorted((tmp_path / "out").glob("b_PRED*"))[0]
    if written.is_dir():
        (written / "zarr.json").unlink()
    else:
        written.unlink()
    others = [path for top in (tmp_path / "out").rglob("[ac]_*") for path in (top, *top.rglob("*"))]
    states = {path: path.stat().st_ino for path in others if path.is_file()}
    told = predict(*form)
    assert kept(told) == 2
    assert notices(told)[0] == (
        "2 images were predicted before with this model and these settings; they are kept (--again predicts them anew)."
    )
    assert isinstance(told[0], Started)
    assert told[0].summary.startswith("Predict 3 images")
    done = [event for event in told if isinstance(event, Progress)]
    assert done[0].done == pytest.approx(2 / 3)
    assert "3 of 3, b.tif" in done[-1].message
    assert done[-1].done == 1
    assert states
    assert states == {path: path.stat().st_ino for path in states}, "a kept file is not written"
    assert kept(predict(*form)) == 3
    told = predict(*form, "--again")
    assert kept(told) == 0
    assert any(text.startswith("Replaces 3 earlier predictions") for text in notices(told))
    assert all(path.stat().st_ino != state for path, state in states.items() if path.suffix == ".tif")


def test_one_image_is_told_of_as_one(predict: Predict, images: Path, tmp_path: Path) -> None:
    predict()
    for name in ALL[1:]:
        (images / name).write_bytes((images / name).read_bytes())  # another time
    told = predict()
    assert kept(told) == 1
    assert notices(told)[0].startswith("1 image was predicted before")
    end = told[-1]
    assert isinstance(end, Finished)
    assert end.message == f"Wrote 2 predictions to {tmp_path / 'out'} and kept 1 earlier one."


@pytest.mark.parametrize(
    "change",
    [
        ("--threshold", "0.4"),
        ("--min-size", "20"),
        ("--fill-holes",),
        ("--overlap", "32"),
        ("--tile-size", "64", "--overlap", "32"),
        ("--tta",),
        ("--precision", "float32"),
        ("--axes", "YX"),
        ("--probability",),
        ("--attention",),
        ("--format", "ome-zarr"),
    ],
)
def test_what_was_made_with_other_settings_is_made_anew(predict: Predict, change: tuple[str, ...]) -> None:
    predict()
    assert kept(predict(*change)) == 0
    assert kept(predict(*change)) == 3


@pytest.mark.parametrize("same", [("--batch-size", "1"), ("--tile-by-tile", "always"), ("--device", "auto")])
def test_what_changes_no_result_is_no_reason(predict: Predict, same: tuple[str, ...]) -> None:
    predict()
    assert kept(predict(*same)) == 3


def test_more_parts_than_are_asked_for_are_kept_with_it(predict: Predict, tmp_path: Path) -> None:
    predict("--probability")
    assert kept(predict()) == 3
    assert (tmp_path / "out" / "a_PROB.tif").is_file()
    (tmp_path / "out" / "a_PROB.tif").unlink()
    assert kept(predict("--probability")) == 2


def test_another_model_and_another_name_of_the_same(predict: Predict, network: Path, tmp_path: Path) -> None:
    predict()
    renamed, other = tmp_path / "renamed.safetensors", tmp_path / "other.safetensors"
    renamed.write_bytes(network.read_bytes())
    assert kept(predict(using=renamed)) == 3
    assert kept(predict(using=model(other, GREYS))) == 0
    assert kept(predict()) == 0


def test_parts_of_two_predictions_are_not_kept(predict: Predict, tmp_path: Path) -> None:
    """As a kill between two files leaves them."""
    predict("--probability", "--threshold", "0.4")
    old = (tmp_path / "out" / "a_PROB.tif").read_bytes()
    predict("--probability")
    (tmp_path / "out" / "a_PROB.tif").write_bytes(old)
    assert kept(predict()) == 2
    assert not (tmp_path / "out" / "a_PROB.tif").exists()


def test_a_model_that_is_replaced_meanwhile_is_not_noted_in_its_place(
    predict: Predict, network: Path, images: Path, tmp_path: Path
) -> None:
    """A training goes on and writes a better one, while the one that was loaded predicts."""
    before = network.read_bytes()
    other = model(tmp_path / "other.safetensors", GREYS).read_bytes()

    from napari_attnseg.prediction import to_files

    real, written = to_files.write_prediction, []

    def replacing(*arguments: Any) -> list[Path]:
        network.write_bytes(other)
        written.extend(real(*arguments))
        return written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(to_files, "write_prediction", replacing)
        predict()
    assert kept(predict()) == 0, "they are of the model as it was"
    network.write_bytes(before)
    predict()
    assert kept(predict()) == 3


@pytest.mark.parametrize("way", ["viewer", "tifffile", "pillow", "in place", "unknown"])
def test_a_mask_that_was_edited_is_not_taken_for_a_prediction(
    predict: Predict, images: Path, tmp_path: Path, way: str
) -> None:
    predict()
    path = tmp_path / "out" / "a_PRED.tif"
    assert Origin.read(path) is not None
    existing, like = read_info(path), read_info(images / "a.tif")
    labels = np.ones((1, 70, 90), np.uint8)
    if way == "viewer":
        write_mask(path, labels, BINARY, like=like, existing=existing)
    elif way == "tifffile":
        tifffile.imwrite(path, labels[0])
    elif way == "pillow":
        from PIL import Image

        with Image.open(path) as opened:
            opened.load()
            opened.save(path)
        with tifffile.TiffFile(path) as tif:
            assert NOTE_TAG in tif.pages.first.tags, "it carries tags over"
    elif way == "in place":
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"x")
    else:
        write_image(path, labels[0], "YX")
    assert Origin.read(path) is None
    told = predict()
    assert kept(told) == 2
    assert any(text.startswith("Replaces 1 earlier prediction in") for text in notices(told))


def test_our_own_ways_of_saving_a_mask_leave_the_note_out(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(20, 30))
    like, path = read_info(tmp_path / "a.tif"), tmp_path / "a_PRED.tif"
    labels = np.ones((1, 20, 30), np.uint8)
    objects = MaskConvention("instances", {0: 0}, ("background", "object"))
    for convention in (BINARY, GREYS, objects):
        write_mask(path, labels, BINARY, like=like, note='{"of": "this"}')
        assert read_note(path) == '{"of": "this"}'
        write_mask(path, labels, convention, like=like, existing=read_info(path))
        assert read_note(path) == ""
    write_mask(path, labels, BINARY, like=like, note="x")
    write_values(path, labels, like=like, existing=read_info(path))
    assert read_note(path) == ""
    assert read_note(tmp_path / "gone.tif") == ""
    (tmp_path / "none.tif").write_text("no TIFF")
    assert read_note(tmp_path / "none.tif") == ""


@pytest.mark.parametrize("name", ["plain.tif", "many.ome.tif", "stack.tif"])
def test_the_note_disturbs_no_reader(tmp_path: Path, name: str) -> None:
    """ImageJ hyperstacks and OME-TIFF stay what they are, in pages of which only the first has it."""
    pixels = noise(20, 30) if name == "plain.tif" else noise(3, 20, 30)
    axes = "ZYX"[-pixels.ndim :]
    tifffile.imwrite(tmp_path / "s.tif", pixels, imagej=True, metadata={"axes": axes, "spacing": 0.7, "unit": "um"})
    like, path, plain = read_info(tmp_path / "s.tif"), tmp_path / name, tmp_path / f"without {name}"
    note = json.dumps({"image": "Zellkörper.tif"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_image(path, pixels, axes, like=like, note=note)
        write_image(plain, pixels, axes, like=like)
        assert np.array_equal(tifffile.imread(path), pixels)
    assert json.loads(read_note(path)) == {"image": "Zellkörper.tif"}
    with tifffile.TiffFile(path) as one, tifffile.TiffFile(plain) as other:
        assert [NOTE_TAG in page.tags for page in one.pages] == [True] + [False] * (len(other.pages) - 1)
        assert (one.is_imagej, one.is_ome) == (other.is_imagej, other.is_ome)
        assert one.series[0].axes == other.series[0].axes
        kinds = [{tag.code for tag in tif.pages.first.tags} for tif in (one, other)]
        assert kinds[0] - kinds[1] == {NOTE_TAG}
    info = read_info(path)
    assert (info.spacing, info.stack_axes) == (like.spacing, like.stack_axes)
    from PIL import Image

    with Image.open(path) as opened:
        assert np.array_equal(np.asarray(opened), pixels if pixels.ndim == 2 else pixels[0])


@pytest.mark.parametrize("unit", [1, 100, 10**7, 10**9, 2 * 10**9])
def test_file_systems_keep_times_more_or_less_exactly(tmp_path: Path, unit: int) -> None:
    path = tmp_path / "a.tif"
    write_image(path, noise(20, 30), "YX", note="x")
    moment = path.stat().st_mtime_ns
    coarse = -(-moment // unit) * unit
    assert coarse == moment // unit * unit, "cut off or rounded up, it is the same"
    os.utime(path, ns=(coarse, coarse))
    assert read_note(path) == "x"
    for other in (coarse + 2 * 10**9, coarse - 2 * 10**9, coarse + 12345):
        os.utime(path, ns=(other, other))
        assert read_note(path) == ""


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_the_note_in_a_pyramid(tmp_path: Path, name: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(30, 4200))
    layout = Layout(read_info(tmp_path / "a.tif"), "uint8")
    make_levels(tmp_path / "levels.zarr", layout)
    levels = open_levels(tmp_path / "levels.zarr", writable=True)
    levels[0][...] = noise(30, 4200).astype(np.uint8)
    assert list(fill_levels(levels, layout, mean=False))
    path = tmp_path / "out" / name
    path.parent.mkdir()
    write_pyramid(path, levels, layout, note="what it is")
    assert read_note(path) == "what it is"
    with tifffile.TiffFile(path) as tif:
        assert tif.is_bigtiff
        assert len(tif.series[0].levels) == len(levels)
        assert np.array_equal(tif.series[0].levels[1].asarray(), np.asarray(levels[1]))


@pytest.mark.parametrize("form", ["tiff", "ome-zarr"])
def test_gaps_of_a_kept_prediction_are_told_again(
    predict: Predict, images: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(images / "b.tif", noise(150, 205).astype(np.uint8), tile=(64, 64), compression="zlib")
    damage_tile(images / "b.tif", 5)
    first = predict("--format", form, code=1)
    capsys.readouterr()
    again = predict("--format", form, code=1)
    output, error = capsys.readouterr()
    assert kept(again) == 3
    ends = [event.results["gaps"] for event in (first[-1], again[-1]) if isinstance(event, Finished)]
    assert ends[0] == ends[1]
    assert len(ends[0]) == 1
    assert "and kept 3 earlier ones, 1 of them with gaps" in output
    assert "1 of 3 images could be predicted only in parts: b.tif was predicted with gaps" in error


@pytest.mark.parametrize("form", ["tiff", "ome-zarr"])
def test_a_job_that_is_killed_in_its_second_image_goes_on_there(network: Path, tmp_path: Path, form: str) -> None:
    folder, out = tmp_path / "slides", tmp_path / "out"
    folder.mkdir()
    for name in ("a.tif", "b.tif", "c.tif"):
        tifffile.imwrite(folder / name, noise(600, 60))
    command = [
        "predict",
        network,
        folder,
        "--out",
        out,
        "--format",
        form,
        "--device",
        "cpu",
        "--batch-size",
        "1",
        *TILES,
    ]
    words = [str(word) for word in command]
    child = subprocess.Popen([sys.executable, "-m", "napari_attnseg", *words], stdout=subprocess.DEVNULL)
    store = store_folder(folder / "b.tif", out)
    try:
        while (progress := read_progress(store)) is None or progress.rows_done < 2:
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        child.kill()
        child.wait()
    job = tmp_path / "job"
    job.mkdir()
    assert main([*words, "--job", str(job)]) == 0
    told = [event for line in (job / "events.jsonl").read_text().splitlines() if (event := event_from_json(line))]
    assert kept(told) == 1
    assert not any("Replaces" in text for text in notices(told))
    heard = [event for event in told if isinstance(event, Progress) and event.details]
    assert heard[0].message.startswith("2 of 3, b.tif")
    assert next(event.details["tile_rows_done"] for event in heard) >= 2
    assert not list(out.glob(".*"))


def test_again_begins_rows_anew_too(predict: Predict, network: Path, images: Path, tmp_path: Path) -> None:
    from tests.prediction.test_large import stopped_after
    from tests.prediction.test_predictor import predictor

    out = tmp_path / "out"
    out.mkdir()
    used = predictor(network, tile_size=64, overlap=16, batch_size=1, precision="auto")
    reached = stopped_after(1, used, images / "a.tif", out)
    assert reached.partial.is_dir()
    told = predict(*TILES, "--again")
    first = next(event.details for event in told if isinstance(event, Progress) and event.details)
    assert first["tile_rows_done"] == 0
    assert not any("are removed" in text for text in notices(told)), "it was asked for"


def test_what_notebooks_write_says_what_it_is_of_too(network: Path, images: Path, tmp_path: Path) -> None:
    (written,) = predict_to(network, images / "a.tif", tmp_path, device="cpu")
    assert Origin.read(written) == Origin.of(network, images / "a.tif", PredictionSettings())
    state = (images / "a.tif").stat()
    os.utime(images / "a.tif", ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert Origin.read(written) != Origin.of(network, images / "a.tif", PredictionSettings())
