"""What is known before a training starts: what there is to learn from, what is in the way, how long it will take."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.annotation.trainings.run_history import last_progress
from napari_attnseg.annotation.trainings.runs import ORDER, run_folders
from napari_attnseg.data.mask_values import MaskValues
from napari_attnseg.data.pairs import Pair, find_pairs, require_annotated
from napari_attnseg.data.split import Roles, split_pairs
from napari_attnseg.errors import DataError
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.settings import RunSettings, TrainingSettings
from napari_attnseg.wording import counted

# Pixels of patches that are learnt from in a second, as long as no training of the folder has told: the default network
# on two CPU cores, and on a GPU of the middle class.
GUESSED_SPEED = {"cpu": 110_000.0, "gpu": 4_000_000.0}
FORWARD_SHARE = 1 / 3  # scoring a pixel costs so much of learning from it
RUNS_ASKED = 5  # trainings that are asked for their speed, newest first
SHORTEST_EPOCH, LONGEST_EPOCH = 20, 500  # batches; see the setting 'Batches an epoch'

Split = tuple[tuple[Pair, ...], tuple[Pair, ...]]


@dataclass(frozen=True)
class TrainingFacts:
    """What a training with certain settings would be."""

    masks: int = 0
    """Images with a mask that can be read."""
    trained_on: int = 0
    held_out: int = 0
    edited: int = 0
    """Images whose masks were saved since the last training began."""
    problem: str | None = None
    """Why no training can be started, a sentence."""
    warnings: tuple[str, ...] = ()
    """What should be known before it is started, a sentence each."""
    classes_changed: str | None = None
    """How the classes differ from those of the starting model, a sentence; one of the warnings."""
    size: str = ""
    """Of the images, such as '520 x 696' (rows x columns) or '256 x 256 to 520 x 696'."""
    pixels: int = 0
    """Of all images with masks, their planes included."""
    minutes: float | None = None
    """How long it will take; None if it cannot be started."""
    is_measured: bool = False
    """Whether `minutes` relies on an earlier training of the folder, and not on a guess."""

    @property
    def can_train(self) -> bool:
        """Whether a training can be started."""
        return self.problem is None

    @property
    def text(self) -> str:
        """What there is to learn from, and for how long, in a line."""
        if not self.masks:
            return "No masks yet"
        parts = [counted(self.masks, "mask")]
        if self.can_train:
            parts[0] += f", {self.held_out or 'none'} held out"
        if self.edited:
            parts.append(f"{self.edited} edited since the last training")
        if self.size:
            parts.append(f"{self.size} pixels")
        if self.minutes is not None:
            parts.append(f"about {_duration(self.minutes)}{'' if self.is_measured else ' at a guess'}")
        return " · ".join(parts)


def training_facts(
    folder: AnnotationFolder,
    settings: RunSettings,
    init_card: ModelCard | None = None,
    device: Literal["cpu", "gpu"] = "cpu",
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainingFacts:
    """Find out what a training of a folder would be; reads masks that were not read yet, so not for the main thread.

    Parameters
    ----------
    folder
        The folder, as it is saved.
    settings
        The settings of the training.
    init_card
        The card of the model to start from; None for a new one.
    device
        What the time is guessed for as long as no training of the folder has told.
    should_stop
        Asked before each mask that is read; what is returned after a stop is of no use.
    """
    folder.survey(should_stop, decide=False)
    pairs = [pair for pair in folder.listing.pairs if pair.mask is not None]
    found = {pair.image: values for pair in pairs if (values := folder.mask_values(pair.image)) is not None}
    changed = None if init_card is None else _classes_changed(init_card.class_names, folder.convention.class_names)
    facts = TrainingFacts(
        masks=len(found),
        edited=len(folder.edited_since_training()),
        classes_changed=changed,
        size=_size_text(list(found.values())),
        pixels=sum(_pixels(values) for values in found.values()),
    )
    problem = _problem(folder, pairs, found)
    if problem is not None:
        return replace(facts, problem=problem)
    try:
        train, held_out = _shares(pairs, settings, init_card)
    except DataError as error:
        return replace(facts, problem=str(error))
    speed = _measured_speed(folder.root)
    scored = sum(_pixels(found[pair.image]) for pair in held_out if pair.image in found)
    learnt = sum(_pixels(found[pair.image]) for pair in train if pair.image in found)
    return replace(
        facts,
        trained_on=len(train),
        held_out=len(held_out),
        warnings=tuple(text for text in (_nothing_held_out(pairs, held_out), changed) if text),
        minutes=_minutes(settings.training, learnt, scored, speed or GUESSED_SPEED[device]),
        is_measured=speed is not None,
    )


def _shares(pairs: Sequence[Pair], settings: RunSettings, init_card: ModelCard | None) -> Split:
    """Share the images out as the training will."""
    data = settings.data
    if data.val is not None:
        return tuple(pairs), require_annotated(find_pairs(data.val, data.mask_suffix))
    return split_pairs(
        pairs,
        fraction=data.val_fraction,
        group_pattern=data.group_pattern,
        seed=settings.training.seed,
        earlier=Roles.from_lists(init_card.training) if init_card is not None else None,
    )


def _problem(folder: AnnotationFolder, pairs: Sequence[Pair], found: dict[Path, MaskValues]) -> str | None:
    listing = folder.listing
    conflict = next((item for item in listing.conflicts if item.has_mask), None)
    if not listing.pairs:
        return f"There are no TIFF images (.tif, .tiff) in {folder.source}; open the folder that holds your images."
    if conflict is not None:
        return conflict.message
    if not pairs:
        return "No image has a mask yet; paint the objects in at least one image, two if the model is to be measured."
    unreadable = [folder.unreadable[pair.mask] for pair in pairs if pair.mask in folder.unreadable]
    if unreadable:
        return unreadable[0]
    if folder.problem is not None and (problem := folder.problem_now()) is not None:
        return problem
    if all(values.is_empty for values in found.values()):
        what = "The only mask is" if len(found) == 1 else f"All {len(found)} masks are"
        return f"{what} empty, so there is nothing to learn; paint the objects in at least one image and save it."
    return None


def _nothing_held_out(pairs: Sequence[Pair], held_out: Sequence[Pair]) -> str | None:
    if held_out:
        return None
    if len(pairs) == 1:
        return (
            "Only one image has a mask: it is learnt from, none is held out, and nothing will tell how good the model "
            "is on other images. Paint a second one to find out."
        )
    return "No image is held out, so nothing will tell how good the model is on images that it has not seen."


def _classes_changed(before: Sequence[str], now: Sequence[str]) -> str | None:
    """Say how classes differ; a single one beside the background is the same whatever its name."""
    if len(before) == len(now) == 2:
        return None
    if 2 in (len(before), len(now)):
        return (
            f"The starting model knows {', '.join(before[1:])}, and the masks have {', '.join(now[1:])}: what it "
            "learnt of the images is kept, but all classes are learnt anew."
        )
    old, new = {name.casefold() for name in before}, {name.casefold() for name in now}
    added = [name for name in now[1:] if name.casefold() not in old]
    gone = [name for name in before[1:] if name.casefold() not in new]
    parts = [f"new: {', '.join(added)}"] if added else []
    parts += [f"no longer there: {', '.join(gone)}"] if gone else []
    if not parts:
        return None
    return f"The classes have changed since the starting model was trained ({'; '.join(parts)})."


def _size_text(found: Sequence[MaskValues]) -> str:
    sizes = sorted({values.shape[1:] for values in found}, key=lambda size: (size[0] * size[1], size))
    if not sizes:
        return ""
    text = f"{sizes[0][0]} x {sizes[0][1]}"
    return text if len(sizes) == 1 else f"{text} to {sizes[-1][0]} x {sizes[-1][1]}"


def _pixels(values: MaskValues) -> int:
    planes, rows, columns = values.shape
    return planes * rows * columns


def _minutes(training: TrainingSettings, learnt: int, scored: int, speed: float) -> float:
    """Return how long a training takes that learns from so many pixels a second."""
    per_step = training.batch_size * training.patch_size**2
    steps = training.steps_per_epoch or min(max(round(learnt / per_step), SHORTEST_EPOCH), LONGEST_EPOCH)
    minutes = training.epochs * (steps * per_step + FORWARD_SHARE * scored) / speed / 60
    return minutes if training.max_minutes is None else min(minutes, training.max_minutes)


def _measured_speed(root: Path) -> float | None:
    """Return the pixels that the newest training of a folder learnt from in a second; None if none has told."""
    for run in run_folders(root)[:RUNS_ASKED]:
        progress = last_progress(run)
        if progress is None:
            continue
        try:
            order = json.loads((run / ORDER).read_text(encoding="utf-8"))
            speed = float(progress["images_per_second"]) * int(order["settings"]["training"]["patch_size"]) ** 2
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if speed > 0:
            return speed
    return None


def _duration(minutes: float) -> str:
    if minutes < 1:
        return f"{max(round(minutes * 6) * 10, 10)} seconds"
    if minutes < 90:
        return counted(round(minutes), "minute")
    return f"{minutes / 60:.1f} hours" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"
