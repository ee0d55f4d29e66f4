"""Where imports go: nothing of others is touched, and an interrupted one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.data.importers import folder
from napari_attnseg.data.importers.convert import convert
from napari_attnseg.data.importers.destination import Job
from napari_attnseg.errors import SaveError
from napari_attnseg.events import Event, Progress
from tests.importers.layouts import report, run_import, stored, write_png

IMAGE = np.random.default_rng(1).integers(0, 255, (20, 24)).astype(np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder of four images with masks."""
    for number in range(4):
        write_png(tmp_path / "in" / f"{number}.png", IMAGE + np.uint8(number))
        write_png(tmp_path / "in" / f"{number}_mask.png", np.where(IMAGE > 100, 255, 0).astype(np.uint8))
    return tmp_path / "in"


def content(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_originals_and_strangers_are_left_alone(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(source)
    taken = tmp_path / "taken"
    write_png(taken / "holiday.png", IMAGE)
    for destination, reason in (
        (source, "is the source"),
        (source / "out", "is in the source"),
        (tmp_path, "already holds other files"),
        (taken, "already holds other files (holiday.png)"),
        (taken / "holiday.png", "is a file"),
    ):
        assert run_import("folder", source, destination, "--overwrite") == 1
        assert reason in capsys.readouterr().err
    assert run_import("folder", source, tmp_path / "out") == 0
    assert content(source) == before


def test_what_is_there_is_kept_and_what_is_missing_is_made(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_import("folder", source, out) == 0
    complete = content(out)
    tifffile.imwrite(out / "0_MASK.tiff", np.zeros((20, 24), np.uint8))  # corrected since
    (out / "1.tiff").unlink()
    (out / "2_MASK.tiff").unlink()
    assert run_import("folder", source, out) == 0
    assert [row["Result"] for row in report(out)] == ["there already", "converted", "converted", "there already"]
    assert not tifffile.imread(out / "0_MASK.tiff").any(), "a corrected mask stays"
    assert run_import("folder", source, out, "--overwrite") == 0
    assert tifffile.imread(out / "0_MASK.tiff").any()
    assert set(content(out)) == set(complete)
    assert run_import("folder", source, out, "--mask-values", "instances") == 1
    assert "holds another import" in capsys.readouterr().err


def test_a_stop_leaves_whole_files_and_can_be_gone_on_from(source: Path, tmp_path: Path) -> None:
    plan = folder.find(source, folder.Options())
    events: list[Event] = []
    out, job = tmp_path / "out", Job("folder", source, {})
    outcome = convert(plan, out, job, on_event=events.append, should_stop=lambda: len(events) >= 2)
    assert outcome.stopped
    assert [event.done for event in events if isinstance(event, Progress)] == [0, 0.25]
    assert sorted(path.name for path in out.glob("*.tiff")) == ["0.tiff", "0_MASK.tiff"]
    again = convert(plan, out, job)
    assert not again.stopped
    assert (again.count("there already"), again.count("converted")) == (1, 3)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child alone")
def test_ctrl_c_ends_with_130_and_whole_files(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for number in range(250):
        write_png(source / f"{number}.png", IMAGE)
    command = [sys.executable, "-m", "napari_attnseg", "import", "folder", str(source), str(out)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while "Importing" not in child.stdout.readline():
        assert child.poll() is None
    while not out.is_dir() or not any(out.glob("*.tiff")):
        assert child.poll() is None
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "repeat the command to go on" in told
    written = sorted(out.glob("*.tiff"))
    assert 0 < len(written) < 250
    assert all(np.array_equal(stored(path), IMAGE) for path in written)
    assert not list(out.glob(".attnseg*")), "no temporary file is left"
    assert len(report(out)) == len(written)
    assert run_import("folder", source, out) == 0
    assert len(list(out.glob("*.tiff"))) == 250


def test_a_full_disk_ends_the_import(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error of a full disk is raised by hand where a file is written; all else is real."""
    real, written = tifffile.imwrite, []

    def full(path: Path, *arguments, **keywords) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        real(path, *arguments, **keywords)

    monkeypatch.setattr(tifffile, "imwrite", full)
    assert run_import("folder", source, tmp_path / "out") == 1
    assert "no space left on device" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tiff")) == ["0.tiff", "0_MASK.tiff", "1_MASK.tiff"]
    monkeypatch.undo()
    assert run_import("folder", source, tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*.tiff"))) == 8


def test_a_destination_that_cannot_be_made(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SaveError, match="cannot be made"):
        convert(folder.find(source, folder.Options()), tmp_path / "file" / "out", Job("folder", source, {}))


def test_nothing_converted_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no image")
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 1
    assert "nothing could be converted" in capsys.readouterr().err
