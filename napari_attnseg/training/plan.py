"""What a training will do, decided before it starts: which images, which classes, which network.

The plan is written to `run.json`; a resumed run reads it back and decides nothing anew.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from napari_attnseg.data.classes import find_classes
from napari_attnseg.data.convention import MaskConvention, Survey, decide_convention
from napari_attnseg.data.loading import network_channels
from napari_attnseg.data.mask_values import survey_masks
from napari_attnseg.data.pairs import Pair, find_pairs, require_annotated
from napari_attnseg.data.split import split_pairs
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError, RunFolderError
from napari_attnseg.models.device import choose_compute
from napari_attnseg.models.model_file import ModelCard, load_card
from napari_attnseg.settings import FULL_WIDTHS, HALF_WIDTHS, RunSettings

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Plan:
    """Everything that is settled before the first batch."""

    settings: RunSettings
    source: Path
    train: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    convention: MaskConvention
    init: Path | None = None
    notices: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What will be done, for the user."""
        count, held = len(self.train), len(self.held_out)
        classes = ", ".join(self.convention.class_names[1:])
        start = f", starting from {self.init.name}" if self.init else ""
        return (
            f"Learn {classes} from {count} image{'s' * (count != 1)}, {held or 'none'} held out, "
            f"with {self.settings.model.name} ({' '.join(map(str, self.settings.model.levels))}){start}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of run.json."""
        return {
            "format_version": FORMAT_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {
                "napari-attnseg": version("napari-attnseg"),
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            "seed": self.settings.training.seed,
            "source": str(self.source.resolve()),
            "init": str(self.init.resolve()) if self.init else None,
            "settings": self.settings.model_dump(mode="json"),
            "masks": self.convention.to_dict(),
            "split": {"train": _paths(self.train), "held_out": _paths(self.held_out)},
            "notices": list(self.notices),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Plan:
        """Read back what `to_json` gave.

        Raises
        ------
        RunFolderError
            Something is missing or of the wrong kind.
        """
        try:
            return cls(
                settings=RunSettings.model_validate(values["settings"]),
                source=Path(values["source"]),
                train=_pairs(values["split"]["train"]),
                held_out=_pairs(values["split"]["held_out"]),
                convention=MaskConvention.from_dict(values["masks"]),
                init=Path(values["init"]) if values["init"] else None,
                notices=tuple(values["notices"]),
            )
        except (KeyError, TypeError, ValidationError, DataError) as error:
            raise RunFolderError(
                f"run.json is damaged or from another version ({error}); it cannot be resumed."
            ) from error


def make_plan(source: Path, settings: RunSettings, init: Path | None = None) -> Plan:
    """Look at the data and settle what will be done; nothing is written.

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
    survey = survey_masks(pair.mask for pair in (*pairs, *apart) if pair.mask)
    convention = decide_convention(survey, find_classes(source), data.mask_values)
    _require_foreground(source, survey)
    card = load_card(init) if init else None
    settings, notices = _adopt(settings, card)
    channels = _common_channels((*pairs, *apart), settings)
    classes = 1 if convention.n_classes == 2 else convention.n_classes
    derived: dict[str, Any] = {"in_channels": channels, "classes": classes}
    if settings.model.widths is None:
        compute = choose_compute(settings.training.device, settings.training.precision)
        derived["widths"] = HALF_WIDTHS if compute.is_slow else FULL_WIDTHS
    settings = settings.model_copy(update={"model": settings.model.model_copy(update=derived)})
    if apart:
        train, held_out = pairs, apart
    else:
        train, held_out = split_pairs(
            pairs, fraction=data.val_fraction, group_pattern=data.group_pattern, seed=settings.training.seed
        )
    if not held_out:
        notices.append(
            "No image is held out, so nothing tells how good the model is on images it has not seen; "
            "annotate at least two images, or give --val."
        )
    return Plan(settings, source, tuple(train), tuple(held_out), convention, init, (*convention.notices, *notices))


def with_longer_training(plan: Plan, *, epochs: int | None, max_minutes: float | None) -> Plan:
    """Return the plan with another end, for a resumed run that shall go on for longer."""
    changes = {"epochs": epochs, "max_minutes": max_minutes}
    training = plan.settings.training.model_copy(update={k: v for k, v in changes.items() if v is not None})
    return replace(plan, settings=plan.settings.model_copy(update={"training": training}))


def _adopt(settings: RunSettings, card: ModelCard | None) -> tuple[RunSettings, list[str]]:
    """Take over from a starting model the network's shape and how images are scaled: its weights rely on both."""
    if card is None:
        return settings, []
    notices = []
    if card.model.name != settings.model.name:
        notices.append(f"The starting model is of kind {card.model.name}; that is used.")
    scaling = ("normalisation", "low_percentile", "high_percentile", "channels")
    data = settings.data.model_copy(update={name: getattr(card.data, name) for name in scaling})
    return settings.model_copy(update={"model": card.model, "data": data}), notices


def _require_foreground(source: Path, survey: Survey) -> None:
    if not any(item.non_zero for item in survey.values()):
        count = len(survey)
        raise DataError(
            f"All {count} masks in {source} are empty, so there is nothing to learn; paint the objects in at least one."
            if count > 1
            else f"The only mask in {source} is empty, so there is nothing to learn; paint the objects in it."
        )


def _common_channels(pairs: Sequence[Pair], settings: RunSettings) -> int:
    found: dict[int, Path] = {}
    for pair in pairs:
        found.setdefault(network_channels(read_info(pair.image, settings.data.axes), settings.data), pair.image)
    if len(found) > 1:
        (first, one), (second, other) = list(found.items())[:2]
        hint = " or give --channels grey" if {first, second} == {1, 3} else ""
        raise DataError(
            f"{one.name} has {first} channel{'s' * (first != 1)} and {other.name} has {second}; all images of a "
            f"training need the same number. Separate them{hint}."
        )
    return next(iter(found))


def _paths(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    return [{"image": str(pair.image.resolve()), "mask": str(pair.mask.resolve())} for pair in pairs if pair.mask]


def _pairs(values: Sequence[dict[str, str]]) -> tuple[Pair, ...]:
    return tuple(Pair(Path(item["image"]), Path(item["mask"])) for item in values)
