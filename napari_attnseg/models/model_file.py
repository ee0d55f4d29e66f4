"""The model file: weights as safetensors, with a card in its metadata that says all that is needed to use them.

Nothing in the file is executed when it is loaded, and it loads on any machine, with or without a GPU.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from napari_attnseg.data.atomic import write_bytes
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.errors import DataError, ModelFileError
from napari_attnseg.models.unet import UNet, build_model
from napari_attnseg.settings import DataSettings, ModelSettings

FORMAT_VERSION = 1
_KEY = "napari_attnseg"


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
    """Measured on the held-out images; empty when there were none."""

    @property
    def convention(self) -> MaskConvention:
        """What mask values mean: the classes with their names."""
        return MaskConvention.from_dict(self.masks)


def save_model(path: Path, model: nn.Module, card: ModelCard) -> None:
    """Write weights and card to one safetensors file, whole or not at all.

    Raises
    ------
    SaveError
        The file cannot be written; an older file of that name is still there.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_bytes(path, save(weights, metadata={_KEY: card.model_dump_json()}))


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
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"'{path}' is not a readable model file ({error}); it may be cut off or of another kind. Expected a "
            ".safetensors file written by napari-attnseg."
        ) from error
    if text is None:
        raise ModelFileError(
            f"'{path}' holds weights, but not of napari-attnseg: it has no model card. Expected a file such as the "
            "best.safetensors of a run folder."
        )
    return _parse_card(path, text)


def load_model(path: Path) -> tuple[UNet, ModelCard]:
    """Read a model file; the network comes in evaluation mode, on the CPU, in float32.

    Raises
    ------
    ModelFileError
        As `load_card`, or the weights do not fit the card.
    """
    card = load_card(path)
    model = build_model(card.model)
    try:
        with safe_open(path, framework="pt") as file:
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelFileError(
            f"The weights in '{path}' do not fit the model card in it ({reason}); the file is damaged."
        ) from error
    return model.eval(), card


def _parse_card(path: Path, text: str) -> ModelCard:
    try:
        values = json.loads(text)
        version = int(values["format_version"])
    except (ValueError, KeyError, TypeError) as error:
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
