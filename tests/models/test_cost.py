"""What networks cost, counted by hand for a small one; and the table of all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import napari_attnseg
from napari_attnseg.cli import main
from napari_attnseg.models.cost import cost_of
from napari_attnseg.models.presets import PRESETS
from napari_attnseg.models.unet import build_model, count_parameters
from napari_attnseg.settings import ModelSettings


def test_multiply_adds_by_hand() -> None:
    """Each value that a convolution gives costs its kernel's size times its input channels."""
    pixels = 16 * 16
    fine = pixels * 9 * (1 * 8 + 8 * 8)
    coarse = pixels // 4 * 9 * (8 * 16 + 16 * 16)
    up = pixels * 16 * 8  # each pixel is reached by one of the 2 x 2 places of the kernel
    decoder = pixels * 9 * ((8 + 8) * 8 + 8 * 8)
    head = pixels * 8
    settings = ModelSettings(name="unet", widths=(8, 16))
    assert cost_of(settings, 16).multiply_adds == fine + coarse + up + decoder + head
    assert cost_of(settings, 15) == cost_of(settings, 16), "the padding is computed too"
    assert cost_of(settings, 32).multiply_adds == 4 * cost_of(settings, 16).multiply_adds


def test_parameters_are_those_of_the_network() -> None:
    settings = ModelSettings(name="cbam_unet", widths=(8, 16), in_channels=3, classes=4)
    assert cost_of(settings, 16).parameters == count_parameters(build_model(settings))


def test_the_command_lists_every_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["models", "--size", "64", "--channels", "3", "--classes", "4", "--json", str(tmp_path / "m.json")]) == 0
    )
    shown = capsys.readouterr().out
    assert shown.startswith("One image of 64 x 64 pixels, 3 channels, 4 classes\n")
    found = json.loads((tmp_path / "m.json").read_text())
    assert [model["name"] for model in found["models"]] == list(PRESETS)
    cost = cost_of(ModelSettings(name="unet", in_channels=3, classes=5), 64)
    unet = found["models"][1]
    assert (unet["parameters"], unet["multiply_adds"]) == (cost.parameters, cost.multiply_adds)
    for model in found["models"]:
        (line,) = [line for line in shown.splitlines() if line.startswith(f"{model['name']} ")]
        assert line.split()[1:4] == [
            f"{model['parameters'] / 1e6:.2f}",
            f"{model['multiply_adds'] / 1e9:.2f}",
            "yes" if PRESETS[model["name"]].gates else "no",
        ]


def test_a_model_that_these_settings_do_not_fit_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["models", "--size", "16", "--widths", "8", "16", "--norm", "group", "--json", str(tmp_path / "m")]) == 0
    )
    shown = capsys.readouterr().out
    assert "res_se_unet: " in shown
    assert "5 widths" in shown
    found = {model["name"]: model for model in json.loads((tmp_path / "m").read_text())["models"]}
    assert found["res_se_unet"]["parameters"] is None
    assert found["unet"]["parameters"] == cost_of(ModelSettings(name="unet", widths=(8, 16))).parameters
    assert f"{found['unet']['parameters'] / 1e6:.4f}" in shown, "two digits would say that there are none"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "0"], "--size"),
        (["--channels", "65"], "--channels"),
        (["--classes", "0"], "--classes"),
        (["--widths", "8", "2"], "4 to 2048"),
        (["--json", "model.safetensors"], "name another file"),
    ],
)
def test_nonsense_gets_one_sentence(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", *arguments]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_the_documentation_shows_the_table_as_it_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(napari_attnseg.__path__[0]).parent / "docs" / "models.md"
    if not page.is_file():
        pytest.skip("the tests run without the source tree")
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["models"]) == 0
    assert capsys.readouterr().out in page.read_text(encoding="utf-8")
