"""The network a training starts with: fresh, or the weights of a model file as far as they fit."""

from __future__ import annotations

from pathlib import Path

from napari_attnseg.models.model_file import load_model
from napari_attnseg.models.unet import UNet, build_model
from napari_attnseg.settings import ModelSettings


def initial_model(settings: ModelSettings, start: Path | None) -> tuple[UNet, list[str]]:
    """Build the network and load a starting model into it.

    Where the starting model has other classes the output layer begins anew, and where it has other input channels the
    first convolution does.

    Returns
    -------
    The network on the CPU, and a sentence for the user about each part that begins anew.

    Raises
    ------
    ModelFileError
        `start` is no usable model file.
    """
    model = build_model(settings)
    if start is None:
        return model, []
    source, card = load_model(start)
    weights = source.state_dict()
    own = model.state_dict()
    fresh = [name for name, value in weights.items() if name not in own or own[name].shape != value.shape]
    model.load_state_dict({name: value for name, value in weights.items() if name not in fresh}, strict=False)
    notices = []
    if card.model.classes != settings.classes:
        notices.append(
            f"{start.name} knows {_count(card.model.classes)} and these masks have {_count(settings.classes)}; "
            "the output layer learns anew."
        )
    if card.model.in_channels != settings.in_channels:
        notices.append(
            f"{start.name} was trained on images of {card.model.in_channels} channels and these have "
            f"{settings.in_channels}; the first layer learns anew."
        )
    return model, notices


def _count(classes: int) -> str:
    return "one class" if classes == 1 else f"{classes} classes with the background"
