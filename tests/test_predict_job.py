"""`napari-attnseg predict` as a job: inputs from a list, folders laid out anew, events in a file, stopped by a file."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import tifffile
from distributed import LocalCluster

from napari_attnseg.cli import main
from napari_attnseg.data.ome_zarr import Layout
from napari_attnseg.data.tiff import read_info
from napari_attnseg.events import Cancelled, Event, Failed, Finished, Notice, Progress, Started, event_from_json
from napari_attnseg.jobs import start
from napari_attnseg.prediction.disk import disk_needed
from tests.conftest import damage_tile
from tests.prediction.test_predictor import GREYS, model

ENDS = Finished | Cancelled | Failed


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return model(tmp_path / "model.safetensors")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with three images, one of them in a folder of its own."""
    folder = tmp_path / "images"
    (folder / "late").mkdir(parents=True)
    for name in ("a.tif", "b.tif", "late/c.tif"):
        tifffile.imwrite(folder / name, np.random.default_rng(1).integers(0, 255, (40, 40), np.uint8))
    return folder


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    return folder


def listed(tmp_path: Path, *paths: Path) -> Path:
    found = tmp_path / "images.txt"
    found.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
    return found


def events(job: Path) -> list[Event]:
    found = [event_from_json(line) for line in (job / "events.jsonl").read_text().splitlines()]
    assert None not in found
    return [event for event in found if event is not None]


def arguments(network: Path, out: Path, *more: object) -> list[str]:
    return [str(part) for part in ("predict", network, *more, "--out", out, "--device", "cpu")]


def test_a_list_is_laid_out_below_a_base_and_ends_in_one_event(
    network: Path, images: Path, job: Path, tmp_path: Path
) -> None:
    names = listed(tmp_path, images / "a.tif", images / "late" / "c.tif")
    code = main(arguments(network, tmp_path / "out", "--list", names, "--base", images, "--job", job))
    assert code == 0
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.tif"))
    assert written == ["a_PRED.tif", "late/c_PRED.tif"]
    found = events(job)
    assert isinstance(found[0], Started)
    assert any(isinstance(event, Progress) and "2 of 2, c.tif" in event.message for event in found)
    assert [type(event) for event in found if isinstance(event, ENDS)] == [Finished]
    end = found[-1]
    assert isinstance(end, Finished)
    assert end.results == {"images": 2, "kept": 0, "failed": [], "gaps": []}


