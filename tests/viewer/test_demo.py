"""The demo's window shows what the model finds and where it looks; without a display the demo does without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_attnseg.cli.demo import WINDOW, missing_for_a_window
from tests.conftest import TINY, MakeFolder

DEMO = (sys.executable, "-m", "napari_attnseg.viewer.demo")


@pytest.fixture
def folder(make_folder: MakeFolder, tmp_path: Path) -> Path:
    """Return a folder with the sub-folders train and test, as the demo has them."""
    whole = tmp_path / "images"
    whole.mkdir()
    make_folder(4, "images/train")
    test = make_folder(1, "images/test")
    for name in ("cell00.tif", "cell00_MASK.tif"):
        (test / name).rename(test / name.replace("cell00", "unseen"))
    return whole


def finish(command: tuple[object, ...], tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with napari's settings kept apart from the user's."""
    env = os.environ | {"NAPARI_CONFIG": str(tmp_path / "napari.yaml")} | variables
    return subprocess.run([str(part) for part in command], env=env, capture_output=True, text=True, check=False)


def trained(folder: Path, tmp_path: Path) -> Path:
    """Train a small model in a process of its own."""
    options = [
        word
        for name, value in TINY.items()
        for word in (f"--{name.replace('_', '-')}", *(value if isinstance(value, tuple) else (value,)))
    ]
    run = tmp_path / "run"
    command = (sys.executable, "-m", "napari_attnseg", "train", folder / "train", "--run", run, *options)
    done = finish(command, tmp_path)
    assert done.returncode == 0, done.stderr
    return run / "best.safetensors"


@pytest.mark.one_binding
def test_the_window_shows_an_unseen_image_with_what_the_model_says_of_it(folder: Path, tmp_path: Path) -> None:
    masks = {path: path.read_bytes() for path in folder.rglob("*_MASK.tif")}
    model = trained(folder, tmp_path)
    done = finish((*DEMO, folder, model, "--seconds", 0.5), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "unseen_MASK, unseen prediction, unseen attention 1, unseen." in done.stdout
    assert {path: path.read_bytes() for path in masks} == masks
    state = folder / ".attnseg" / "folder.json"
    assert str(model) in state.read_text().replace("\\\\", "\\")  # it is the one in use


def test_a_file_that_is_no_model_is_refused_without_a_window(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "notes.safetensors"
    model.write_text("no model")
    done = finish((*DEMO, folder, model), tmp_path, DISPLAY="")  # with a window it would fail in another way
    assert done.returncode == 1
    assert done.stderr.startswith("napari-attnseg: ")
    assert "notes.safetensors" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.one_binding
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_without_a_display_the_demo_says_how_to_look_at_it(folder: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "napari_attnseg", "demo", "--out", tmp_path / "demo", "--data", folder)
    variables = {WINDOW: "1", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    done = finish((*command, "--minutes", "0.02"), tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Look at it in napari, where there is a display: ")
    assert last.endswith(f"-m napari_attnseg.viewer.demo {folder} {tmp_path / 'demo' / 'run' / 'best.safetensors'}")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_a_window_is_opened_at_a_terminal_or_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.delenv(WINDOW, raising=False)
    assert missing_for_a_window() == "by this command"  # the output is read by pytest, not at a terminal
    monkeypatch.setenv(WINDOW, "1")
    assert missing_for_a_window() == ""
    monkeypatch.setenv("DISPLAY", "")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert missing_for_a_window() == ""
    monkeypatch.delenv("WAYLAND_DISPLAY")
    assert missing_for_a_window() == "where there is a display"
