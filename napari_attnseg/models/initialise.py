"""The network a training starts with: fresh, or the weights of a model file as far as they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from napari_attnseg.models.encoder_weights import load_encoder_weights
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.models.model_file import load_model
from napari_attnseg.models.resnet import ResNet50
from napari_attnseg.models.unet import UNet, build_model
from napari_attnseg.settings import ModelSettings


@dataclass(frozen=True)
class InitialModel:
    """A network before its first step, on the CPU."""

    model: UNet
    notices: tuple[str, ...] = ()
    """A sentence for the user about each part that begins anew or changes its meaning."""
    is_whole: bool = False
    """Whether all of it comes from the starting model, so that its score says how good that one is."""


def initial_model(
    settings: ModelSettings,
    start: Path | None,
    class_names: Sequence[str] = (),
    *,
    is_resumed: bool = False,
    on_wait: Callable[[str], None] = lambda message: None,
) -> InitialModel:
    """Build the network and load a starting model, or the weights of its encoder, into it.

    Where the starting model has other input channels the layers that see the image begin anew. The output planes of
    several classes go by name to where these classes are now, and only those of new classes begin anew; a class that
    alone changed its name in its place keeps its plane. Between one class and several the whole output layer begins
    anew.

    Parameters
    ----------
    settings
        The network to build.
    start
        A model file, or None.
    class_names
        What the masks hold, by class id, background first; empty: the starting model's classes in its order.
    is_resumed
        Whether a saved state will replace the weights, so that neither `start` nor the encoder's are needed.
    on_wait
        Called with what is waited for, in words, while the encoder's weights are downloaded; may raise to stop.

    Raises
    ------
    ModelFileError
        `start`, or the file of the encoder's weights, cannot be used.
    AttnSegError
        The encoder's weights could not be downloaded.
    """
    model = build_model(settings)
    if is_resumed:
        return InitialModel(model)
    if start is None:
        return InitialModel(model, _encoder_notices(model, on_wait))
    source, card = load_model(start)
    weights = source.state_dict()
    own = model.state_dict()
    heads = {name for name in weights if name.startswith("head.")}
    fresh = [name for name, value in weights.items() if name not in own or own[name].shape != value.shape]
    model.load_state_dict({n: value for n, value in weights.items() if n not in {*fresh, *heads}}, strict=False)
    notices, head_is_whole = _take_over_head(model, source, card, start.name, class_names or card.class_names)
    if card.model.in_channels != settings.in_channels:
        layers = "first layer learns" if len(set(fresh) - heads) == 1 else "layers that see the image learn"
        notices.append(
            f"{start.name} was trained on images of {card.model.in_channels} channels and these have "
            f"{settings.in_channels}; the {layers} anew."
        )
    return InitialModel(model, tuple(notices), head_is_whole and not set(fresh) - heads)


def _encoder_notices(model: UNet, on_wait: Callable[[str], None]) -> tuple[str, ...]:
    """Load the weights that the encoder shall begin with, if any, and return what to say about it."""
    source = model.settings.encoder_weights
    if source is None:
        return ()
    if not isinstance(model.encoder, ResNet50):
        return (f"Encoder weights are for res_se_unet; {model.settings.name} begins without.",)
    return (load_encoder_weights(model.encoder, source, on_wait),)


def _take_over_head(
    model: UNet, source: UNet, card: ModelCard, start: str, class_names: Sequence[str]
) -> tuple[list[str], bool]:
    """Copy the output planes of the classes that both models know; return notices, and whether none is left anew."""
    before, now = source.head.weight.shape[0], model.head.weight.shape[0]
    if before != now and 1 in (before, now):
        return [
            f"{start} knows {_count(before)} and these masks have {_count(now)}; the output layer learns anew."
        ], False
    if now == 1:  # the one class is the foreground, whatever it is called
        rows: list[int | None] = [0]
    elif len(class_names) != now:
        rows = [row if row < before else None for row in range(now)]
    else:
        rows = _rows_by_name(card.class_names, class_names)
    with torch.no_grad():
        for row, earlier in enumerate(rows):
            if earlier is not None:
                model.head.weight[row] = source.head.weight[earlier]
                if model.head.bias is not None and source.head.bias is not None:
                    model.head.bias[row] = source.head.bias[earlier]
    return _class_notices(start, card.class_names, class_names, rows), None not in rows


def _rows_by_name(before: Sequence[str], now: Sequence[str]) -> list[int | None]:
    """Return, for each class of now, which plane of before it takes over; None for a new class."""
    old = {name.casefold(): row for row, name in enumerate(before)}
    kept = {name.casefold() for name in now}
    rows = []
    for row, name in enumerate(now):
        renamed = len(before) == len(now) and before[row].casefold() not in kept
        rows.append(old.get(name.casefold(), row if renamed else None))
    return rows


def _class_notices(start: str, before: Sequence[str], now: Sequence[str], rows: Sequence[int | None]) -> list[str]:
    if len(rows) < 2:
        return []
    notices = []
    new = [now[row] for row, earlier in enumerate(rows) if earlier is None]
    gone = [name for row, name in enumerate(before) if row not in rows]
    renamed = [
        f"{before[earlier]} is taken for {now[row]}"
        for row, earlier in enumerate(rows)
        if earlier is not None and before[earlier].casefold() != now[row].casefold()
    ]
    if new:
        notices.append(f"{start} does not know {', '.join(new)}; the output layer learns this anew.")
    if gone:
        notices.append(f"{start} also knows {', '.join(gone)}, which these masks do not have; that is left out.")
    if renamed:
        notices.append(f"The classes of {start} have other names: {', '.join(renamed)}.")
    return notices


def _count(classes: int) -> str:
    return "one class" if classes == 1 else f"{classes} classes with the background"
