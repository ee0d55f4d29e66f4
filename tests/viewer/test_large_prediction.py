"""Images that are too large for memory in the Predict dock: predicted into files, seen while they grow."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_attnseg.annotation.elsewhere import place_for
from napari_attnseg.job_process import is_alive
from napari_attnseg.jobs import Job, start
from napari_attnseg.prediction.room import MEMORY_VARIABLE
from napari_attnseg.prediction.working_store import read_progress
from napari_attnseg.viewer.predict.large.predicting import LargePredicting
from napari_attnseg.viewer.predict.large.prediction import LargePrediction
from tests.conftest import damage_tile
from tests.viewer.canvas import until
from tests.viewer.docked import LONG, Docks, click, disc_folder, labels, make_docks, opened, ours, predicted, told, use

pytestmark = pytest.mark.timeout(400)

OTHER_PREDICTION = """
import sys, time
from pathlib import Path
while not (Path(sys.argv[1]) / "stop").exists():
    time.sleep(0.01)
"""

HEIGHT, WIDTH = 4300, 760
NAME = "a_slide.tif"


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a large image: the two bright discs of the small ones, side by side many times."""
    folder = disc_folder(tmp_path_factory.mktemp("slide") / "one", 1)
    small = tifffile.imread(folder / "disc00.tif")
    many = np.tile(small, (-(-HEIGHT // 64), -(-WIDTH // 64)))[:HEIGHT, :WIDTH]
    tifffile.imwrite(folder / NAME, many, tile=(256, 256), compression="zlib", resolution=(5e4, 5e4), resolutionunit=3)
    return folder / NAME


@pytest.fixture
def folder(slide: Path, tmp_path: Path) -> Path:
    """Return a folder with the large image, which is the first one, and two small ones."""
    place = disc_folder(tmp_path / "data", 2)
    shutil.copy2(slide, place / NAME)
    return place


@pytest.fixture
def docks(viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Docks]:
    """Return the docks of a viewer for which 50 megabytes are all the memory that there is."""
    monkeypatch.setenv(MEMORY_VARIABLE, "0.05")
    docks = make_docks(viewer, qtbot)
    yield docks
    job = docks.predict.large.predicting._job.job
    if job is not None and job.pid is not None and job.state == "running":
        os.kill(job.pid, signal.SIGCONT)  # whoever is halted cannot be ended


def shown(docks: Docks) -> LargePrediction:
    found = docks.predict.proposals.current
    assert isinstance(found, LargePrediction)
    return found


def pid_of(docks: Docks) -> int:
    job = docks.predict.large.predicting._job.job
    assert job is not None
    assert job.pid is not None
    return job.pid


def halted_after(docks: Docks, qtbot: Any, rows: int) -> None:
    """Press Predict, and halt the process once the dock shows some rows of tiles."""
    large = docks.predict.large.predicting
    click(qtbot, docks.predict.buttons.image_button)
    until(qtbot, lambda: large.prediction is not None and large.prediction.rows[0] >= rows, LONG)
    os.kill(pid_of(docks), signal.SIGSTOP)
    qtbot.wait(400)  # what it had said before is heard
    assert large.is_active, "it was done before it could be halted"


def finished(docks: Docks, qtbot: Any) -> tuple[str, str]:
    """Wait until the prediction has ended; return how, and the sentence."""
    ends: list[tuple[str, str]] = []
    large = docks.predict.large.predicting
    large.ended.connect(lambda work, state, sentence: ends.append((state, sentence)))
    until(qtbot, lambda: ends or not large.is_active, LONG)
    until(qtbot, lambda: not docks.predict.large.panel.isBusy())
    qtbot.wait(100)
    return ends[0] if ends else ("", "")


def sentence(docks: Docks) -> str:
    return str(docks.predict.large.panel.sentence.text())


def at(levels: Any, lines: int) -> np.ndarray:
    return np.asarray(levels[0][:lines, :])


@pytest.mark.one_binding
def test_it_grows_is_left_is_cancelled_and_goes_on(docks: Docks, qtbot: Any, folder: Path, trained: Path) -> None:
    dock, viewer = docks.predict, docks.viewer
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    until(qtbot, lambda: "too large to be predicted in memory" in sentence(docks))
    assert "attnseg_predictions/a_slide_PRED.ome.zarr and 2 more" in sentence(docks).replace(os.sep, "/")
    camera = (viewer.scene.camera.center, viewer.scene.camera.zoom)

    halted_after(docks, qtbot, 2)
    found = shown(docks)
    lines = found.lines_done(())
    assert 0 < lines < HEIGHT
    assert (viewer.scene.camera.center, viewer.scene.camera.zoom) == camera
    prediction = ours(viewer, "prediction")[0]
    assert prediction.visible
    assert prediction.scale.tolist() == ours(viewer, "image")[0].scale.tolist()
    assert prediction.data.shape == (HEIGHT, WIDTH)
    assert [layer.name for layer in ours(viewer, "attention")] == [
        "a_slide attention 1 (deepest)",
        "a_slide attention 2 (finest)",
    ]
    drawn = prediction._slice.image.raw  # from far: the coarsest level, which napari would keep
    end = lines * len(drawn) // HEIGHT
    assert drawn[end - 20 : end - 1].any(), "the last finished rows are on the screen"
    assert not drawn[end + 512 * len(drawn) // HEIGHT :].any(), "of the next row a part may be there"
    assert "row" in dock.large.panel.line.text()
    assert not dock.buttons.image_button.isEnabled()

    docks.session.show(folder / "disc00.tif")
    until(qtbot, lambda: docks.session.shown == folder / "disc00.tif")
    assert dock.large.panel.isBusy(), "it goes on"
    assert predicted(docks, qtbot).labels.any(), "a small image is predicted meanwhile"
    docks.session.show(folder / NAME)
    until(qtbot, lambda: dock.proposals.current is found)
    os.kill(pid_of(docks), signal.SIGCONT)
    click(qtbot, dock.large.panel.cancel_button)
    assert finished(docks, qtbot)[0] in ("cancelled", "")
    assert "are kept, and Predict goes on after them" in sentence(docks)
    progress = read_progress(found.work.partial)
    assert progress is not None
    assert 2 <= progress.rows_done < progress.rows

    began: list[Any] = []
    dock.large.predicting.begun.connect(lambda work, known: began.append(known))
    heard: list[int] = []
    dock.large.predicting.grown.connect(lambda one: heard.append(one.rows[0]))
    click(qtbot, dock.buttons.image_button)
    until(qtbot, lambda: began, LONG)
    assert f"goes on after row {progress.rows_done} of {progress.rows}" in sentence(docks)
    assert finished(docks, qtbot)[0] in ("finished", "")
    assert heard[0] >= progress.rows_done, "nothing was predicted twice"
    until(qtbot, lambda: "is predicted, by best.safetensors" in sentence(docks))
    _look_at_the_whole(docks, qtbot, folder)


def _look_at_the_whole(docks: Docks, qtbot: Any, folder: Path) -> None:
    """Check what is shown of a complete prediction, and what of the threshold works on it."""
    dock, viewer = docks.predict, docks.viewer
    found, out = shown(docks), folder / "attnseg_predictions"
    assert sorted(path.name for path in out.iterdir()) == [f"a_slide_{k}.ome.zarr" for k in ("ATTN", "PRED", "PROB")]
    assert found.is_complete
    stored = np.asarray(zarr.open_group(out / "a_slide_PRED.ome.zarr", mode="r")["0"])
    probability = np.asarray(zarr.open_group(out / "a_slide_PROB.ome.zarr", mode="r")["0"])[0]
    layer = ours(viewer, "prediction")[0]
    assert np.array_equal(np.asarray(layer.data[0]), stored > 0)
    dock.controls.threshold_slider.setValue(80)
    assert np.array_equal(np.asarray(layer.data[0]), probability > 0.8)
    drawn = layer._slice.image.raw
    assert np.array_equal(drawn, np.asarray(layer.data[layer.data_level])), "what is seen follows the slider"
    dock.controls.threshold_slider.setValue(50)
    assert "when its files are written" in dock.controls.size_box.toolTip()
    for name in ("probability", "attention", "uncertainty"):
        dock.layers.boxes[name].setChecked(True)
        assert [one for one in ours(viewer, name) if one.visible]
        dock.layers.boxes[name].setChecked(False)
    low, high = ours(viewer, "attention")[0].contrast_limits
    assert 0 < low < high < 1

    click(qtbot, dock.buttons.image_button)
    until(qtbot, lambda: "was predicted by this model already" in sentence(docks))
    assert not dock.large.predicting.is_active


def test_what_is_in_view_is_accepted(docks: Docks, qtbot: Any, folder: Path, trained: Path) -> None:
    dock, viewer = docks.predict, docks.viewer
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    halted_after(docks, qtbot, 2)
    mask = docks.session.mask
    assert mask is not None
    accepts = dock.accepts.buttons
    assert accepts["all"].text() == "Accept what is in view"
    assert not accepts["next"].isEnabled()
    viewer.reset_view()
    until(qtbot, lambda: mask.window is not None and mask.window.step > 1)
    click(qtbot, accepts["all"])
    assert any("Zoom in" in text for text in told())
    assert not labels(docks.annotate).any()

    lines, scale = shown(docks).lines_done(()), float(ours(viewer, "image")[0].scale[-1])
    viewer.scene.camera.zoom = 1 / scale
    viewer.scene.camera.center = (0.0, lines * scale, 300 * scale)
    until(qtbot, lambda: mask.window is not None and mask.window.step == 1)
    labels(docks.annotate)[lines + 40 : lines + 50, 300:310] = 1  # painted where nothing is predicted yet
    click(qtbot, accepts["all"])
    accepted = labels(docks.annotate)
    top, bottom = (int(np.flatnonzero(accepted[:lines].any(axis=1))[i]) for i in (0, -1))
    assert lines - 64 <= bottom < lines
    assert top > 0, "above, it is out of view"
    across = np.flatnonzero(accepted[:lines].any(axis=0))
    written = at(shown(docks).labels, lines)
    assert np.array_equal(
        accepted[top + 10 : lines, across[0] : across[-1]], written[top + 10 :, across[0] : across[-1]]
    )
    assert accepted[lines:].sum() == 100, "what is not predicted stays as it is painted"
    docks.session.undo()
    assert not accepted[:lines].any()

    place = next(zip(*np.nonzero(written[lines - 100 :, 200:400]), strict=True))
    dock.accepting.accept("object", (int(place[0]) + lines - 100, int(place[1]) + 200))
    assert 50 < labels(docks.annotate)[:lines].sum() < 500, "one disc"


@pytest.mark.one_binding
def test_how_it_ended_is_said_at_once_and_stays(docks: Docks, qtbot: Any, folder: Path, trained: Path) -> None:
    section, model = docks.predict.large, folder.parent / "mine.safetensors"
    large = section.predicting
    shutil.copy(trained, model)
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, model)
    until(qtbot, lambda: "too large to be predicted in memory" in sentence(docks))
    work = section._work(model, folder / NAME)
    large.ended.emit(work, "cancelled", "")
    assert sentence(docks) == f"Cancelled before the first row of {NAME} was finished."

    refused: list[str] = []
    large.noticed.connect(refused.append)
    target = docks.predict.proposals.target()
    assert target is not None
    large.work = work  # as if it were being predicted again
    section.order(model, target, lambda: None)
    until(qtbot, lambda: refused)
    large.work = None
    section.follow(model)
    assert section._told is not None, "what is refused changes nothing"

    section.panel.setSentence("of another image")
    model.unlink()
    section.follow(model)
    until(qtbot, lambda: sentence(docks).startswith("Cancelled before the first row"))


def left_by_another_window(docks: Docks, qtbot: Any, image: Path) -> Job:
    """Let another prediction of the image run, that another window is waiting for, and then no more."""
    place = place_for("large", image)
    other = start([sys.executable, "-c", OTHER_PREDICTION, str(place)], folder=place)
    click(qtbot, docks.predict.buttons.image_button)
    until(qtbot, lambda: "is being predicted in another window" in sentence(docks))
    assert other.poll() == []
    assert other.state == "running"
    record = json.loads((place / "job.json").read_text())
    (place / "job.json").write_text(json.dumps({**record, "starter": [2**22 + 1, 0.0]}))  # it has crashed
    return other


@pytest.mark.one_binding
def test_other_windows_a_killed_process_another_model_and_a_closed_window(
    docks: Docks, qtbot: Any, folder: Path, trained: Path, tmp_path: Path
) -> None:
    dock = docks.predict
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    other_job = left_by_another_window(docks, qtbot, folder / NAME)
    halted_after(docks, qtbot, 2)
    assert any("was still being predicted" in text for text in told())
    assert not is_alive(other_job._process)
    later = LargePredicting(docks.session)
    later.start(shown(docks).work)
    until(qtbot, lambda: later._job.job is not None)
    assert later._job.job is not None
    assert later._job.job.pid == pid_of(docks), "the same is followed"
    os.kill(pid_of(docks), signal.SIGKILL)
    state, _ = finished(docks, qtbot)
    assert state in ("failed", "")
    assert "was killed" in sentence(docks)
    assert "Predict goes on after them" in sentence(docks)
    assert dock.large.panel.log_button.isVisible() or not dock.isVisible()
    assert shown(docks).rows[0] >= 2, "what there is of it stays on the screen"

    other = tmp_path / "other.safetensors"
    data = trained.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"]["note"] = "another file"
    text = json.dumps(header).encode()
    other.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    use(docks, qtbot, other)
    began: list[Any] = []
    dock.large.predicting.begun.connect(lambda work, known: began.append(known.state))
    heard: list[int] = []
    dock.large.predicting.grown.connect(lambda one: heard.append(one.rows[0]))
    halted_after(docks, qtbot, 1)
    assert began == ["none"]
    assert heard[0] <= 1, "it begins anew"

    pid, partial = pid_of(docks), shown(docks).work.partial
    progress = read_progress(partial)
    os.kill(pid, signal.SIGCONT)  # whoever is halted cannot be ended
    dock.large.predicting.close()  # as the session does when its window closes
    with pytest.raises(OSError, match="No such process"):
        os.kill(pid, 0)
    after = read_progress(partial)
    assert progress is not None
    assert after is not None
    assert after.rows_done >= progress.rows_done >= 1


@pytest.mark.one_binding
def test_large_and_small_images_in_one_go_and_a_folder_that_cannot_be_written_to(
    docks: Docks, qtbot: Any, folder: Path, trained: Path, data_folder: Path
) -> None:
    dock = docks.predict
    (folder / "attnseg_predictions").write_text("a file of this name is in the way")
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    until(qtbot, lambda: "The folder of the images cannot be written to" in sentence(docks))
    lines: list[str] = []
    dock.batch.progressed.connect(lambda done, left, text: lines.append(text))
    dock.buttons.actions_by_name["all"].trigger()
    assert any("cannot be written to, so the predictions go to" in text for text in told())
    until(qtbot, lambda: not dock.batch.is_active, LONG)
    assert "Wrote 3 predictions" in dock.buttons.line.text()
    assert any("a_slide.tif, row" in line for line in lines)
    (place,) = (data_folder / "predictions").iterdir()
    assert sorted(path.name for path in place.iterdir()) == ["a_slide_PRED.tif", "disc00_PRED.tif", "disc01_PRED.tif"]
    assert tifffile.imread(place / "a_slide_PRED.tif").shape == (HEIGHT, WIDTH)


@pytest.mark.one_binding
def test_bad_images_and_disks_are_one_sentence(
    docks: Docks, qtbot: Any, folder: Path, slide: Path, trained: Path, tmp_path: Path
) -> None:
    dock, image = docks.predict, folder / NAME
    opened(docks.annotate, qtbot, folder)  # one of this size is read as a whole to be shown
    use(docks, qtbot, trained)
    until(qtbot, lambda: "too large" in sentence(docks))
    damage_tile(image, 2)
    click(qtbot, dock.buttons.image_button)
    until(qtbot, lambda: dock.large.predicting.is_active)
    state, _ = finished(docks, qtbot)
    assert state in ("finished", "")
    until(qtbot, lambda: "rows 0 to 255 and columns 512 to 759 cannot be decoded" in sentence(docks))
    found = shown(docks)
    assert found.is_complete
    assert not found.region((), slice(0, 256), slice(512, 760))[1].any()
    assert found.region((), slice(256, 300), slice(512, 760))[1].all()

    place, mount = tmp_path / "small disk", shutil.which("mount")
    place.mkdir()
    command = [mount or "", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    if mount is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("disks cannot be mounted here")
    try:
        (place / "data").mkdir()
        shutil.copy2(slide, place / "data" / NAME)
        (place / "ballast").write_bytes(bytes(8_000_000))
        opened(docks.annotate, qtbot, place / "data")
        until(qtbot, lambda: docks.session.shown == place / "data" / NAME)
        use(docks, qtbot, trained)
        click(qtbot, dock.buttons.image_button)
        until(qtbot, lambda: "needs about" in sentence(docks))
        assert "are free" in sentence(docks)
        assert not dock.large.predicting.is_active
        assert not (place / "data" / "attnseg_predictions").exists()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.one_binding
def test_predict_goes_on_after_a_batch_and_a_batch_after_predict(
    docks: Docks, qtbot: Any, folder: Path, trained: Path
) -> None:
    """The batch asks for masks alone, Predict for more; rows that one has finished are the other's too."""
    dock, out = docks.predict, folder / "attnseg_predictions"
    partial = out / ".a_slide_PRED.partial.zarr"
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)

    def rows() -> int:
        progress = read_progress(partial)
        return progress.rows_done if progress is not None else 0

    dock.buttons.actions_by_name["all"].trigger()
    until(qtbot, lambda: rows() >= 2, LONG)
    job = dock.batch._job.job
    assert job is not None
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    until(qtbot, lambda: not dock.batch.is_active, LONG)
    done = rows()
    heard: list[int] = []
    dock.large.predicting.grown.connect(lambda one: heard.append(one.rows[0]))
    halted_after(docks, qtbot, done + 1)
    assert f"goes on after row {done} of" in sentence(docks)
    assert "begun without the probability" in sentence(docks)
    assert heard[0] >= done
    os.kill(pid_of(docks), signal.SIGKILL)
    assert finished(docks, qtbot)[0] in ("failed", "")

    shutil.rmtree(partial)  # now the other way about
    halted_after(docks, qtbot, 2)
    os.kill(pid_of(docks), signal.SIGKILL)
    assert finished(docks, qtbot)[0] in ("failed", "")
    done = rows()
    lines: list[str] = []
    dock.batch.progressed.connect(lambda share, left, text: lines.append(text))
    dock.buttons.actions_by_name["all"].trigger()
    until(qtbot, lambda: not dock.batch.is_active, LONG)
    assert not any("are removed" in text for text in told())
    rows_told = [int(line.split("row ")[1].split(" of ")[0]) for line in lines if "a_slide.tif, row" in line]
    assert rows_told[0] >= done >= 2
    names = sorted(path.name for path in out.iterdir())
    assert names == ["a_slide_PRED.tif", "disc00_PRED.tif", "disc01_PRED.tif"]

    dock.buttons.actions_by_name["all"].trigger()
    until(qtbot, lambda: not dock.batch.is_active, LONG)
    assert "Wrote 0 predictions" in dock.buttons.line.text()
    assert "and kept 3 earlier ones" in dock.buttons.line.text()
