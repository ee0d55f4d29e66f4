"""Deciding what a training will do: a look at the images, the masks and the starting model; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from napari_attnseg.data.classes import find_classes
from napari_attnseg.data.convention import MaskConvention, Survey, decide_convention
from napari_attnseg.data.loading import network_channels
from napari_attnseg.data.mask_survey import survey_masks
from napari_attnseg.data.pairs import Pair, find_pairs, require_annotated
from napari_attnseg.data.split import Roles, image_digest, split_pairs
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError
from napari_attnseg.models.device import choose_compute
from napari_attnseg.models.encoder_weights import IMAGENET, weights_file
from napari_attnseg.models.model_card import ModelCard, load_card
from napari_attnseg.models.presets import PRESETS
from napari_attnseg.settings import RunSettings
from napari_attnseg.settings.declared import Settings
from napari_attnseg.training.plan import Plan
from napari_attnseg.wording import counted


def make_plan(
    source: Path,
    settings: RunSettings,
    init: Path | None = None,
    *,
    focus: Iterable[Path] = (),
    on_mask: Callable[[int, int], None] = lambda count, total: None,
) -> Plan:
    """Look at the data and settle what will be done.

    Parameters
    ----------
    source, settings
        What to learn from, and how.
    init
        A model file to start from.
    focus
        Images to concentrate on.
    on_mask
        Called before a mask is looked at, with how many have been and how many there are; may raise to stop.

    Raises
    ------
    DataError
        There is nothing to train on, or images and masks contradict each other.
    ModelFileError
        `init` is no usable model file.
    """
    data = settings.data
    pairs = require_annotated(find_pairs(source, data.mask_suffix))
    apart = require_annotated(find_pairs(data.val, data.mask_suffix)) if data.val else ()
    card = load_card(init) if init else None
    survey = survey_masks(_watched([pair.mask for pair in (*pairs, *apart) if pair.mask], on_mask))
    convention = decide_convention(survey, find_classes(source), data.mask_values)
    _require_foreground(source, survey)
    settings, notices = _adopt(settings, card)
    settings = _with_weights(settings)
    settings = _with_network(settings, _common_channels((*pairs, *apart), settings), convention)
    notices += _grey_as_rgb(pairs[0], settings)
    train, held_out, roles, more = _split(pairs, apart, settings, card)
    focus, missing = _focus(focus, train, held_out)
    return Plan(
        settings,
        source,
        train,
        held_out,
        convention,
        init,
        (*convention.notices, *notices, *more, *missing),
        focus,
        roles,
    )


_SCALING = ("channels", "normalisation", "low_percentile", "high_percentile")
_SHAPE = ("widths", "normalisation", "upsampling", "gate", "se_reduction")


def _adopt(settings: RunSettings, card: ModelCard | None) -> tuple[RunSettings, list[str]]:
    """Take over from a starting model the network's shape and how images are scaled: its weights rely on both."""
    if card is None:
        return settings, []
    notices = []
    if card.model.name != settings.model.name:
        notices.append(f"The starting model is of kind {card.model.name}; that is used.")
    if settings.model.encoder_weights is not None:
        notices.append("The encoder weights are not loaded, because the starting model brings its own.")
    chosen = settings.model if _is_asked_for(settings.model, "dropout") else card.model
    model = card.model.model_copy(update={"dropout": chosen.dropout})  # nothing of the weights depends on it
    data = settings.data.model_copy(update={name: getattr(card.data, name) for name in _SCALING})
    overruled = [*_overruled(settings.model, model, _SHAPE), *_overruled(settings.data, data, _SCALING)]
    if overruled:
        notices.append(f"The starting model decides on {' and '.join(overruled)}; what was asked for is not used.")
    return settings.model_copy(update={"model": model, "data": data}), notices


def _is_asked_for(given: Settings, name: str) -> bool:
    """Whether a setting was given by name, and not filled in with its default.

    An order of the viewer names all settings, those too that the data decides. There a default says nothing.
    """
    fields = type(given).model_fields
    if given.model_fields_set >= fields.keys():
        return bool(getattr(given, name) != fields[name].default)
    return name in given.model_fields_set


def _overruled(given: Settings, used: Settings, names: Sequence[str]) -> list[str]:
    """Return the titles of the settings that were asked for and are others now."""
    fields = type(given).model_fields
    changed = [name for name in names if getattr(given, name) not in (getattr(used, name), fields[name].default)]
    return [str(fields[name].title).lower() for name in changed]


def _with_weights(settings: RunSettings) -> RunSettings:
    """Find the file of the encoder's weights now: it is read where the training starts, perhaps hours later."""
    model, source = settings.model, settings.model.encoder_weights
    if source is None or source == IMAGENET or PRESETS[model.name].encoder == "plain":
        return settings
    model = model.model_copy(update={"encoder_weights": str(weights_file(source))})
    return settings.model_copy(update={"model": model})


