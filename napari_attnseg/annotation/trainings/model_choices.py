"""Models to choose from, in words for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from napari_attnseg.annotation.trainings.run_history import LAST, RunRecord
from napari_attnseg.annotation.trainings.runs import RUNS
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.loading import network_channels
from napari_attnseg.errors import ModelFileError
from napari_attnseg.models.model_card import ModelCard, load_card
from napari_attnseg.models.starter_models import is_starter
from napari_attnseg.wording import counted

HERE, RECENT, BUILT_IN = "Trained here", "Recent", "Built in"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNNAMED = {"foreground", "object"}
_STEM = 5  # letters by which forms of a word are the same
_SCORES = {"f1": "F1", "jaccard": "Jaccard", "recall": "recall", "precision": "precision"}


@dataclass(frozen=True)
class ModelChoice:
    """A model file that can be chosen."""

    path: Path
    label: str
    """Such as 'today 10:12, F1 0.88, 41 images'."""
    tooltip: str
    """Its classes, scores, when it was trained and where it is, a line each."""
    group: str
    """'Trained here', 'Recent' or 'Built in'."""
    details: str = ""
    """Its classes, scores and when it was trained, in one line."""
    card: ModelCard | None = field(default=None, repr=False)
    problem: str | None = None
    """Why it cannot be used, a sentence."""
    mismatch: str = ""
    """Of one that is built in: how the images here differ from what it was made for, a sentence; '' if they do not."""


def choice_of_run(record: RunRecord, now: datetime) -> ModelChoice | None:
    """Describe the model of a training of the folder; None if it has none yet.

    Of a training that brought nothing better the best model is a copy of the one before. Its last model, which was kept
    aside, is what can be chosen then.
    """
    path, card = record.model, record.card
    if record.improved is False:
        path, card = _read(record.path / LAST)
    if path is None or card is None or record.state == "running":
        return None
    parts = [when_text(record.when, now), *_figures(card)]
    if record.improved is False:
        parts.append("not better than the one before: kept aside")
    elif record.state != "finished":
        parts.append({"cancelled": "stopped early", "failed": "ended by an error"}.get(record.state, "interrupted"))
    return ModelChoice(
        path, ", ".join(parts), _tooltip(path, card, record.when), HERE, _details(card, record.when, now), card
    )


def choice_of_file(path: Path, now: datetime) -> ModelChoice:
    """Describe a model file from anywhere; one that cannot be used says why."""
    name = name_of(path)
    try:
        card = load_card(path)
    except ModelFileError as error:
        return ModelChoice(path, f"{name}: cannot be used", str(error), RECENT, str(error), None, str(error))
    when = card.trained
    parts = [*([when_text(when, now)] if when is not None else []), *_figures(card)]
    return ModelChoice(
        path, f"{name}: {', '.join(parts)}", _tooltip(path, card, when), RECENT, _details(card, when, now), card
    )


def choice_of_starter(path: Path, mismatch: str = "") -> ModelChoice:
    """Describe a model that comes with the program."""
    label = name_of(path)
    try:
        card = load_card(path)
    except ModelFileError as error:
        return ModelChoice(path, f"{label}: cannot be used", str(error), BUILT_IN, str(error), None, str(error))
    about = card.about
    title, scores = about.title if about else ", ".join(card.class_names[1:]), scores_text(card)
    lines = [f"Finds {title}", "Comes with the program; how good it is on your images only masks of yours can tell"]
    lines += [f"Measured: {about.measured}"] if about and about.measured else []
    details = f"{title} · {scores} on held-out images of its own data" if scores else title
    tooltip = "\n".join([*([mismatch] if mismatch else []), *lines])
    return ModelChoice(path, label, tooltip, BUILT_IN, details, card, mismatch=mismatch)


def mismatch_of(card: ModelCard, images: Iterable[ImageInfo], convention: MaskConvention) -> str:
    """Say how images and masks differ from those that a built-in model is for, a sentence; '' if they do not.

    Parameters
    ----------
    card
        Of the model.
    images
        Some images of a folder.
    convention
        What the folder's masks mean; a class that nobody has named may be anything.
    """
    for info in images:
        found, expected = network_channels(info, card.data), card.model.in_channels
        if found != expected:
            also = " or grey" if card.data.channels == "rgb" else ""
            wanted = f"RGB{also} images" if expected == 3 else f"images of {expected} channels"
            return f"It was made for {wanted}, and {info.path.name} has {counted(found, 'channel')}."
    known, names = card.class_names[1:], convention.class_names[1:]
    if len(known) != len(names):
        return f"It finds {', '.join(known)} alone, and the masks here have {', '.join(names)}."
    is_named = {name.casefold() for name in names} - _UNNAMED
    if is_named and not any(_is_same(name, other) for name in names for other in known):
        return f"It finds {', '.join(known)}, and the masks here are of {', '.join(names)}."
    return ""


def name_of(path: Path) -> str:
    """Return what a model is called: of one in a run folder the name of the images' folder, else its own."""
    if is_starter(path):
        return f"{path.stem} (built in)"
    places = path.parts
    if len(places) > 3 and places[-3] == RUNS:
        return places[-4]
    return path.stem


def when_text(when: datetime, now: datetime) -> str:
    """Write a time as 'today 10:12', 'yesterday 18:03', '3 Nov 10:12' or '3 Nov 2024'."""
    when = when.astimezone(now.tzinfo)
    clock = f"{when:%H:%M}"
    if when.date() == now.date():
        return f"today {clock}"
    if when.date() == (now - timedelta(days=1)).date():
        return f"yesterday {clock}"
    day = f"{when.day} {_MONTHS[when.month - 1]}"
    return f"{day} {clock}" if when.year == now.year else f"{day} {when.year}"


def scores_text(card: ModelCard) -> str:
    """Write the scores on the held-out images: 'F1 0.88, Jaccard 0.80, ...'; '' if there are none."""
    return ", ".join(f"{title} {card.scores[name]:.2f}" for name, title in _SCORES.items() if name in card.scores)


def _is_same(name: str, other: str) -> bool:
    """Whether two words are forms of one, such as 'nuclei' and 'nucleus'."""
    return name.casefold()[:_STEM] == other.casefold()[:_STEM]


def _figures(card: ModelCard) -> list[str]:
    score = card.scores.get("f1")
    figures = ["not measured" if score is None else f"F1 {score:.2f}"]
    if card.images is not None:
        figures.append(counted(card.images, "image"))
    return figures


def _details(card: ModelCard, when: datetime | None, now: datetime) -> str:
    held_out = card.training.get("held_out")
    scores = scores_text(card)
    parts = [
        ", ".join(card.class_names[1:]),
        f"{scores} on {held_out} held-out images" if scores and held_out else scores or "not measured",
        f"trained {when_text(when, now)}" if when is not None else "",
    ]
    return " · ".join(part for part in parts if part)


def _tooltip(path: Path, card: ModelCard, when: datetime | None) -> str:
    names = ", ".join(card.class_names[1:])
    scores = scores_text(card)
    held_out = card.training.get("held_out")
    why = "it was saved in the middle of an epoch" if held_out else "no image was held out"
    lines = [
        f"Finds: {names}",
        f"On {held_out or 'the'} held-out images: {scores}" if scores else f"Not measured: {why}",
        f"Trained {when.day} {_MONTHS[when.month - 1]} {when.year}, {when:%H:%M}" if when is not None else "",
        str(path),
    ]
    return "\n".join(line for line in lines if line)


def _read(path: Path) -> tuple[Path | None, ModelCard | None]:
    try:
        return path, load_card(path)
    except ModelFileError:
        return None, None
