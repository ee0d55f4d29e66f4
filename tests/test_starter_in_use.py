"""The model for nuclei on the command line and from Python: predict, evaluate, and start a training from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from sklearn.metrics import f1_score

import napari_attnseg as nas
from napari_attnseg.cli import main
from napari_attnseg.data.loading import network_channels, network_input
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.models.model_card import load_card
from napari_attnseg.models.starter_models import model_path
from napari_attnseg.settings import DataSettings
from tests.conftest import MakeFolder

TEST = Path(__file__).parents[1] / "sample_data" / "nuclei" / "test"
SHORT = ["--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "2", "--patch-size", "32", "--device", "cpu"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command in this process and gives exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        return main([str(argument) for argument in arguments]), *capsys.readouterr()

    return call


def one_of(folder: Path, name: str, *, grey: bool = False) -> Path:
    """Copy a sample with its mask, on request as one channel; return the image."""
    folder.mkdir()
    image = tifffile.imread(TEST / f"{name}.tiff")
    path = folder / f"{name}.tiff"
    tifffile.imwrite(path, image.max(axis=-1) if grey else image, photometric="minisblack" if grey else "rgb")
    (folder / f"{name}_MASK.tiff").write_bytes((TEST / f"{name}_MASK.tiff").read_bytes())
    return path


@pytest.mark.parametrize("name", ["fluorescence01", "stained02"])
def test_predict_finds_the_nuclei_of_a_sample(name: str, tmp_path: Path, run: Run) -> None:
    code, output, _ = run("predict", "nuclei", TEST / f"{name}.tiff", "--out", tmp_path)
    assert code == 0
    assert "with nuclei." in output
    found, truth = tifffile.imread(tmp_path / f"{name}_PRED.tiff"), tifffile.imread(TEST / f"{name}_MASK.tiff")
    assert set(np.unique(found)) == {0, 255}
    assert f1_score(truth.ravel() > 0, found.ravel() > 0) > 0.7


def test_grey_images_go_in_as_rgb_and_that_is_said(tmp_path: Path, run: Run) -> None:
    image = one_of(tmp_path / "grey", "fluorescence01", grey=True)
    code, output, _ = run("predict", "nuclei", image, "--out", tmp_path / "out")
    assert code == 0
    assert "1 grey image went into the network as RGB with three equal channels" in output
    found = tifffile.imread(tmp_path / "out" / "fluorescence01_PRED.tiff")
    truth = tifffile.imread(image.with_name("fluorescence01_MASK.tiff"))
    assert f1_score(truth.ravel() > 0, found.ravel() > 0) > 0.7


def test_three_equal_channels_are_three_times_the_grey_one(make_folder: MakeFolder) -> None:
    image = read_image(make_folder(1) / "cell00.tif")
    settings = DataSettings(channels="rgb")
    assert network_channels(image.info, settings) == 3
    seen = network_input(image, settings, 3)
    assert seen.shape == (1, 3, 48, 40)
    grey = network_input(image, DataSettings(), 1)
    assert all(np.array_equal(seen[:, channel], grey[:, 0]) for channel in range(3))
    rgb = make_folder(1, "rgb", channels=3) / "cell00.tif"
    assert network_channels(read_info(rgb), settings) == 3


def test_evaluate_takes_it_beside_other_models(tmp_path: Path, run: Run) -> None:
    folder, other = tmp_path / "one", tmp_path / "copy.safetensors"
    one_of(folder, "stained02")
    other.write_bytes(model_path("nuclei").read_bytes())
    code, output, _ = run("evaluate", "nuclei", other, folder, "--json", tmp_path / "s.json")
    assert code == 0
    assert output.splitlines()[0].split()[-2:] == ["nuclei", "copy"]
    first, second = json.loads((tmp_path / "s.json").read_text())["models"]
    assert first["mean"] == second["mean"]
    scores = nas.evaluate("nuclei", folder)
    assert scores.mean.f1 == pytest.approx(first["mean"]["f1"])


def test_a_training_starts_from_it_and_takes_over_how_it_reads_images(
    make_folder: MakeFolder, tmp_path: Path, run: Run
) -> None:
    data, folder = make_folder(3), tmp_path / "run"
    code, output, _ = run("train", data, "--init", "nuclei", "--run", folder, *SHORT)
    assert code == 0
    assert "Grey images go into the network as RGB" in output
    assert "The starting model scores" in output
    start = load_card(model_path("nuclei"))
    for name in ("best.safetensors", "last.safetensors"):
        card = load_card(folder / name)
        assert card.model == start.model
        assert card.data.channels == start.data.channels == "rgb"
        assert card.data.low_percentile == start.data.low_percentile
        assert card.about is None, "what it was told of the shipped model is not true of this one"


@pytest.mark.parametrize("command", ["predict", "evaluate", "train"])
def test_an_unknown_name_gets_one_sentence(command: str, tmp_path: Path, run: Run) -> None:
    arguments: dict[str, tuple[object, ...]] = {
        "predict": ("nucleos", TEST, "--out", tmp_path / "out"),
        "evaluate": ("nucleos", TEST),
        "train": (TEST, "--init", "nucleos", "--run", tmp_path / "run"),
    }
    code, _, error = run(command, *arguments[command])
    assert code == 1
    assert error.count("\n") == 1
    assert "'nucleos'" in error
    assert "(nuclei" in error
    assert not list(tmp_path.iterdir())
