"""Parts of a large prediction take the places of an earlier one's: whatever happens, none is lost or mixed."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.predictions.large_files import LargeWork, large_work
from napari_attnseg.cli import main
from napari_attnseg.data.ome_zarr import open_levels
from napari_attnseg.data.tiff import read_image
from napari_attnseg.prediction import in_place
from napari_attnseg.prediction.finishing import LargeProgress
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.streaming import predict_streamed
from napari_attnseg.prediction.to_files import predict_to_files
from napari_attnseg.prediction.working_store import read_progress, store_folder
from tests.prediction.test_large import SMALL, stopped_after, unet
from tests.prediction.test_predictor import model, noise, predictor

ROWS = {**SMALL, "batch_size": 1}  # so that each row of tiles is heard of
PARTS = ("_PRED", "_PROB", "_ATTN")


class Killed(BaseException):
    """As a kill does, it ends everything at once."""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "a.tif", noise(500, 40))
    return tmp_path / "a.tif"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "attnseg_predictions"
    folder.mkdir()
    return folder


@pytest.fixture
def used(tmp_path: Path) -> Callable[..., Predictor]:
    path = model(tmp_path / "m.safetensors")
    whole = {"format": "ome-zarr", "probability": True, "attention": True, **ROWS}
    return lambda **values: predictor(path, **{**whole, **values})


def places(out: Path) -> dict[str, Path]:
    return {kind: out / f"a{kind}.ome.zarr" for kind in PARTS}


def in_dock(image: Path, used: Predictor) -> LargeWork:
    """Return the work as the dock has it, with the settings of a predictor."""
    root = image.parent
    work = large_work(image, used.path, root, axes=None, threshold=0.5, min_size=0, fill_holes=False)
    return LargeWork(work.image, work.model, root, work.folder, work.card, work.info, used.settings)


def require_whole(used: Predictor, image: Path, out: Path) -> None:
    expected = used.predict_file(image)
    found = {kind: np.asarray(open_levels(place)[0]) for kind, place in places(out).items() if place.exists()}
    assert np.array_equal(found["_PRED"] > 0, expected.labels[0] > 0)
    assert expected.probability is not None
    assert np.abs(found["_PROB"] - expected.probability[0]).max() < 1e-5
    expected_origin = Origin.of(used.path, image, used.settings)
    assert all(Origin.read(place) == expected_origin for place in places(out).values())


@pytest.mark.parametrize("steps", range(9))
def test_a_kill_between_any_two_steps_loses_nothing_and_mixes_nothing(
    image: Path, out: Path, used: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Three parts are moved out of the way and three moved in, then the store, then folders are removed."""
    predict_streamed(used(threshold=0.4), image, out)
    new, done, heard = used(min_size=3), [], []
    rename, rmtree = Path.rename, shutil.rmtree

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            if heard and heard[-1].stage == "files":
                if len(done) == steps:
                    raise Killed
                done.append(arguments)
            return real(*arguments, **options)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counting(rename))
        patch.setattr(shutil, "rmtree", counting(rmtree))
        with pytest.raises(Killed):
            predict_streamed(new, image, out, heard.append)
    there = [Origin.read(place) for place in places(out).values() if place.exists()]
    assert len(set(map(str, there))) <= 1, "parts of two predictions are beside each other"
    was_visible = places(out)["_PRED"].exists()
    assert not was_visible or len(there) == 3, "what is found by its mask is whole"
    found = in_dock(image, new).found()
    assert found.state == ("done" if steps >= 6 else "begun")
    heard.clear()
    predict_streamed(new, image, out, heard.append) if steps < 6 else main(again(new, image, out))
    assert steps >= 6 or heard[0].rows_done == heard[0].rows, "nothing is predicted again"
    require_whole(new, image, out)
    assert sorted(path.name for path in out.iterdir()) == sorted(place.name for place in places(out).values())


def again(used: Predictor, image: Path, out: Path) -> list[str]:
    """Return the command with the settings of a predictor."""
    words = ["predict", used.path, image, "--out", out, "--device", "cpu", "--precision", used.settings.precision]
    words += ["--format", "ome-zarr", "--probability", "--attention", "--min-size", used.settings.min_size]
    return [str(word) for word in [*words, "--tile-size", 64, "--overlap", 16]]


