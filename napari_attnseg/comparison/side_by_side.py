"""Models that are evaluated side by side on the same images, without being trained for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_attnseg.comparison.collect import class_colours
from napari_attnseg.comparison.report.story import Story, listed
from napari_attnseg.comparison.results import ComparedModel, Results, ScoredRun
from napari_attnseg.comparison.scoring import count_parameters, scored_images, titled
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.pairs import Pair, find_pairs, require_annotated
from napari_attnseg.data.split import Roles, groups_of, image_digest
from napari_attnseg.engine import evaluate
from napari_attnseg.errors import AttnSegError, DataError
from napari_attnseg.events import Event, EventHandler, Progress
from napari_attnseg.models.model_card import load_card
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.settings import PredictionSettings
from napari_attnseg.training.evaluation import Evaluation
from napari_attnseg.training.scoring import OnFailure, evaluation_convention, require_scored, survey_pairs
from napari_attnseg.wording import counted

Score = Callable[[Path, Sequence[Pair], MaskConvention, EventHandler, Callable[[], bool], OnFailure], Evaluation]
"""What scores a model file on annotated images, telling how far it is, asking whether to stop, telling what fails."""

_OF_A_RUN = ("best", "last")
"""What the models in a run folder are called; their names alone say nothing."""


@dataclass(frozen=True)
class Evaluated:
    """One model and its scores."""

    label: str
    """What it is called beside the others."""
    path: Path
    evaluation: Evaluation
    pairs: tuple[Pair, ...]
    convention: MaskConvention

    def to_json(self) -> dict[str, Any]:
        """Return the model, and the content of evaluate's JSON file for it."""
        return {"model": self.label, "path": str(self.path), **self.evaluation.to_json()}


def evaluate_models(
    models: Sequence[Path],
    data: Path,
    settings: PredictionSettings,
    *,
    mask_suffix: str | None = None,
    group_pattern: str | None = None,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
    on_failure: OnFailure,
    score: Score | None = None,
) -> list[Evaluated]:
    """Evaluate each model on the annotated images of a folder, one after the other.

    All are scored on the same images: those that could be scored for each of them; `on_failure` is told of the others.

    `group_pattern` is only looked at: whether it matches any image is said before anything is predicted. `score` does
    the work, such as a cluster; None does it here.

    Raises
    ------
    AttnSegError
        A model or the data cannot be used, or they do not fit together; of several models the message names which.
    Stopped
        `should_stop` returned True.
    """
    labels = labels_of_files(models)
    _require_same_classes(models, labels)
    pairs = _pairs_for_all(models, labels, data, mask_suffix)
    groups_of(pairs, group_pattern)
    listed_pairs, survey = pairs, survey_pairs(pairs, on_failure)
    pairs = tuple(pair for pair in pairs if pair.mask in survey)
    found: list[Evaluated] = []
    for number, (path, label) in enumerate(zip(models, labels, strict=True)):

        def tell(event: Event, number: int = number, label: str = label) -> None:
            if isinstance(event, Progress):
                message = f"{label}: {event.message}" if len(models) > 1 and event.message else event.message
                on_event(Progress((number + event.done) / len(models), message))

        failed: dict[Pair, DataError] = {}

        def fail(pair: Pair, error: DataError, failed: dict[Pair, DataError] = failed) -> None:
            failed[pair] = error
            on_failure(pair, error)

        try:
            # by all masks that can be read, so that they mean the same to each model
            convention = evaluation_convention(load_card(path), pairs, data, survey)
            scored = _scored(path, settings, pairs, convention, tell, should_stop, fail, score)
            pairs = tuple(pair for pair in pairs if pair not in failed)
            found = [_without(one, failed) for one in found]
            others = [pair for pair in listed_pairs if pair not in pairs]
            found.append(Evaluated(label, path, titled(scored, pairs, data, others), pairs, convention))
        except AttnSegError as error:
            raise type(error)(f"{label}: {error}" if len(models) > 1 else str(error)) from error
    return found


def labels_of_files(models: Sequence[Path]) -> list[str]:
    """Return a short name for each model file: its name, or where that is not enough that of its folder with it.

    Raises
    ------
    DataError
        A file is given twice.
    """
    resolved = [path.resolve() for path in models]
    twice = next((path for path in resolved if resolved.count(path) > 1), None)
    if twice is not None:
        raise DataError(f"The model {twice} is given twice; give each once.")
    labels = [_named(path, 1 if path.stem in _OF_A_RUN else 0) for path in resolved]
    for depth in range(1, max(len(path.parts) for path in resolved)):
        shared = {label for label, count in Counter(labels).items() if count > 1}
        if not shared:
            break
        labels = [
            _named(path, depth) if label in shared else label for path, label in zip(resolved, labels, strict=True)
        ]
    return labels


def side_by_side(found: Sequence[Evaluated], group_pattern: str | None, data: Path) -> Results:
    """Put together what a report shows.

    Raises
    ------
    DataError
        `group_pattern` matches no image.
    """
    names = found[0].evaluation.class_names
    models = []
    for one in found:
        card = load_card(one.path)
        images = scored_images(one.pairs, one.evaluation, group_pattern)
        minutes = card.training.get("minutes")
        run = ScoredRun(one.label, one.path, images, names, count_parameters(one.path), minutes=minutes)
        models.append(ComparedModel(one.label, (run,), card.model.name))
    colours = class_colours(data, names)
    return Results(tuple(models), names, colours, found[0].convention, is_grouped=group_pattern is not None)


