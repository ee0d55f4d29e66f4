"""Weights of the encoder: read from files, downloaded once, checked, and only for a training that begins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_attnseg.engine import fit
from napari_attnseg.errors import AttnSegError, ModelFileError
from napari_attnseg.events import Event, Notice
from napari_attnseg.models import encoder_weights
from napari_attnseg.models.encoder_weights import downloaded, load_encoder_weights
from napari_attnseg.models.initialise import initial_model
from napari_attnseg.models.model_file import load_card
from napari_attnseg.models.resnet import ResNet50
from napari_attnseg.settings import ModelSettings
from tests.conftest import TINY, MakeFolder
from tests.models.resnet50_state import resnet50_state

RESNET = ModelSettings(name="res_se_unet", widths=(4, 4, 4, 4, 4))
STATE = resnet50_state()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Return a file of the layout of the published weights, with its checksum in its name."""
    folder = tmp_path / "server"
    folder.mkdir()
    torch.save(STATE, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    return (folder / "new.pth").rename(folder / f"resnet50-{digest[:8]}.pth")


@pytest.fixture(scope="module")
def encoder() -> ResNet50:
    return ResNet50(3)


def require_loaded(encoder: torch.nn.Module, without: str = "nothing") -> None:
    for name, value in encoder.state_dict().items():
        assert name == without or torch.equal(value, STATE[name]), name


def test_every_weight_is_loaded_by_name(published: Path, encoder: ResNet50) -> None:
    said = load_encoder_weights(encoder, str(published))
    assert published.name in said
    require_loaded(encoder)


@pytest.mark.parametrize("channels", [1, 5])
def test_a_grey_image_is_seen_as_its_copy_in_colours(channels: int, published: Path, encoder: ResNet50) -> None:
    other = ResNet50(channels)
    load_encoder_weights(other, str(published))
    load_encoder_weights(encoder, str(published))
    require_loaded(other, without="conv1.weight")
    grey = torch.rand(1, 1, 16, 16)
    expected = encoder.conv1(grey.repeat(1, 3, 1, 1))
    assert torch.allclose(other.conv1(grey.repeat(1, channels, 1, 1)), expected, rtol=1e-4)


def test_files_from_before_the_counters_of_batch_normalisation(tmp_path: Path, encoder: ResNet50) -> None:
    old = {name: value for name, value in STATE.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    load_encoder_weights(encoder, str(tmp_path / "old.pth"))
    assert torch.equal(encoder.layer4[2].bn3.weight, STATE["layer4.2.bn3.weight"])


def _other_shape(path: Path) -> None:
    torch.save({**STATE, "layer1.0.conv2.weight": torch.zeros(64, 64, 1, 1)}, path)


def _whole_numbers(path: Path) -> None:
    torch.save({**STATE, "bn1.bias": torch.zeros(64, dtype=torch.int64)}, path)


def _shallow(path: Path) -> None:
    torch.save({name: value for name, value in STATE.items() if "layer3.5" not in name}, path)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.pth": (lambda path: None, "no file"),
    "empty.pth": (lambda path: path.write_bytes(b""), "cannot be read"),
    "text.pth": (lambda path: path.write_text("hello, I am no weights"), "cannot be read"),
    "cut.pth": (lambda path: (torch.save(STATE, path), path.write_bytes(path.read_bytes()[:-500])), "cannot be read"),
    "code.pth": (lambda path: torch.save(torch.nn.Conv2d(1, 1, 1), path), "more than tensors"),
    "list.pth": (lambda path: torch.save([1, 2], path), "no weights by name"),
    "shallow.pth": (_shallow, r"15 of 265 are missing, such as layer3\.5"),
    "shape.pth": (_other_shape, "64 x 64 x 1 x 1 and should have 64 x 64 x 3 x 3"),
    "kind.pth": (_whole_numbers, r"bn1\.bias"),
    "text.safetensors": (lambda path: path.write_text("hello"), "cannot be read"),
    "other.safetensors": (lambda path: save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path), "264 of 265"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_are_no_weights_of_resnet_50_gets_one_sentence(name: str, tmp_path: Path, encoder: ResNet50) -> None:
    make, expected = BAD[name]
    make(tmp_path / name)
    before = {key: value.clone() for key, value in encoder.bn1.state_dict().items()}
    with pytest.raises(ModelFileError, match=expected) as caught:
        load_encoder_weights(encoder, str(tmp_path / name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in encoder.bn1.state_dict().items())


# Downloads


def test_a_download_is_kept(published: Path, tmp_path: Path) -> None:
    said: list[str] = []
    cache = tmp_path / "new" / "cache"
    path = downloaded(published.as_uri(), cache, said.append)
    assert path.read_bytes() == published.read_bytes()
    assert any("downloading the encoder's weights" in one for one in said)
    published.unlink()
    assert downloaded(published.as_uri(), cache, said.append) == path


def test_a_damaged_file_in_the_cache_is_downloaded_anew(published: Path, tmp_path: Path) -> None:
    (tmp_path / published.name).write_bytes(b"cut off")
    assert downloaded(published.as_uri(), tmp_path).read_bytes() == published.read_bytes()


def test_another_file_than_expected_is_not_kept(published: Path, tmp_path: Path) -> None:
    published.write_bytes(b"something else")
    with pytest.raises(AttnSegError, match="checksum differs"):
        downloaded(published.as_uri(), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_stopped_download_leaves_nothing(published: Path, tmp_path: Path) -> None:
    def stop(message: str) -> None:
        if message.startswith("downloading"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        downloaded(published.as_uri(), tmp_path / "cache", stop)
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_network_gets_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(AttnSegError, match=r"could not be downloaded from http://127\.0\.0\.1:1/") as caught:
        downloaded("http://127.0.0.1:1/resnet50-00000000.pth", tmp_path)
    assert "\n" not in str(caught.value)
    assert "train without" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_made_gets_one_sentence(published: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AttnSegError, match="TORCH_HOME"):
        downloaded(published.as_uri(), tmp_path / "file" / "cache")


def test_imagenet_names_the_published_weights_in_the_cache_of_torch(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: ResNet50
) -> None:
    assert "/resnet50-11ad3fa6.pth" in encoder_weights._PUBLISHED
    monkeypatch.setattr(encoder_weights, "_PUBLISHED", published.as_uri())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.nn.init.zeros_(encoder.bn1.weight)
    load_encoder_weights(encoder, "imagenet")
    require_loaded(encoder)
    assert (tmp_path / "torch" / "hub" / "checkpoints" / published.name).is_file()


# When they are loaded


def test_a_new_network_begins_with_them(published: Path) -> None:
    start = initial_model(RESNET.model_copy(update={"encoder_weights": str(published)}), None)
    require_loaded(start.model.encoder, without="conv1.weight")
    assert published.name in start.notices[0]
    assert not start.is_whole


def test_a_resumed_training_needs_no_file_any_more(tmp_path: Path) -> None:
    settings = RESNET.model_copy(update={"encoder_weights": str(tmp_path / "gone.pth")})
    with pytest.raises(ModelFileError, match="no file"):
        initial_model(settings, None)
    assert initial_model(settings, None, is_resumed=True).notices == ()


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def test_they_are_for_a_training_that_begins_from_nothing(make_folder: MakeFolder, tmp_path: Path) -> None:
    """Told by the notice that a model without such an encoder gives in their place."""
    source = make_folder(3)
    values = {**TINY, "model": "unet", "encoder_weights": str(tmp_path / "gone.pth"), "epochs": 1, "steps_per_epoch": 2}
    fresh: list[Event] = []
    result = fit(source, tmp_path / "run", on_event=fresh.append, **values)
    assert any("Encoder weights are for res_se_unet" in one for one in notices(fresh))
    card = load_card(result.folder.best)
    assert card.model.encoder_weights is None, "a path of this computer in a file that is passed on"
    assert card.training["encoder_weights"] is None
    resumed: list[Event] = []
    fit(source, tmp_path / "run", resume=True, epochs=2, on_event=resumed.append)
    assert not any("ncoder weights" in one for one in notices(resumed))
    tuned: list[Event] = []
    fit(source, tmp_path / "tuned", init=result.folder.best, on_event=tuned.append, **values)
    assert [one for one in notices(tuned) if "ncoder weights" in one] == [
        "The encoder weights are not loaded, because the starting model brings its own."
    ]
