"""What a model's predictions will be, as its card tells: known without its weights, and without PyTorch."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.masks import values_of_new_mask
from napari_attnseg.data.ome_zarr import Layout
from napari_attnseg.data.pairs import ATTENTION, PREDICTION, PROBABILITY
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.models.presets import PRESETS
from napari_attnseg.settings import DataSettings, PredictionSettings


def data_of(card: ModelCard, *, axes: str | None, channels: Literal["as-is", "grey"]) -> DataSettings:
    """Return how images are read and scaled: as for training, save for what is asked for."""
    chosen = channels if channels != "as-is" else card.data.channels
    return card.data.model_copy(update={"axes": axes or card.data.axes, "channels": chosen})


def convention_of(card: ModelCard) -> MaskConvention:
    """Return how predictions are written: as the masks that the model learnt from, objects not counted one by one."""
    convention = card.convention
    if convention.kind == "instances":
        return replace(convention, kind="binary", values={0: 0, 255: 1})
    return convention


def probability_names(card: ModelCard) -> tuple[str, ...]:
    """Return a name for each class that has a probability."""
    names = convention_of(card).class_names
    return names if card.model.classes > 1 else names[1:]


def gate_names(card: ModelCard) -> tuple[str, ...]:
    """Return a name for each attention gate, deepest first; none for a network without gates."""
    gates = len(card.model.levels) - 1 if PRESETS[card.model.name].gates else 0
    return tuple(f"gate {level}" for level in range(gates, 0, -1))


def channels_of(card: ModelCard, settings: PredictionSettings) -> tuple[int, int]:
    """Return how many channels the network gives of a plane, and how many are kept; see `room.memory_needed`."""
    gates = len(gate_names(card)) * settings.attention
    return card.model.classes + gates, card.model.classes * settings.probability + gates


def layouts_of(card: ModelCard, settings: PredictionSettings, info: ImageInfo) -> dict[str, Layout]:
    """Return what is written of an image that is predicted tile by tile, by the suffix of its name."""
    layouts = {PREDICTION: Layout(info, str(values_of_new_mask(convention_of(card)).dtype))}
    if settings.probability:
        layouts[PROBABILITY] = Layout(info, "float32", probability_names(card))
    if settings.attention and gate_names(card):
        layouts[ATTENTION] = Layout(info, "float32", gate_names(card))
    return layouts