def story_of_models(found: Sequence[Evaluated], data: Path, command: str, failed: Sequence[str] = ()) -> Story:
    """Tell of models that were evaluated; `failed` says why images were left out, a sentence each."""
    labels = [one.label for one in found]
    count = len(found[0].pairs)
    trained = [f"{one.label}: {load_card(one.path).images or 'an unknown number of'} images" for one in found]
    verb = "model was" if len(found) == 1 else "models were"
    return Story(
        title=f"Evaluation of {listed(labels) if len(labels) == 1 else f'{len(labels)} models'}",
        when=f"Made {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        paragraphs=(
            f"{len(found)} {verb} applied to the {counted(count, 'image')} with masks in "
            f"{data.resolve().name} and compared with the masks: {listed(labels)}.",
            *_left_out(failed),
            *_seen(found),
        ),
        facts=(
            ("Data", str(data.resolve())),
            ("Models", "; ".join(f"{one.label} is {one.path.resolve()}" for one in found)),
            ("Learnt from", "; ".join(trained)),
            ("Classes", ", ".join(found[0].evaluation.class_names)),
        ),
        command=command,
    )


def _left_out(failed: Sequence[str]) -> list[str]:
    """Return a paragraph about images that could not be scored, if there are any."""
    if not failed:
        return []
    what = "image with a mask" if len(failed) == 1 else "images with masks"
    return [f"{len(failed)} more {what} could not be scored, and nothing here counts them. {' '.join(failed)}"]


def _scored(
    path: Path,
    settings: PredictionSettings,
    pairs: tuple[Pair, ...],
    convention: MaskConvention,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
    on_failure: OnFailure,
    score: Score | None,
) -> Evaluation:
    """Score a model; where `score` does it, this computer may lack the device."""
    if score is not None:
        return score(path, pairs, convention, on_event, should_stop, on_failure)
    predictor = Predictor(path, settings)
    return evaluate(
        predictor, pairs, convention=convention, on_event=on_event, should_stop=should_stop, on_failure=on_failure
    )


def _without(one: Evaluated, failed: Mapping[Pair, DataError]) -> Evaluated:
    """Leave out images that could not be scored for a later model.

    Raises
    ------
    DataError
        None is left.
    """
    kept = [number for number, pair in enumerate(one.pairs) if pair not in failed]
    require_scored(len(kept), list(failed.values()))
    images = tuple(one.evaluation.images[number] for number in kept)
    pairs = tuple(one.pairs[number] for number in kept)
    return replace(one, evaluation=replace(one.evaluation, images=images), pairs=pairs)


def _pairs_for_all(
    models: Sequence[Path], labels: Sequence[str], data: Path, mask_suffix: str | None
) -> tuple[Pair, ...]:
    """Return the images with those masks that all models are measured on.

    Raises
    ------
    DataError
        There are none, or the models would choose different ones.
    """
    suffixes = [mask_suffix or load_card(path).data.mask_suffix for path in models]
    listings = {suffix: find_pairs(data, suffix) for suffix in dict.fromkeys(suffixes)}
    first = listings[suffixes[0]]
    for label, suffix in zip(labels, suffixes, strict=True):
        if listings[suffix].annotated != first.annotated:
            raise DataError(
                f"{labels[0]} has learnt from masks whose names end in {suffixes[0]} and {label} from masks whose "
                f"names end in {suffix}, and in {data} these are not the same; say with --mask-suffix which of them "
                "all models are measured on."
            )
    return require_annotated(first)


def _require_same_classes(models: Sequence[Path], labels: Sequence[str]) -> None:
    """Refuse models of other classes; of a single class the name does not matter."""
    known = [load_card(path).class_names for path in models]
    for label, names in zip(labels, known, strict=True):
        if len(names) != len(known[0]) or (len(names) > 2 and names != known[0]):
            raise DataError(
                f"{labels[0]} knows {listed(known[0][1:])} and {label} knows {listed(names[1:])}; only models of the "
                "same classes can be put side by side."
            )


def _seen(found: Sequence[Evaluated]) -> list[str]:
    """Warn of models that have learnt from what they are measured on."""
    by_count: dict[int, list[str]] = {}
    for one in found:
        roles = Roles.from_lists(load_card(one.path).training)
        seen = sum(image_digest(pair.image) in roles.trained_on for pair in one.pairs) if roles else 0
        by_count.setdefault(seen, []).append(one.label)
    return [
        f"{listed(labels)} learnt from {seen} of these {len(found[0].pairs)} images, so that the scores are too good."
        for seen, labels in by_count.items()
        if seen
    ]


def _named(path: Path, depth: int) -> str:
    """Return a file's name behind those of so many of the folders that it is in; the best of a run goes by the run."""
    folders = path.parts[max(1, len(path.parts) - 1 - depth) : -1] if depth else ()
    return "/".join(folders if folders and path.stem == "best" else (*folders, path.stem))
