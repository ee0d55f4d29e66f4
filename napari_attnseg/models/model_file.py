"""The model file: weights as safetensors, with a card in its metadata that says all that is needed to use them.

Nothing in the file is executed when it is loaded, and it loads on any machine, with or without a GPU.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from napari_attnseg.data.atomic import write_bytes
from napari_attnseg.errors import ModelFileError
from napari_attnseg.models.model_card import FORMAT_VERSION, KEY, ModelCard, load_card
from napari_attnseg.models.unet import UNet, build_model

__all__ = ["FORMAT_VERSION", "ModelCard", "load_card", "load_model", "save_model"]


def save_model(path: Path, model: nn.Module, card: ModelCard) -> None:
    """Write weights and card to one safetensors file, whole or not at all.

    Raises
    ------
    SaveError
        The file cannot be written; an older file of that name is still there.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_bytes(path, save(weights, metadata={KEY: card.model_dump_json()}))


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