def _with_network(settings: RunSettings, channels: int, convention: MaskConvention) -> RunSettings:
    """Fill in what the data and the machine decide about the network."""
    classes = 1 if convention.n_classes == 2 else convention.n_classes
    derived: dict[str, Any] = {"in_channels": channels, "classes": classes}
    if settings.model.widths is None:
        compute = choose_compute(settings.training.device, settings.training.precision)
        derived["widths"] = compute.widths
    return settings.model_copy(update={"model": settings.model.model_copy(update=derived)})


def _watched(masks: Sequence[Path], on_mask: Callable[[int, int], None]) -> Iterator[Path]:
    for count, mask in enumerate(masks):
        on_mask(count, len(masks))
        yield mask


def _split(
    pairs: Sequence[Pair], apart: Sequence[Pair], settings: RunSettings, card: ModelCard | None
) -> tuple[tuple[Pair, ...], tuple[Pair, ...], Roles, list[str]]:
    """Return what is trained on, what is held out, the roles for the model card, and notices."""
    data = settings.data
    earlier = Roles.from_lists(card.training) if card else None
    train, held_out = _unseen(pairs, apart), tuple(apart)
    if not apart:
        train, held_out = split_pairs(
            pairs,
            fraction=data.val_fraction,
            group_pattern=data.group_pattern,
            seed=settings.training.seed,
            earlier=earlier,
        )
    now = Roles.of(train, held_out)
    notices = []
    if both := len(pairs) - len(train) - (0 if apart else len(held_out)):
        which = "1 of the images to learn from is" if both == 1 else f"{both} of the images to learn from are"
        notices.append(f"{which} held out by --val too and left out: what the model is measured on is not learnt.")
    if not held_out:
        notices.append(_nothing_held_out(pairs, settings))
    elif card is not None and (earlier is None or earlier.trained_on & now.held_out):
        which = "The starting model may have" if earlier is None else "The starting model has"
        notices.append(
            f"{which} been trained on images that are held out now, so that its score, and that of what it becomes, "
            "can be too good."
        )
    return train, held_out, (earlier or Roles()).followed_by(now), notices


def _nothing_held_out(pairs: Sequence[Pair], settings: RunSettings) -> str:
    """Say that no image is held out, and what to do about it by the reason."""
    what = "annotate at least two images"
    if settings.data.val_fraction == 0:
        what = "raise --val-fraction"
    elif len(pairs) > 1 and settings.data.group_pattern:
        what = "all of them belong to one group by --group-pattern, so annotate images of others"
    return (
        "No image is held out, so nothing tells how good the model is on images it has not seen; "
        f"{what}, or give --val."
    )


def _unseen(pairs: Sequence[Pair], apart: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return the pairs without those that are held out, such as of a folder of held-out images within the folder.

    Raises
    ------
    DataError
        None is left.
    """
    held_out = {image_digest(pair.image) for pair in apart}
    left = tuple(pair for pair in pairs if not held_out or image_digest(pair.image) not in held_out)
    if not left:
        raise DataError(
            f"All {len(pairs)} annotated images are held out by --val too, so that none is left to learn from; give a "
            "folder of other images with --val, or leave it away to hold out a share of them."
        )
    return left


def _focus(asked: Iterable[Path], train: Sequence[Pair], held_out: Sequence[Pair]) -> tuple[frozenset[Path], list[str]]:
    """Return which of the images to concentrate on are trained on, and what to say about the others."""
    by_path = {pair.image.resolve(): pair.image for pair in train}
    unseen = {pair.image.resolve() for pair in held_out}
    wanted = {path.resolve() for path in asked}
    missing = sorted(path.name for path in wanted - set(by_path) - unseen)
    notices = []
    if missing:
        notices.append(f"To concentrate on {', '.join(missing)} is not possible: no such image with a mask is there.")
    if wanted & unseen:
        count = len(wanted & unseen)
        notices.append(
            f"{count} of the {len(wanted)} images to concentrate on {'is' if count == 1 else 'are'} held out: what the "
            "model is measured on is not learnt."
        )
    return frozenset(by_path[path] for path in wanted & set(by_path)), notices


def _require_foreground(source: Path, survey: Survey) -> None:
    if not any(item.non_zero for item in survey.values()):
        count = len(survey)
        raise DataError(
            f"All {count} masks in {source} are empty, so there is nothing to learn; paint the objects in at least one."
            if count > 1
            else f"The only mask in {source} is empty, so there is nothing to learn; paint the objects in it."
        )


def _grey_as_rgb(pair: Pair, settings: RunSettings) -> list[str]:
    data = settings.data
    if data.channels != "rgb" or read_info(pair.image, data.axes).channels != 1:
        return []
    return ["Grey images go into the network as RGB with three equal channels."]


def _common_channels(pairs: Sequence[Pair], settings: RunSettings) -> int:
    found: dict[int, Path] = {}
    for pair in pairs:
        found.setdefault(network_channels(read_info(pair.image, settings.data.axes), settings.data), pair.image)
    if len(found) > 1:
        (first, one), (second, other) = list(found.items())[:2]
        hint = " or give --channels grey" if {first, second} == {1, 3} else ""
        raise DataError(
            f"{one.name} has {counted(first, 'channel')} and {other.name} has {second}; all images of a "
            f"training need the same number. Separate them{hint}."
        )
    return next(iter(found))
