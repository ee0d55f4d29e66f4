"""`napari-attnseg objects` end to end: masks, predictions, stacks, a model, and what a user can get wrong."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.cli import main
from napari_attnseg.data import file_state, tiff
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import ChangedError, SaveError
from napari_attnseg.objects import file_planes, reading, room
from napari_attnseg.prediction import for_now
from napari_attnseg.prediction import room as prediction_room
from tests.conftest import damage_tile
from tests.objects.drawn import two_discs

Run = Callable[..., tuple[int, str, str]]
MICRONS = {"imagej": True, "resolution": (4, 4)}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command in this process and gives exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(["objects", *map(str, arguments)])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return call


def refused(result: tuple[int, str, str], *words: str) -> None:
    code, _, error = result
    assert code == 1
    last = error.strip().splitlines()[-1]
    assert last.startswith("napari-attnseg: ")
    assert all(word in last for word in words), error


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def folder_of_discs(folder: Path, planes: int = 0) -> Path:
    """Fill a folder with two images of 0.25 µm pixels of two discs that touch, one of them in a sub-folder."""
    mask = two_discs(12, 20, 0.3)
    image = np.where(mask, 200, 20).astype(np.uint8)
    mask = mask.astype(np.uint8) * 255
    metadata: dict[str, object] = {"unit": "um", "axes": "YX"}
    if planes:
        image, mask = (np.repeat(part[None], planes, 0) for part in (image, mask))
        metadata = {"unit": "um", "axes": "ZYX", "spacing": 1.0}
    for place in (folder, folder / "more"):
        place.mkdir(parents=True)
        tifffile.imwrite(place / f"{place.name}.tif", image, metadata=metadata, **MICRONS)
        tifffile.imwrite(place / f"{place.name}_MASK.tif", mask, metadata=metadata, **MICRONS)
    return folder


def test_masks_become_objects_and_tables(tmp_path: Path, run: Run) -> None:
    folder = folder_of_discs(tmp_path / "cells")
    before = {path: path.read_bytes() for path in folder.rglob("*.tif")}
    code, output, _ = run(folder)
    assert code == 0
    assert "Found 4 objects in 2 images" in output
    out = folder / "attnseg_objects"
    labels = tifffile.imread(out / "more/more_OBJECTS.tif")
    assert set(np.unique(labels)) == {0, 1, 2}
    assert read_info(out / "cells_OBJECTS.tif").pixel_size == pytest.approx((0.25, 0.25))
    table = rows(out / "objects.csv")
    assert [row["Image"] for row in table] == ["cells", "cells", "more", "more"]
    assert float(table[0]["Area (µm²)"]) == pytest.approx(int(table[0]["Pixels"]) / 16, rel=1e-5)
    assert float(table[0]["Mean intensity"]) == 200
    (first, second) = rows(out / "summary.csv")
    assert first["Objects"] == second["Objects"] == "2"
    assert float(first["Objects per mm²"]) == pytest.approx(2 / (100 * 100 / 16e6), rel=1e-4)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(find_pairs(folder).pairs) == 2, "what was written is no image"


def test_settings_in_microns_and_no_splitting(tmp_path: Path, run: Run) -> None:
    folder = folder_of_discs(tmp_path / "cells")
    assert "Found 2 objects" in run(folder, "--no-split", "--out", tmp_path / "a")[1]
    assert "Found 2 objects" in run(folder, "--unit", "physical", "--min-distance", 7, "--out", tmp_path / "b")[1]
    assert "Found 0 objects" in run(folder, "--unit", "physical", "--min-size", 40, "--out", tmp_path / "c")[1]
    assert [row["Objects"] for row in rows(tmp_path / "c/summary.csv")] == ["0", "0"]


def test_predictions_find_their_images_and_their_probability(tmp_path: Path, run: Run) -> None:
    images = folder_of_discs(tmp_path / "cells")
    predictions = tmp_path / "predictions"
    (predictions / "more").mkdir(parents=True)
    mask = tifffile.imread(images / "cells_MASK.tif")
    whole = np.ones_like(mask) * 255
    probability = np.where(mask > 0, 0.9, 0.2).astype(np.float32)
    for place in ("cells", "more/more"):
        tifffile.imwrite(predictions / f"{place}_PRED.tif", whole)
        tifffile.imwrite(predictions / f"{place}_PROB.tif", probability[None], imagej=True, metadata={"axes": "CYX"})
    code, output, error = run(predictions, "--images", images, "--threshold", "0.5", "--out", tmp_path / "out")
    assert code == 0, error
    assert "Found 4 objects" in output
    assert "Mean intensity" in rows(tmp_path / "out/objects.csv")[0]
    assert (tmp_path / "out/more/more_OBJECTS.tif").is_file()
    code, output, _ = run(predictions, "--out", tmp_path / "alone", "--no-split")
    assert code == 0
    assert "images of 2 of 2 predictions were not found" in output
    assert "Mean intensity" not in rows(tmp_path / "alone/objects.csv")[0]


def test_a_threshold_that_has_no_effect_is_refused(tmp_path: Path, run: Run) -> None:
    masks = folder_of_discs(tmp_path / "cells")
    refused(run(masks, "--threshold", "0.5"), "--threshold has an effect only on predictions with their probability")
    mask = tifffile.imread(masks / "cells_MASK.tif")
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    tifffile.imwrite(predictions / "a_PRED.tif", mask)
    tifffile.imwrite(predictions / "b_PRED.tif", mask)
    refused(run(predictions, "--threshold", "0.5"), "NAME_PROB.tiff", "predict the images again")
    tifffile.imwrite(predictions / "a_PROB.tif", (mask / 255).astype(np.float32))
    result = run(predictions, "--threshold", "0.5")
    refused(result, "1 of 2 images failed", "beside b_PRED.tif", "--threshold has no effect on it")
    assert "Found 2 objects in 1 image" in result[1]
    assert run(predictions)[0] == 0
    tifffile.imwrite(predictions / "b_PRED.tif", mask // 255 * np.arange(100, dtype=np.uint8) // 50 + mask // 255)
    refused(run(predictions, "--threshold", "0.5"), "one kind of object")


def test_a_stack_is_one_volume_or_planes(tmp_path: Path, run: Run) -> None:
    folder = folder_of_discs(tmp_path / "cells", planes=3)
    assert run(folder, "--out", tmp_path / "volume")[0] == 0
    table = rows(tmp_path / "volume/objects.csv")
    assert len(table) == 4
    assert float(table[0]["Volume (µm³)"]) == pytest.approx(int(table[0]["Pixels"]) / 16, rel=1e-5)
    assert (table[0]["First z"], table[0]["Last z"]) == ("0", "2")
    info = read_info(tmp_path / "volume/cells_OBJECTS.tif")
    assert (info.axes, info.shape, info.z_spacing) == ("ZYX", (3, 100, 100), 1.0)
    assert run(folder, "--out", tmp_path / "planes", "--reach", "planes")[0] == 0
    assert len(rows(tmp_path / "planes/objects.csv")) == 12
    assert run(folder, "--out", tmp_path / "linked", "--no-split")[0] == 0
    assert len(rows(tmp_path / "linked/objects.csv")) == 2


def test_numbered_masks_are_measured_as_they_are(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(0)
    for number in range(2):
        mask = np.zeros((60, 60), np.uint16)
        for place, value in enumerate(rng.permutation(900)[:30] + 1000):
            mask[2 * place, 5:20] = value
        tifffile.imwrite(tmp_path / f"c{number}_MASK.tif", mask)
    code, output, error = run(tmp_path)
    assert code == 0, error
    assert "number their objects already" in output
    assert "Found 60 objects" in output


def test_a_model_goes_straight_from_images_to_objects(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of_discs(tmp_path / "cells")
    code, _, error = run(folder, "--model", "nuclei", "--out", tmp_path / "out", "--device", "cpu")
    assert code == 0, error
    assert (tmp_path / "out/cells_OBJECTS.tif").is_file()
    assert len(rows(tmp_path / "out/summary.csv")) == 2
    refused(run(folder, "--model", "nuclei", "--take", "masks"), "--model", "--take")
    image = folder / "cells.tif"
    with monkeypatch.context() as patch:
        patch.setattr(prediction_room, "memory_needed", lambda *given: 2**60)
        patch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir()
        assert run(folder, "--model", "nuclei", "--out", tmp_path / "tiles", "--device", "cpu")[0] == 0
        assert not list((tmp_path / "temporary").iterdir())
    for name in ("objects.csv", "summary.csv"):
        assert (tmp_path / "tiles" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    monkeypatch.setattr(room, "BYTES_TO_SEPARATE", 2**50)
    image.write_bytes(image.read_bytes()[:-100])  # some pixels are missing, which would be said if they were read
    refused(run(image, "--model", "nuclei", "--device", "cpu"), "Finding the objects of cells.tif takes about")


def test_what_has_no_room_on_the_disk_either_or_gaps_costs_only_itself(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    discs = np.hstack([two_discs(12, 20, 0.3)] * 3)
    for name in ("a", "b"):
        image = tmp_path / "in" / f"{name}.tif"
        image.parent.mkdir(exist_ok=True)
        tifffile.imwrite(image, np.where(discs, 200, 20).astype(np.uint8), tile=(96, 96), compression="zlib")
    damage_tile(tmp_path / "in/a.tif", 0)
    monkeypatch.setattr(prediction_room, "memory_needed", lambda *given: 2**60)
    command = [tmp_path / "in", "--model", "nuclei", "--out", tmp_path / "out", "--device", "cpu"]
    refused(run(*command), "1 of 2 images failed: a.tif has tiles or strips that cannot be decoded")
    assert {row["Image"] for row in rows(tmp_path / "out/objects.csv")} == {"b"}

    def full(*given: Any) -> None:
        raise SaveError("The prediction cannot be kept.")

    monkeypatch.setattr(for_now, "predict_streamed", full)
    refused(run(*command), "2 of 2 images failed: a.tif does not fit into memory", "TMPDIR")


def test_an_image_that_is_rewritten_while_a_model_reads_it_is_named(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, understood = folder_of_discs(tmp_path / "cells") / "cells.tif", tiff.describe
    times = iter(range(1, 1000))  # not that of the clock, which may tick too slowly for a test

    def describe(*args: Any) -> tiff.ImageInfo:
        os.utime(image, ns=(0, next(times)))
        return understood(*args)

    monkeypatch.setattr(tiff, "describe", describe)
    words = ("cells.tif was changed while it was being read",)
    refused(run(image, "--model", "nuclei", "--out", tmp_path / "out", "--device", "cpu"), *words)
    assert not list((tmp_path / "out").glob("*.tif"))


def test_bad_input_gets_a_sentence(tmp_path: Path, run: Run) -> None:
    refused(run(tmp_path / "none"), "does not exist")
    (tmp_path / "empty").mkdir()
    refused(run(tmp_path / "empty"), "no masks", "--model")
    folder = folder_of_discs(tmp_path / "cells")
    refused(run(folder, "--images", tmp_path / "none"), "no folder")
    refused(run(folder, "--take", "predictions"), "no predictions")
    refused(run(folder, "--device", "cpu"), "--model")
    refused(run(folder, "--neck", "3"), "neck")
    (tmp_path / "file").write_text("")
    refused(run(folder, "--out", tmp_path / "file"), "cannot be made")
    tifffile.imwrite(tmp_path / "plain_MASK.tif", np.full((9, 9), 255, np.uint8))
    refused(run(tmp_path / "plain_MASK.tif", "--unit", "physical"), "how large a pixel")
    assert not (tmp_path / "attnseg_objects").exists(), "no empty folder is left"


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path, run: Run) -> None:
    folder = folder_of_discs(tmp_path / "cells")
    tifffile.imwrite(folder / "more/more.tif", np.zeros((7, 9), np.uint8))
    result = run(folder)
    refused(result, "1 of 2 images failed", "more_MASK.tif is 100 x 100")
    assert "Found 2 objects in 1 image" in result[1]


def test_time_is_linked_on_request_only(tmp_path: Path, run: Run) -> None:
    mask = np.zeros((4, 20, 20), np.uint8)
    mask[:, 5:9, 5:9] = 255
    tifffile.imwrite(tmp_path / "a_MASK.tif", mask, imagej=True, metadata={"axes": "TYX"})
    assert "Found 4 objects" in run(tmp_path, "--out", tmp_path / "o")[1]
    assert "Found 1 object " in run(tmp_path, "--out", tmp_path / "o", "--reach", "zt", "--no-split")[1]
    refused(run(tmp_path, "--out", tmp_path / "o", "--reach", "zt"), "--no-split")


def test_masks_are_never_replaced(tmp_path: Path, run: Run) -> None:
    mask = two_discs(12, 20, 0.3).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", mask)
    tifffile.imwrite(tmp_path / "a_objects.tif", mask)
    refused(run(tmp_path, "--mask-suffix", "_objects", "--out", tmp_path), "would be replaced", "--out")


def test_grey_in_colour_has_one_intensity(tmp_path: Path, run: Run) -> None:
    grey = np.where(two_discs(12, 20, 0.3), 200, 20).astype(np.uint8)
    for name, colour in (("grey", [1, 1, 1]), ("red", [1, 0, 0])):
        tifffile.imwrite(tmp_path / f"{name}.tif", grey[..., None] * np.array(colour, np.uint8), photometric="rgb")
        tifffile.imwrite(tmp_path / f"{name}_MASK.tif", (grey > 100).astype(np.uint8))
    assert run(tmp_path, "--out", tmp_path / "out")[0] == 0
    first, _, last, _ = rows(tmp_path / "out/objects.csv")
    assert (first["Mean intensity"], first["Mean red"]) == ("200", "")
    assert (last["Mean intensity"], last["Mean red"], last["Mean green"]) == ("", "200", "0")


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    mask = np.kron(np.eye(8, dtype=np.uint8), np.ones((90, 90), np.uint8))
    for number in range(60):
        tifffile.imwrite(tmp_path / f"c{number:02d}_MASK.tif", mask)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "napari_attnseg", "objects", str(tmp_path), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        limit = time.monotonic() + 60
        while not any(out.glob("c*_OBJECTS.tif")) and time.monotonic() < limit:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
    done = len(list(out.glob("c*_OBJECTS.tif")))
    assert child.returncode == 130
    assert 0 < done < 60
    assert len(rows(out / "summary.csv")) == done


def test_images_of_one_name_are_told_apart(tmp_path: Path, run: Run) -> None:
    for place in ("a", "b"):
        folder_of_discs(tmp_path / place / "cells")
    assert run(tmp_path, "--out", tmp_path / "out")[0] == 0
    names = [row["Image"] for row in rows(tmp_path / "out/summary.csv")]
    assert names == ["a/cells/cells", "a/cells/more/more", "b/cells/cells", "b/cells/more/more"]
    assert {row["Image"] for row in rows(tmp_path / "out/objects.csv")} == set(names)


def test_a_damaged_mask_does_not_stop_the_others(tmp_path: Path, run: Run) -> None:
    folder = folder_of_discs(tmp_path / "cells")
    whole = (folder / "cells_MASK.tif").read_bytes()
    (folder / "cells_MASK.tif").write_bytes(whole[: len(whole) // 2])
    result = run(folder)
    refused(result, "1 of 2 images failed", "cells_MASK.tif")
    assert "Found 2 objects in 1 image" in result[1]


@pytest.mark.parametrize("large", [False, True])
def test_intensities_are_measured_where_the_image_can_be_decoded(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(reading, "is_large", lambda info: large)
    mask = np.zeros((64, 128), np.uint8)
    mask[8:24, 8:24] = mask[8:24, 88:104] = 255
    image = tmp_path / "cells" / "a.tif"
    image.parent.mkdir()
    pixels = np.where(mask, 200, 20).astype(np.uint8)
    tifffile.imwrite(image, np.stack([pixels] * 3, -1), photometric="rgb", tile=(64, 64), compression="zlib")
    tifffile.imwrite(image.with_name("a_MASK.tif"), mask)
    damage_tile(image, 1)
    code, output, _ = run(image.parent)
    assert code == 0
    assert "1 tile or strip of a.tif cannot be decoded; intensities are those of the rest." in output
    left, right = rows(image.parent / "attnseg_objects" / "objects.csv")
    assert (left["Mean red"], left["Pixels"], right["Pixels"]) == ("200", "256", "256")
    assert right["Mean red"] == ""


def test_a_damaged_stack_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(
        path, np.full((12, 64, 64), 7, np.uint8), tile=(64, 64), compression="zlib", metadata={"axes": "ZYX"}
    )
    with tifffile.TiffFile(path) as tif:
        offset, size = tif.pages[11].dataoffsets[0], tif.pages[11].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + size] = b"\xff" * size
    path.write_bytes(data)
    asked: list[int] = []
    read = file_planes.read_planes
    monkeypatch.setattr(
        file_planes, "read_planes", lambda path, planes, axes: asked.extend(planes) or read(path, planes, axes)
    )
    image = reading.read_measured(path)
    values = [float(np.asarray(image.planes[plane])[0, 0, 0]) for plane in range(12)]
    assert values[:11] == [7.0] * 11
    assert np.isnan(values[11])
    assert len(asked) == 12, "not all of them again for each"


def test_an_image_that_changes_while_it_is_measured_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((64, 64), 7, np.uint8), tile=(64, 64), compression="zlib")
    states = iter(range(10**6))
    monkeypatch.setattr(file_state, "state_of", lambda image: (next(states), 0))
    with pytest.raises(ChangedError, match=r"a\.tif was changed while it was being read"):
        reading.read_measured(path)


def test_a_probability_of_another_size_is_refused(tmp_path: Path, run: Run) -> None:
    mask = two_discs(12, 20, 0.3).astype(np.uint8) * 255
    tifffile.imwrite(tmp_path / "a_PRED.tif", mask)
    tifffile.imwrite(tmp_path / "a_PROB.tif", np.ones((30, 40), np.float32))
    code, output, error = run(tmp_path)
    assert code == 1
    assert "a_PROB.tif has 30 x 40 pixels (y, x) but a_PRED.tif 100 x 100" in error
    assert "Found 0 objects in 0 images." in output


def test_a_probability_in_whole_numbers_is_refused(tmp_path: Path, run: Run) -> None:
    mask = two_discs(12, 20, 0.3).astype(np.uint8) * 255
    tifffile.imwrite(tmp_path / "a_PRED.tif", mask)
    tifffile.imwrite(tmp_path / "a_PROB.tif", mask)
    code, _, error = run(tmp_path, "--threshold", 0.4)
    assert code == 1
    assert "a_PROB.tif holds uint8; a probability is a real number from 0 to 1" in error


@pytest.mark.parametrize("option", ["--smoothing", "--min-size", "--min-distance"])
def test_lengths_without_end_are_refused(tmp_path: Path, run: Run, option: str) -> None:
    folder = folder_of_discs(tmp_path / "cells")
    code, _, error = run(folder, option, "inf")
    assert code == 1
    assert "Traceback" not in error


def test_the_prediction_beside_an_image_is_taken(tmp_path: Path, run: Run) -> None:
    mask = two_discs(12, 20, 0.3).astype(np.uint8) * 255
    for name in ("a.tif", "a_PRED.tif", "b_PRED.tif"):
        tifffile.imwrite(tmp_path / name, mask)
    code, output, error = run(tmp_path / "a.tif", "--out", tmp_path / "out")
    assert code == 0, error
    assert "Found 2 objects in 1 image" in output
    assert rows(tmp_path / "out/objects.csv")[0]["Mean intensity"] == "255"
    assert (
        "objects.csv and summary.csv of an earlier call were replaced"
        in run(tmp_path / "b_PRED.tif", "--out", tmp_path / "out")[1]
    )


def test_a_number_through_time_is_one_track_only_on_request(tmp_path: Path, run: Run) -> None:
    mask = np.zeros((3, 20, 90), np.uint16)
    for number in range(40):
        mask[:2, 5:15, 2 * number] = 7 * number + 100
    mask[1, 15, :] = mask[1, 14, :]
    tifffile.imwrite(tmp_path / "a_MASK.tif", mask, imagej=True, metadata={"axes": "TYX"})
    assert "Found 80 objects" in run(tmp_path, "--out", tmp_path / "frames")[1]
    assert {row["Pixels"] for row in rows(tmp_path / "frames/objects.csv")} == {"10", "11"}
    assert "Found 40 objects" in run(tmp_path, "--out", tmp_path / "tracks", "--reach", "zt", "--no-split")[1]
    first = rows(tmp_path / "tracks/objects.csv")[0]
    assert (first["Pixels"], first["First t"], first["Last t"]) == ("21", "0", "1")
    density = rows(tmp_path / "tracks/summary.csv")[0]["Objects per megapixel"]
    assert float(density) == pytest.approx(40 / (20 * 90 / 1e6), rel=1e-5)


def test_what_is_done_is_in_the_tables_when_saving_fails(tmp_path: Path, run: Run) -> None:
    folder = folder_of_discs(tmp_path / "cells")
    (tmp_path / "out/more/more_OBJECTS.tif").mkdir(parents=True)  # in the way of the second image
    refused(run(folder, "--out", tmp_path / "out"), "more_OBJECTS.tif could not be saved")
    assert [row["Image"] for row in rows(tmp_path / "out/summary.csv")] == ["cells"]
