"""Model files: what is saved comes back the same, and nothing else is taken for a model."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.errors import ModelFileError
from napari_attnseg.models.initialise import initial_model
from napari_attnseg.models.model_file import FORMAT_VERSION, ModelCard, load_card, load_model, save_model
from napari_attnseg.models.presets import PRESETS
from napari_attnseg.models.unet import build_model
from napari_attnseg.settings import DataSettings, ModelSettings


def card_of(settings: ModelSettings) -> ModelCard:
    count = max(settings.classes, 2)
    names = ("background", *(f"organ {n}" for n in range(1, count)))
    masks = MaskConvention("binary" if count == 2 else "classes", {n: n for n in range(count)}, names)
    return ModelCard(model=settings, data=DataSettings(), masks=masks.to_dict(), patch_size=64, scores={"f1": 0.9})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    settings = ModelSettings(widths=(8, 16))
    save_model(tmp_path / "model.safetensors", build_model(settings), card_of(settings))
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("name", PRESETS)
def test_a_model_comes_back_with_the_same_output(name: str, tmp_path: Path) -> None:
    widths = (8, 16) if PRESETS[name].encoder == "plain" else (8, 8, 8, 8, 8)
    settings = ModelSettings.model_validate({"name": name, "widths": widths, "in_channels": 3, "classes": 5})
    model = build_model(settings).eval()
    path = tmp_path / "modèle 1.safetensors"
    save_model(path, model, card_of(settings))
    loaded, card = load_model(path)
    images = torch.rand(1, 3, 20, 20)
    assert torch.equal(loaded(images), model(images))
    assert card == card_of(settings)
    assert card.convention.class_names[1] == "organ 1"
    assert not loaded.training


def test_a_card_is_read_without_the_weights(saved: Path) -> None:
    assert load_card(saved).scores == {"f1": 0.9}


def _newer(path: Path) -> None:
    card = json.loads(card_of(ModelSettings(widths=(8, 16))).model_dump_json())
    save_file(
        {"a": torch.zeros(1)}, path, {"napari_attnseg": json.dumps(card | {"format_version": FORMAT_VERSION + 1})}
    )


def _other_weights(path: Path) -> None:
    save_file({"a": torch.zeros(1)}, path, {"napari_attnseg": card_of(ModelSettings(widths=(8, 16))).model_dump_json()})


def _damaged_card(path: Path) -> None:
    save_file({"a": torch.zeros(1)}, path, {"napari_attnseg": '{"format_version": 1, "model": {"widths": [8]}}'})


BAD = {
    "missing": (lambda path: path.unlink(), "no model file"),
    "empty": (lambda path: path.write_bytes(b""), "not a readable model file"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "not a readable model file"),
    "header cut": (lambda path: path.write_bytes(path.read_bytes()[:100]), "not a readable model file"),
    "text": (lambda path: path.write_text("hello, I am no model"), "not a readable model file"),
    "pickle": (lambda path: torch.save({"a": torch.zeros(3)}, path), "not a readable model file"),
    "foreign": (lambda path: save_file({"a": torch.zeros(1)}, path), "no model card"),
    "newer": (_newer, "update napari-attnseg"),
    "other weights": (_other_weights, "do not fit"),
    "damaged card": (_damaged_card, "damaged"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_usable_model_gets_one_sentence_with_its_path(kind: str, saved: Path) -> None:
    make, expected = BAD[kind]
    make(saved)
    with pytest.raises(ModelFileError, match=expected) as caught:
        load_model(saved)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_classes_keep_the_head(saved: Path) -> None:
    start = initial_model(ModelSettings(widths=(8, 16)), saved)
    model = start.model
    assert start.notices == ()
    assert start.is_whole
    assert torch.equal(model.head.weight, load_model(saved)[0].head.weight)


def test_other_classes_get_a_new_head_and_a_notice(saved: Path) -> None:
    start = initial_model(ModelSettings(widths=(8, 16), classes=4), saved)
    model, notices = start.model, start.notices
    assert not start.is_whole
    source = load_model(saved)[0]
    assert model.head.weight.shape[0] == 4
    assert torch.equal(model.encoder[0][0].weight, source.encoder[0][0].weight)
    assert len(notices) == 1
    assert "output layer learns anew" in notices[0]


def test_other_channels_get_a_new_first_layer_and_a_notice(saved: Path) -> None:
    start = initial_model(ModelSettings(widths=(8, 16), in_channels=3), saved)
    model, notices = start.model, start.notices
    assert not start.is_whole
    assert torch.equal(model.head.weight, load_model(saved)[0].head.weight)
    assert "first layer learns anew" in notices[0]


def test_the_card_needs_no_torch(saved: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from napari_attnseg.models.model_card import load_card; "
        f"print(load_card(Path({str(saved)!r})).class_names, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "('background', 'organ 1') False"


def test_the_card_reads_what_safetensors_reads(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        text = file.metadata()["napari_attnseg"]
    assert load_card(saved) == ModelCard.model_validate_json(text)


@pytest.mark.parametrize("header", [b"[1]", b'{"a": 3}', b'{"a": {"data_offsets": []}}', b"\xff\xfe", b"[" * 5000])
def test_a_header_that_makes_no_sense_is_refused(header: bytes, saved: Path) -> None:
    saved.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelFileError, match="not a readable model file"):
        load_card(saved)


def test_bytes_behind_the_weights_are_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"more")
    with pytest.raises(ModelFileError, match="not a readable model file"):
        load_card(saved)


@pytest.mark.parametrize("finished", [None, "yesterday", 5])
def test_a_card_may_not_say_when_it_was_trained(finished: object) -> None:
    card = card_of(ModelSettings(widths=(8, 16)))
    assert card.model_copy(update={"training": {"finished": finished}}).trained is None
    assert card.trained is None


def test_a_card_says_when_and_on_how_many_images() -> None:
    training = {"finished": "2024-05-06T07:08:09+00:00", "images": 12}
    card = card_of(ModelSettings(widths=(8, 16))).model_copy(update={"training": training})
    assert card.trained == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert card.images == 12