@pytest.mark.parametrize("first", ["inputs", "options"])
def test_inputs_may_stand_before_or_after_the_options(network: Path, images: Path, tmp_path: Path, first: str) -> None:
    options = ["--out", str(tmp_path / "out"), "--device", "cpu"]
    inputs = [str(images / "a.tif"), str(images / "b.tif")]
    assert main(["predict", str(network), *(inputs + options if first == "inputs" else options + inputs)]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_no_input_at_all_is_wrong_usage(network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments(network, tmp_path / "out"))
    assert "INPUT" in capsys.readouterr().err


def test_without_a_base_each_image_is_written_to_the_top(network: Path, images: Path, tmp_path: Path) -> None:
    names = listed(tmp_path, images / "late" / "c.tif")
    assert main(arguments(network, tmp_path / "out", "--list", names)) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c_PRED.tif"]


def test_a_bad_image_is_noted_and_the_others_are_predicted(
    network: Path, images: Path, job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "b.tif").write_bytes(b"II*\0 and no more")
    assert main(arguments(network, tmp_path / "out", images, "--job", job)) == 1
    assert "b.tif" in capsys.readouterr().err
    found = events(job)
    end = found[-1]
    assert isinstance(end, Finished)
    assert end.results["images"] == 2
    assert "b.tif" in end.results["failed"][0]
    assert any(isinstance(event, Notice) and "b.tif" in event.message for event in found)


@pytest.mark.parametrize("form", ["tiff", "ome-zarr"])
def test_nothing_of_an_earlier_prediction_stays_beside_a_new_one(
    network: Path, images: Path, job: Path, tmp_path: Path, form: str
) -> None:
    out, ending = tmp_path / "out", ".tif" if form == "tiff" else ".ome.zarr"
    for name in ("a.tif", "b.tif"):
        assert main(arguments(network, out, images / name, "--format", form, "--probability")) == 0
    other = model(tmp_path / "other.safetensors", GREYS)
    assert main(arguments(other, out, images, "--format", form, "--job", job)) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {f"a_PRED{ending}", f"b_PRED{ending}", "late"}
    told = [event.message for event in events(job) if isinstance(event, Notice)]
    assert told == [f"Replaces 2 earlier predictions in {out}, with any _PROB and _ATTN files."]


def test_a_file_of_the_user_named_as_a_probability_stays(network: Path, images: Path, tmp_path: Path) -> None:
    own = tmp_path / "out" / "a_PROB.tif"
    own.parent.mkdir()
    tifffile.imwrite(own, np.zeros((4, 4), np.float32))
    before = own.read_bytes()
    assert main(arguments(network, own.parent, images / "a.tif")) == 0
    assert own.read_bytes() == before


def test_an_image_with_gaps_counts_as_written_and_is_named(
    network: Path, images: Path, job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(images / "b.tif", tifffile.imread(images / "a.tif"), tile=(32, 32), compression="zlib")
    damage_tile(images / "b.tif", 1)
    assert main(arguments(network, tmp_path / "out", images, "--job", job)) == 1
    output, error = capsys.readouterr()
    assert f"Wrote 3 predictions to {tmp_path / 'out'}, 1 of them with gaps." in output
    assert "1 of 3 images could be predicted only in parts: b.tif was predicted with gaps" in error
    end = events(job)[-1]
    assert isinstance(end, Finished)
    assert (end.results["images"], end.results["failed"]) == (3, [])
    assert len(end.results["gaps"]) == 1
    assert any(isinstance(event, Notice) and "b.tif was predicted with gaps" in event.message for event in events(job))
    assert (tmp_path / "out" / "b_PRED.tif").exists()


@pytest.mark.parametrize("what", ["list", "model", "nothing"])
def test_what_is_missing_fails_with_a_sentence(
    network: Path, images: Path, job: Path, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"list": tmp_path / "gone.txt", "model": listed(tmp_path, images / "a.tif"), "nothing": listed(tmp_path)}
    used = tmp_path / "gone.safetensors" if what == "model" else network
    assert main(arguments(used, tmp_path / "out", "--list", names[what], "--job", job)) == 1
    sentence = {"list": "gone.txt cannot be read", "model": "gone.safetensors", "nothing": "nothing to predict"}[what]
    assert sentence in capsys.readouterr().err
    (end,) = events(job)
    assert isinstance(end, Failed)
    assert sentence in end.message


def test_a_stop_file_ends_it_and_what_is_written_stays(network: Path, images: Path, job: Path, tmp_path: Path) -> None:
    for number in range(200):
        tifffile.imwrite(images / f"more{number:03d}.tif", np.zeros((96, 96), np.uint8))
    command = [sys.executable, "-m", "napari_attnseg", *arguments(network, tmp_path / "out", images, "--job", job)]
    child = start(command, folder=job)
    end = time.monotonic() + 100
    seen: list[Event] = []
    while child.state == "running" and time.monotonic() < end:
        seen += child.poll()
        done = list((tmp_path / "out").glob("*_PRED.tif"))
        if done and not (job / "stop").exists():
            (job / "stop").touch()  # the file alone, as on Windows
        time.sleep(0.02)
    assert child.state == "cancelled"
    assert [type(event) for event in seen if isinstance(event, ENDS)] == [Cancelled]
    assert 0 < len(list((tmp_path / "out").glob("*_PRED.tif"))) < 200


def test_a_stop_while_the_program_was_still_loaded_counts(
    network: Path, images: Path, job: Path, tmp_path: Path
) -> None:
    (job / "stop").touch()
    moment = max(psutil.Process().create_time(), time.time() - 5)
    os.utime(job / "stop", (moment, moment))
    assert main(arguments(network, tmp_path / "out", images, "--job", job)) == 0
    assert isinstance(events(job)[-1], Cancelled)
    assert len(list((tmp_path / "out").glob("*_PRED.tif"))) < len(list(images.glob("*.tif")))


def test_a_stop_file_of_an_earlier_job_stops_nothing(network: Path, images: Path, job: Path, tmp_path: Path) -> None:
    (job / "stop").touch()
    os.utime(job / "stop", (1e9, 1e9))
    assert main(arguments(network, tmp_path / "out", images, "--job", job)) == 0
    assert json.loads((job / "events.jsonl").read_text().splitlines()[-1])["kind"] == "finished"


def test_a_job_folder_that_cannot_be_written_to_gets_a_sentence(
    network: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(network, tmp_path / "out", images, "--job", tmp_path / "no" / "where")) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_disk_that_may_be_too_small_for_all_is_told_before(
    network: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main(arguments(network, out, images / "a.tif", "--probability")) == 0
    capsys.readouterr()
    there = sum(path.stat().st_size for path in out.iterdir())
    needed = sum(disk_needed({"_PRED": one, "_PROB": two}) for one, two in [_layouts(images / "a.tif")] * 3)
    room = SimpleNamespace(free=int(needed) - there - 10)
    monkeypatch.setattr("napari_attnseg.prediction.disk.shutil.disk_usage", lambda folder: room)
    assert main(arguments(network, out, images, "--probability", "--again")) == 0
    said = capsys.readouterr().out
    assert "The predictions may need 0.0 MB" in said
    assert said.index("The predictions may need") < said.index("Wrote 3")
    assert "Replaces 1 earlier prediction in" in said
    assert len(list(out.rglob("*_PRED.*"))) == 3
    room.free += 10_000
    assert main(arguments(network, out, images, "--probability", "--again")) == 0
    assert "may need" not in capsys.readouterr().out
    room.free = int(needed) * 2 // 3 - there
    (out / "a_PRED.tif").unlink()
    assert main(arguments(network, out, images, "--probability")) == 0
    assert "may need" not in capsys.readouterr().out, "what is kept needs no room"


def _layouts(image: Path) -> tuple[Layout, Layout]:
    info = read_info(image)
    return Layout(info, "uint8"), Layout(info, "float32", ("foreground",))


def test_a_cluster_keeps_what_is_there_and_needs_no_answer_if_that_is_all(
    network: Path, images: Path, job: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main(arguments(network, out, images)) == 0
    (out / "b_PRED.tif").unlink()
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        scheduler = ("--scheduler", cluster.scheduler_address)
        assert main(arguments(network, out, images, "--job", job, *scheduler)) == 0
        told = events(job)
        end = told[-1]
        assert isinstance(end, Finished)
        assert (end.results["images"], end.results["kept"]) == (1, 2)
        assert [event.message for event in told if isinstance(event, Notice)] == [
            "2 images were predicted before with this model and these settings; they are kept (--again predicts them "
            "anew)."
        ]
        shares = [event.done for event in told if isinstance(event, Progress)]
        assert shares == [pytest.approx(2 / 3), 1.0]
        assert any(isinstance(event, Started) and "Predict 3 images" in event.summary for event in told)
        before = (out / "a_PRED.tif").stat().st_mtime_ns
        assert main(arguments(network, out, images, "--again", *scheduler)) == 0
        assert (out / "a_PRED.tif").stat().st_mtime_ns > before
    assert main(arguments(network, out, images, *scheduler)) == 0, "what a cluster wrote is known as its own"
