"""What the encoder of res_se_unet begins with: published or own weights of ResNet-50, from a file or by download."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import torch
from safetensors.torch import load_file
from torch import Tensor

from napari_attnseg.data.atomic import replacing
from napari_attnseg.errors import AttnSegError, ModelFileError
from napari_attnseg.models.resnet import ResNet50

IMAGENET = "imagenet"
"""The name that stands for the published weights."""

_PUBLISHED = "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"  # torchvision's IMAGENET1K_V2
_SECONDS_WITHOUT_AN_ANSWER = 30
_CHUNK = 2**20


def load_encoder_weights(encoder: ResNet50, source: str, on_wait: Callable[[str], None] = lambda message: None) -> str:
    """Load weights of ResNet-50 into an encoder; names and shapes are those that torchvision uses.

    The last layer, `fc`, is left out. The published weights look at red, green and blue: each channel of an image of
    other channels gets the mean of the three kernels of `conv1`, times 3 / channels, so that a grey image is seen as
    its grey copy in colours would be. How images are scaled matters little, since batch normalisation follows.

    Parameters
    ----------
    encoder
        Is changed in place.
    source
        The path of a .pth or .safetensors file, or 'imagenet' for the published weights, which are downloaded once
        into the cache of torch.hub.
    on_wait
        Called with what is waited for, in words, before and during a download; may raise to stop it.

    Returns
    -------
    A sentence for the user on what was loaded.

    Raises
    ------
    ModelFileError
        The file is missing or damaged, or holds something else.
    AttnSegError
        The download failed.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = downloaded(_PUBLISHED, folder, on_wait) if source == IMAGENET else weights_file(source)
    found = _read(path)
    own = encoder.state_dict()
    weights = {name: found[name] for name in own if name in found}
    _require_all(path, own, weights)
    first, channels = weights["conv1.weight"], encoder.conv1.in_channels
    if first.shape[1] != channels:
        weights["conv1.weight"] = first.mean(1, keepdim=True).repeat(1, channels, 1, 1) * (first.shape[1] / channels)
    encoder.load_state_dict(weights, strict=False)  # not strict: older files lack the counters of batch normalisation
    return f"The encoder begins with the weights of {path.name}."


def weights_file(source: str) -> Path:
    """Return the whole path of a file with an encoder's weights.

    Raises
    ------
    ModelFileError
        There is none.
    """
    path = Path(source).expanduser().resolve()
    if not path.is_file():
        raise ModelFileError(
            f"There is no file '{path}' with encoder weights; give the path of a .pth or .safetensors file, or "
            f"'{IMAGENET}'."
        )
    return path


def downloaded(url: str, folder: Path, on_wait: Callable[[str], None] = lambda message: None) -> Path:
    """Return a file of `folder` that is downloaded unless it is there, and has the checksum that its name ends with.

    Raises
    ------
    AttnSegError
        There is no network, the server has no such file, or what came is not the file.
    SaveError
        The folder cannot be written to.
    """
    path = folder / url.rsplit("/", 1)[1]
    expected = path.stem.rsplit("-", 1)[1]
    if path.is_file() and _digest(path).startswith(expected):
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            _fetch(url, temporary, on_wait)
            if not _digest(temporary).startswith(expected):
                raise AttnSegError(
                    f"What came from {url} is not the file that it should be (its checksum differs); try again, or "
                    "download it in another way and give its path as the encoder weights."
                )
    except OSError as error:
        raise AttnSegError(
            f"The folder {folder} for downloaded weights cannot be made ({error.strerror}); set TORCH_HOME to a folder "
            "that can be written to."
        ) from error
    return path


def _fetch(url: str, path: Path, on_wait: Callable[[str], None]) -> None:
    on_wait("asking for the encoder's weights")
    try:
        with urlopen(url, timeout=_SECONDS_WITHOUT_AN_ANSWER) as answer, path.open("wb") as file:
            total = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                done = file.tell() / 1e6
                on_wait(
                    f"downloading the encoder's weights, {done:.0f}" + (f" of {total / 1e6:.0f} MB" if total else " MB")
                )
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        reason = getattr(reason, "strerror", None) or str(reason)
        raise AttnSegError(
            f"The encoder's weights could not be downloaded from {url} ({reason}). Connect to the internet, or "
            "download the file elsewhere and give its path as the encoder weights, or train without."
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    """Read named tensors; nothing in the file is executed."""
    try:
        found: Any = (
            load_file(path)
            if path.suffix.lower() == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except Exception as error:  # whatever a damaged byte leads the readers to
        raise ModelFileError(
            f"'{path}' cannot be read as weights: it is damaged, or holds more than tensors. Expected the weights of "
            "ResNet-50 as a .pth or .safetensors file."
        ) from error
    if not isinstance(found, dict):
        raise ModelFileError(f"'{path}' holds no weights by name; expected those of ResNet-50.")
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _require_all(path: Path, own: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    missing = [name for name in needed if name not in found]
    if missing:
        raise ModelFileError(
            f"'{path}' does not hold the weights of ResNet-50 as torchvision names them: {len(missing)} of "
            f"{len(needed)} are missing, such as {missing[0]}."
        )
    for name, value in found.items():
        wanted, given = list(own[name].shape), list(value.shape)
        if name == "conv1.weight" and len(given) == 4:
            wanted[1] = given[1]  # any number of channels can be made of any other
        if given != wanted or (value.is_floating_point() != own[name].is_floating_point()):
            raise ModelFileError(
                f"'{path}' does not hold the weights of ResNet-50: {name} has the shape {_shape(given)} and should "
                f"have {_shape(wanted)}."
            )


def _shape(sides: list[int]) -> str:
    return " x ".join(map(str, sides)) or "of a single number"
