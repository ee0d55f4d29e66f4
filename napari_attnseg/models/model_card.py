"""The card in a model file: all that is needed to use the weights, read without the weights and without PyTorch.

A `.safetensors` file begins with the length of its header (8 bytes, little-endian), then the header itself: a JSON
object that says where each tensor lies, and holds free text under "__metadata__". The card is one such text.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.errors import DataError, ModelFileError
from napari_attnseg.settings import DataSettings, ModelSettings

FORMAT_VERSION = 1
KEY = "napari_attnseg"
_LARGEST_HEADER = 100_000_000  # bytes; what safetensors itself allows
_LENGTH = 8


class About(BaseModel):
    """What a model that is given to others says of itself, in words."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str
    """What it finds, in a few words."""
    data: str = ""
    """What it learnt from."""
    licence: str = ""
    """Of the data and of the weights."""
    recipe: tuple[str, ...] = ()
    """The commands that trained it, one after the other."""
    measured: str = ""
    """How good it is on images that neither it nor the choice of it has seen, and what these are."""


class ModelCard(BaseModel):
    """What a model file says about its weights."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format_version: int = FORMAT_VERSION
    model: ModelSettings
    data: DataSettings
    """How images were read and scaled for training; prediction does the same."""
    masks: dict[str, Any]
    """What mask values mean, as `MaskConvention.to_dict` gives it: class names, and the value of each on disk."""
    patch_size: int
    training: dict[str, Any] = Field(default_factory=dict)
    """How it was trained: images, epochs, minutes, loss, seed, when, with which version."""
    scores: dict[str, float] = Field(default_factory=dict)
    """Of these weights, on the held-out images; empty when there were none, or in the middle of an epoch."""
    about: About | None = None
    """None but of a model that is shipped; a training that starts from it leaves it out."""

    @property
    def convention(self) -> MaskConvention:
        """What mask values mean: the classes with their names."""
        return MaskConvention.from_dict(self.masks)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id; the first is the background's."""
        return self.convention.class_names

    @property
    def trained(self) -> datetime | None:
        """When the weights were saved, with a time zone; None if the card does not say."""
        try:
            return datetime.fromisoformat(self.training["finished"]).astimezone()
        except (KeyError, TypeError, ValueError, OverflowError):
            return None

    @property
    def images(self) -> int | None:
        """How many images were trained on; None if the card does not say."""
        found = self.training.get("images")
        return found if isinstance(found, int) else None


def load_card(path: Path) -> ModelCard:
    """Read the card alone, which costs no more than opening the file.

    Raises
    ------
    ModelFileError
        The file is missing, damaged, no model of ours, or from a newer version of this program.
    """
    if not path.is_file():
        raise ModelFileError(f"There is no model file '{path}'; give the path of a .safetensors file.")
    try:
        header = _read_header(path)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(
            f"'{path}' is not a readable model file ({error}); it may be cut off or of another kind. Expected a "
            ".safetensors file written by napari-attnseg."
        ) from error
    metadata = header.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ModelFileError(
            f"'{path}' holds weights, but not of napari-attnseg: it has no model card. Expected a file such as the "
            "best.safetensors of a run folder."
        )
    return _parse_card(path, text)


def _read_header(path: Path) -> dict[str, Any]:
    """Read the header, and see to it that the file is as long as the header says."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(_LENGTH), "little")
        if size <= _LENGTH or length > min(size - _LENGTH, _LARGEST_HEADER):
            raise ValueError("its header is not whole")
        data = file.read(length)
    header = json.loads(data.decode("utf-8"))
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    tensors = [value for name, value in header.items() if name != "__metadata__"]
    try:
        end = max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("its header does not say where the weights are") from error
    if size != _LENGTH + length + end:
        raise ValueError(f"it has {size} bytes and should have {_LENGTH + length + end}")
    return header


def _parse_card(path: Path, text: str) -> ModelCard:
    try:
        values = json.loads(text)
        version = int(values["format_version"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"The model card in '{path}' cannot be read; the file is damaged.") from error
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"'{path}' has model format {version}, and this version of napari-attnseg reads up to {FORMAT_VERSION}; "
            "update napari-attnseg (pip install --upgrade napari-attnseg)."
        )
    try:
        card = ModelCard.model_validate(values)
        if card.convention.n_classes != max(card.model.classes, 2):
            raise DataError("the number of classes differs between network and masks")
        return card
    except DataError as error:
        raise ModelFileError(f"The model card in '{path}' is damaged: {error}.") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = " > ".join(str(part) for part in problem["loc"])
        raise ModelFileError(f"The model card in '{path}' is damaged: {place}: {problem['msg']}.") from error