def test_what_cannot_be_removed_yet_is_only_told_of(
    image: Path, out: Path, used: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network drive where a file is open, and on Windows."""
    predict_streamed(used(threshold=0.4), image, out)
    told: list[str] = []
    new, rmtree = used(), shutil.rmtree

    def failing(place: Path, *arguments: Any, **options: Any) -> None:
        if ".old" in place.name:
            raise OSError(39, "Directory not empty")
        rmtree(place, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", failing)
        written = predict_streamed(new, image, out, on_notice=told.append)
        assert written == list(places(out).values())
        assert len(told) == 4, "three parts and the working store"
        assert "a_PRED.ome.zarr.old is not needed any more and cannot be removed yet (Directory not empty)" in told[1]
        predict_streamed(used(threshold=0.4), image, out, on_notice=told.append)  # old names are taken by now
    assert not store_folder(image, out).exists()
    require_whole(used(threshold=0.4), image, out)
    assert any(path.name == ".a_PRED.ome.zarr.old-2" for path in out.iterdir())
    predict_streamed(new, image, out)
    assert sorted(path.name for path in out.iterdir()) == sorted(place.name for place in places(out).values())


def test_a_part_that_cannot_be_moved_is_moved_next_time(
    image: Path, out: Path, used: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_attnseg.errors import SaveError

    rename = Path.rename

    def failing(place: Path, target: Path) -> Path:
        if place.name == "_PROB":
            raise PermissionError(13, "The file is used by another process")
        return rename(place, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", failing)
        with pytest.raises(SaveError, match=r"the file is used by another process.*it goes on from there"):
            predict_streamed(used(), image, out)
    heard: list[LargeProgress] = []
    predict_streamed(used(), image, out, heard.append)
    assert heard[0].rows_done == heard[0].rows
    require_whole(used(), image, out)


def test_a_part_of_another_prediction_is_not_shown(image: Path, out: Path, used: Callable[..., Predictor]) -> None:
    """As earlier versions left them when they were killed between two parts."""
    predict_streamed(used(), image, out)
    assert in_dock(image, used()).found().state == "done"
    shutil.rmtree(places(out)["_PROB"])
    predict_streamed(used(threshold=0.4), image, out.parent)
    shutil.copytree(out.parent / "a_PROB.ome.zarr", places(out)["_PROB"])
    found = in_dock(image, used()).found()
    assert (found.state, found.origin) == ("none", None)
    assert found.other is not None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_kill_9_between_two_parts(image: Path, out: Path, used: Callable[..., Predictor]) -> None:
    predict_streamed(used(threshold=0.4), image, out)
    new = used(min_size=0)
    code = (
        "import os, signal, sys; from pathlib import Path; rename = Path.rename\n"
        "def step(place, target):\n"
        "    if place.name == '_PROB': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return rename(place, target)\n"
        "Path.rename = step\n"
        "from napari_attnseg.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *again(new, image, out)], capture_output=True, timeout=200)
    assert done.returncode == -signal.SIGKILL
    assert not places(out)["_PRED"].exists()
    before = {path: os.stat(path).st_mtime_ns for path in store_folder(image, out).rglob("c/*") if path.is_file()}
    assert main(again(new, image, out)) == 0
    assert all(not path.exists() for path in before)
    require_whole(new, image, out)
    assert not list(out.glob(".*"))


# Rows that were begun with other parts


def test_rows_with_more_parts_than_are_asked_for_go_on(image: Path, out: Path, used: Callable[..., Predictor]) -> None:
    """The dock's Predict began them, and a batch, which asks for masks, goes on: it gets what it asks for."""
    begun = stopped_after(2, used(), image, out)
    batch = used(format="tiff", probability=False, attention=False)
    reached = stopped_after(begun.rows_done + 1, batch, image, out)
    assert reached.rows_done > begun.rows_done
    again_in_dock: list[LargeProgress] = []
    with pytest.raises(Killed):
        predict_streamed(used(), image, out, _until(again_in_dock, reached.rows_done))
    assert again_in_dock[0].rows_done >= reached.rows_done, "its parts are still whole"
    heard: list[LargeProgress | None] = []
    written = predict_to_files(batch, image, out, lambda share, large: heard.append(large))
    assert heard[0] is not None
    assert heard[0].rows_done >= reached.rows_done
    assert [path.name for path in written] == ["a_PRED.tif"]
    assert [path.name for path in out.iterdir()] == ["a_PRED.tif"]
    assert np.array_equal(read_image(written[0]).pixels[:, 0] > 0, batch.predict_file(image).labels > 0)


def _until(heard: list[LargeProgress], rows: int) -> Callable[[LargeProgress], None]:
    def on_progress(progress: LargeProgress) -> None:
        heard.append(progress)
        if progress.rows_done >= rows:
            raise Killed

    return on_progress


def test_the_dock_asks_for_the_parts_that_rows_have(image: Path, out: Path, used: Callable[..., Predictor]) -> None:
    batch = predictor(used().path, precision="auto")
    plain = {**ROWS, "tile_size": None, "overlap": 64, "precision": "auto"}
    stopped_after(1, predictor(batch.path, **plain), _long(image), out)
    work = large_work(image, batch.path, image.parent, axes=None, threshold=0.3, min_size=0, fill_holes=False)
    found = work.found()
    assert found.state == "begun"
    going_on = work.going_on_from(found)
    assert (going_on.settings.probability, going_on.settings.attention) == (False, False)
    assert going_on.settings.threshold == 0.5
    command = going_on.command(image.parent / "job")
    assert "--probability" not in command
    assert "--attention" not in command
    (image.parent / "job").mkdir()
    assert found.progress is not None
    assert main([*command[3:], "--device", "cpu"]) == 0
    told = (image.parent / "job" / "events.jsonl").read_text()
    assert f'"tile_rows_done": {found.progress.rows_done}' in told
    assert '"tile_rows_done": 0' not in told, "it goes on"
    assert "are removed" not in told
    assert [path.name for path in out.iterdir()] == ["a_PRED.ome.zarr"]

    tiles = predictor(batch.path, **{**plain, "tile_size": 256})
    stopped_after(1, tiles, image, out)
    found = work.found()
    assert work.begins_anew(found), "with tiles of that size it was asked for by somebody else"
    assert work.going_on_from(found) is work


def _long(image: Path) -> Path:
    tifffile.imwrite(image, noise(3000, 30))
    return image


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"threshold": 0.4}, "they were made with other settings (threshold 0.5 in place of 0.4)"),
        ({"fill_holes": True}, "they were made with other settings (fill holes no in place of yes)"),
        ({"tile_size": 128}, "they were made with other settings (tile size 64 in place of 128)"),
        ({"probability": True, "attention": True}, "they were made without --attention and --probability"),
        ({"model": "other"}, "they are of another model (m.safetensors)"),
        ({"image": "other"}, "the image was changed since"),
    ],
)
@pytest.mark.parametrize("way", ["always", "auto"])
def test_rows_that_are_of_no_use_are_told_of_before_they_go(
    image: Path, out: Path, tmp_path: Path, change: dict[str, Any], reason: str, way: str
) -> None:
    path = model(tmp_path / "m.safetensors")
    begun = stopped_after(2, predictor(path, **ROWS), image, out)
    finished, values = read_progress(begun.partial), dict(change)
    assert finished is not None
    if values.pop("image", None):
        tifffile.imwrite(image, noise(500, 41))
    if values.pop("model", None):
        path = unet(tmp_path / "n.safetensors")
    told: list[tuple[str, bool]] = []

    def on_notice(text: str) -> None:
        told.append((text, begun.partial.exists()))

    used = predictor(path, tile_by_tile=way, **{**ROWS, **values})
    predict_to_files(used, image, out, on_notice=on_notice)
    (found,) = told
    which = f"{finished.rows_done} of {finished.rows} rows of tiles of a.tif that were predicted before are removed"
    assert found == (f"{which}, and it begins anew: {reason}.", True)
    assert not begun.partial.exists()


