"""The models that come with the program: their files, their names, and the script that makes them."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.errors import ModelFileError
from napari_attnseg.models import starter_models as starters
from napari_attnseg.models.model_card import ModelCard, load_card
from napari_attnseg.models.model_file import load_model, save_model
from napari_attnseg.models.starter_models import is_starter, model_path, starter_models, starter_of
from napari_attnseg.models.unet import build_model
from napari_attnseg.settings import DataSettings, ModelSettings, RunSettings

ROOT = Path(__file__).parents[2]
LARGEST = 8_000_000  # bytes


@pytest.fixture(scope="module")
def script() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
        return importlib.import_module("make_starter_model")


def strings_of(value: Any) -> list[str]:
    """Return all texts in a JSON value."""
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in strings_of(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings_of(item)]
    return [value] if isinstance(value, str) else []


# What is shipped


def test_nuclei_is_there() -> None:
    assert "nuclei" in [starter.name for starter in starter_models()]


@pytest.mark.parametrize("name", [starter.name for starter in starter_models()])
def test_each_model_is_small_says_what_it_is_and_names_no_place(name: str) -> None:
    starter = next(starter for starter in starter_models() if starter.name == name)
    assert starter.path.stat().st_size < LARGEST
    model, card = load_model(starter.path)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    about = card.about
    assert about is not None
    assert starter.title == about.title
    assert about.data
    assert about.licence
    assert about.recipe
    assert {"f1", "jaccard"} <= card.scores.keys()
    places = re.compile(r"(^|[\s'\"=])(/|~|[A-Za-z]:\\)|\\|/(home|root|work|tmp|Users)/")
    assert [text for text in strings_of(card.model_dump(mode="json")) if places.search(text)] == []
    assert all(command.startswith(("napari-attnseg train ", "python scripts/")) for command in about.recipe)


def test_kernels_are_stored_in_16_bits_and_statistics_are_not() -> None:
    with safe_open(model_path("nuclei"), framework="pt") as file:
        kinds = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {value.dtype for value in kinds.values() if value.ndim > 1} == {torch.float16}
    statistics = [value for name, value in kinds.items() if "running_" in name]
    assert statistics
    assert {value.dtype for value in statistics} == {torch.float32}


# Names


def test_a_name_gives_the_file_and_a_path_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = next(starter.path for starter in starter_models() if starter.name == "nuclei")
    assert model_path("nuclei") == model_path(Path("nuclei")) == shipped
    for text in ("runs/one/best.safetensors", "missing.safetensors", str(tmp_path / "nuclei")):
        assert model_path(text) == Path(text)


def test_a_file_of_that_name_goes_first_and_a_folder_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nuclei").mkdir()
    assert is_starter(model_path("nuclei"))
    (tmp_path / "nuclei").rmdir()
    (tmp_path / "nuclei").write_bytes(b"mine")
    assert model_path("nuclei") == Path("nuclei")
    assert not is_starter(Path("nuclei"))


def test_an_unknown_name_gets_a_sentence_with_the_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match=r"There is no model 'nucleii'.*come with the program \(.*nuclei.*\)"):
        model_path("nucleii")
    monkeypatch.setattr(starters, "FOLDER", tmp_path / "not there")
    assert starter_models() == ()
    with pytest.raises(ModelFileError, match="There is no model 'nuclei'"):
        model_path("nuclei")


def test_a_model_of_another_installation_is_replaced_by_ours(tmp_path: Path) -> None:
    assert starter_of(Path("/gone/napari_attnseg/models/starters/nuclei.safetensors")) == model_path("nuclei")
    assert starter_of(Path("/gone/napari_attnseg/models/starters/other.safetensors")) is None
    assert starter_of(tmp_path / "nuclei.safetensors") is None


# The script


def make_run(folder: Path, init: Path | None = None, **training: Any) -> Path:
    """Make what the script reads of a run, with a network that has seen something; return the run folder."""
    settings = ModelSettings(widths=(8, 16), in_channels=3)
    torch.manual_seed(1)
    model = build_model(settings).train()
    for _ in range(3):
        model(torch.rand(2, 3, 32, 32) * 3)
    masks = MaskConvention("binary", {0: 0, 255: 1}, ("background", "foreground"))
    card = ModelCard(
        model=settings,
        data=DataSettings(),
        masks=masks.to_dict(),
        patch_size=32,
        training={"images": 3, "trained_on": ["0123456789abcdef"], "held_out_images": []},
        scores={"f1": 0.5},
    )
    folder.mkdir(parents=True)
    save_model(folder / "best.safetensors", model, card)
    order = RunSettings.model_validate({"training": training, "model": {"widths": (8, 16)}}).model_dump(mode="json")
    values = {"init": str(init) if init else None, "source": str(folder), "settings": order}
    (folder / "run.json").write_text(json.dumps(values))
    return folder


def shipped(script: ModuleType, run: Path, out: Path, *more: object) -> Path:
    """Run the script on a run folder; return the file that it wrote."""
    described = out.with_name("described.json")
    values = json.loads((ROOT / "scripts/starter_models/nuclei.json").read_text()) | {"title": "small discs"}
    described.write_text(json.dumps(values))
    arguments = ["script", run, "discs", "--out", out, "--description", described, *more]
    images = ["--images", ROOT / "sample_data/nuclei/test"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(item) for item in (*arguments, *images)])
        script.main()
    return out / "discs.safetensors"


def test_what_is_shipped_predicts_the_same_in_half_the_size(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run")
    path = shipped(script, run, tmp_path / "out")
    before, after = load_model(run / "best.safetensors")[0], load_model(path)[0]
    assert {value.dtype for value in after.state_dict().values()} == {torch.float32, torch.int64}
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        difference = (before(images).sigmoid() - after(images).sigmoid()).abs().max()
    assert 0 < difference < 0.01
    own = dict(before.named_buffers())
    assert all(torch.equal(value, own[name]) for name, value in after.named_buffers())
    assert path.stat().st_size < 0.7 * (run / "best.safetensors").stat().st_size
    printed = re.search(r"Largest difference of a probability, in 6 images: (\S+)", capsys.readouterr().out)
    assert printed is not None
    assert float(printed[1]) < 0.01


def test_the_card_says_what_it_is_and_how_it_was_trained(script: ModuleType, tmp_path: Path) -> None:
    first = make_run(tmp_path / "one", epochs=7, seed=3)
    second = make_run(tmp_path / "two", first / "best.safetensors", patch_size=192)
    scores = dict.fromkeys(("accuracy", "f1", "jaccard", "recall", "precision"), 0.5)
    (tmp_path / "scores.json").write_text(json.dumps({"mean": scores}))
    card = load_card(shipped(script, second, tmp_path / "out", "--scores", tmp_path / "scores.json"))
    about = card.about
    assert about is not None
    assert about.title == "small discs"
    assert about.recipe == (
        "napari-attnseg train dsb2018/train --run runs/discs-1 --widths 8 16 --epochs 7 --seed 3",
        "napari-attnseg train dsb2018/train --run runs/discs-2 --init runs/discs-1/best.safetensors --patch-size 192",
    )
    assert about.measured.startswith("F1 0.500, Jaccard 0.500")
    assert card.class_names == ("background", "nucleus")
    assert card.data.channels == "rgb"
    assert card.training["trained_on"] == ["0123456789abcdef"], "what is fair to measure on stays known"


def test_the_mean_with_the_model_that_a_run_started_from(script: ModuleType, tmp_path: Path) -> None:
    first = make_run(tmp_path / "one")
    model, card = load_model(first / "best.safetensors")
    moved = {name: value + 0.5 * value.is_floating_point() for name, value in model.state_dict().items()}
    model.load_state_dict(moved)
    second = make_run(tmp_path / "two", first / "best.safetensors")
    save_model(second / "best.safetensors", model, card)
    held_out = {"mean": {"f1": 0.25, "jaccard": 0.125}}
    (tmp_path / "held_out.json").write_text(json.dumps(held_out))
    path = shipped(script, second, tmp_path / "out", "--mean-with-start", "--held-out", tmp_path / "held_out.json")
    one, mean = load_model(first / "best.safetensors")[0].state_dict(), load_model(path)[0].state_dict()
    for name, value in mean.items():
        wanted = one[name] + 0.25 * value.is_floating_point()
        torch.testing.assert_close(value, wanted.to(value.dtype), rtol=0, atol=2e-3)
    card = load_card(path)
    assert card.scores == {"score": 0.25, "f1": 0.25, "jaccard": 0.125}, "its own, and not those of the second run"
    assert card.about is not None
    assert card.about.recipe[-1] == "python scripts/make_starter_model.py runs/discs-2 discs --mean-with-start"


def test_a_card_that_names_a_place_is_not_shipped(script: ModuleType, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    model, card = load_model(run / "best.safetensors")
    training = card.training | {"start": os.path.abspath(tmp_path)}
    save_model(run / "best.safetensors", model, card.model_copy(update={"training": training}))
    with pytest.raises(ValueError, match="holds a path"):
        shipped(script, run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_card_without_a_description_still_loads(tmp_path: Path) -> None:
    assert load_card(make_run(tmp_path / "run") / "best.safetensors").about is None