def test_without_anybody_to_tell_it_is_logged(image: Path, out: Path, tmp_path: Path, caplog: Any) -> None:
    path = model(tmp_path / "m.safetensors")
    stopped_after(2, predictor(path, **ROWS), image, out)
    with caplog.at_level(logging.WARNING):
        predict_streamed(predictor(path, threshold=0.4, **ROWS), image, out)
    assert "are removed, and it begins anew" in caplog.text


def test_rows_of_another_prediction_stay_beside_a_kept_one(
    image: Path, out: Path, used: Callable[..., Predictor]
) -> None:
    predict_streamed(used(), image, out)
    begun = stopped_after(2, used(threshold=0.4), image, out)
    origin, told = Origin.of(used().path, image, used().settings), []
    in_place.remove_left_over(image, out, in_place.hidden_in(out), origin, told.append)
    assert begun.partial.is_dir()
    stopped_after(1, used(), image, out)
    assert read_progress(begun.partial) is not None
    in_place.remove_left_over(image, out, in_place.hidden_in(out), origin, told.append)
    assert not begun.partial.exists()
    assert not told


def test_rows_with_parts_that_the_kept_one_lacks_stay(image: Path, out: Path, used: Callable[..., Predictor]) -> None:
    plain = used(attention=False)
    predict_streamed(plain, image, out)
    begun = stopped_after(2, used(), image, out)
    told: list[str] = []
    origin = Origin.of(plain.path, image, plain.settings)
    in_place.remove_left_over(image, out, in_place.hidden_in(out), origin, told.append)
    assert begun.partial.is_dir(), "they have the attention, which is not there yet"
    predict_streamed(used(), image, out)
    require_whole(used(), image, out)
