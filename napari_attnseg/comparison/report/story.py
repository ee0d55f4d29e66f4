"""What a report says in sentences: what was compared, on what, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_attnseg.comparison.asked import Asked
from napari_attnseg.comparison.record import Record
from napari_attnseg.comparison.report.facts import Facts, devices_in_words, facts_of, settings_in_words
from napari_attnseg.comparison.results import ComparedModel, Results, ranked
from napari_attnseg.comparison.statistics import PairedTest
from napari_attnseg.models.presets import PRESETS
from napari_attnseg.settings import TrainingSettings
from napari_attnseg.settings.recipes import OF_THE_DATA
from napari_attnseg.wording import counted

_FEW_REPEATS = 3
_MOST_IN_TITLE = 3
_TOLD = ("epochs", "max_minutes", "patience", "seed")
"""Training settings that the first sentences tell of."""


@dataclass(frozen=True)
class Story:
    """The words of a report that do not come from the scores."""

    title: str
    when: str
    paragraphs: tuple[str, ...]
    """What was compared, on what data, within which budget."""
    facts: Facts
    """Data, settings, machine and versions, for whoever wants to repeat it."""
    command: str = ""


def story_of(record: Record, results: Results) -> Story:
    """Tell of a comparison that trained its models."""
    labels = [model.label for model in results.models]
    return Story(
        title=f"Comparison of {listed(labels) if len(labels) <= _MOST_IN_TITLE else f'{len(labels)} models'}",
        when=f"Begun {record.created.replace('T', ' ').removesuffix('+00:00')} UTC",
        paragraphs=(_what(record, results.models), _held_out(record, results), _unfinished(results), _places(results)),
        facts=facts_of(record, results),
        command=record.command,
    )


def outcome(results: Results, tests: Sequence[PairedTest]) -> list[str]:
    """Say what came out: the order of the models, and how sure that is."""
    best, *others = ranked(results.models)
    repeats = len(best.repeats)
    over = f" (mean and standard deviation over {repeats} {_trainings(best)})" if repeats > 1 else ""
    scores = [f"{model.label} {model.mean('f1').text()}" for model in others]
    score = f"{best.mean('f1').text()}{over}"
    if not others:
        sentences = [f"The mean F1 of an image is {score}."]
    else:
        sentences = [f"{best.label} has the highest mean F1 of an image, {score}; {listed(scores)}."]
        names = {best.label, others[0].label}
        test = next((one for one in tests if {one.first, one.second} == names), None)
        sentences.append(_certainty(test, best.label, results) if test else "")
        sentences.append(_luck(best, others[0]))
        sentences.append(_other_images(results))
    if any(run.curve for model in results.models for run in model.runs):
        alike = ", for all models alike" if others else ""
        sentences.append(
            "Of each training the epoch with the best score on these same held-out images was kept, which makes all "
            f"scores a little too high{alike}; the column “last epoch” has the score without that choice."
        )
        if any(run.time_is_limited for model in results.models for run in model.runs):
            slower = " or a slower device" if len(results.devices) > 1 else ""
            sentences.append(
                f"What limited the trainings was time, so that a machine that was busy with other work{slower} lets a "
                "model learn less; the number of epochs below tells how far each came."
            )
        if repeats < _FEW_REPEATS:
            seeds = "one seed" if repeats == 1 else "two seeds"
            sentences.append(
                f"With {seeds} for each model, little is known of how much a score depends on chance in the training; "
                "three or more are better."
            )
    return sentences


def unit_name(results: Results, count: int) -> str:
    """Return what the test counts: images, or groups of them."""
    return f"{'group' if results.is_grouped else 'image'}{'s' * (count != 1)}"


def listed(names: Sequence[str]) -> str:
    """Return names as in a sentence: 'a, b and c'."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part) if names else ""


def _certainty(test: PairedTest, best: str, results: Results) -> str:
    units = f"{test.n} {unit_name(results, test.n)}"
    if test.n_different == 0:
        return f"The first two have the same scores in all of {units}."
    if test.is_too_few:
        return (
            f"Whether the first two really differ cannot be told from {units}: even if all agreed, p would not fall "
            f"below {p_text(test.smallest_p)}."
        )
    assert test.low is not None  # where there are too few for an interval, there are too few to tell
    assert test.high is not None
    turn = 1 if test.first == best else -1
    low, high = sorted((turn * test.low, turn * test.high))
    second = test.second if test.first == best else test.first
    where = (
        f"over {units}" if test.n_different == test.n else f"over the {test.n_different} of {units} where they differ"
    )
    size = (
        f"{best} minus {second} is typically {signed(turn * test.typical)} (95 % interval {signed(low)} to "
        f"{signed(high)}) {where}, {_equals(test.p_adjusted)}"
    )
    if test.winner is None:
        return f"Between the first two no difference is shown: {size}."
    if test.winner != best:
        unit = unit_name(results, 1)
        return f"The mean of {best} is higher, but compared {unit} by {unit} {test.verdict}: {size}."
    return f"Of the first two, {test.verdict}: {size}."


def _luck(best: ComparedModel, second: ComparedModel) -> str:
    """Say if the order of the first two may be owed to the seeds."""
    gap = best.mean("f1").mean - second.mean("f1").mean
    spread = max(model.mean("f1").deviation or 0.0 for model in (best, second))
    if spread <= gap:
        return ""
    return (
        f"Their means differ by {gap:.3f}, less than one of them varies from seed to seed ({spread:.3f}): "
        "other seeds may turn the order round."
    )


def _trainings(model: ComparedModel) -> str:
    """Return what a repeat is: a training, or one for each fold."""
    return "trainings of all folds" if any(run.fold is not None for run in model.runs) else "trainings"


def _other_images(results: Results) -> str:
    """Say if not all models were scored on the same images, as where a training failed or is still to come."""
    counts = {model.label: len(model.image_scores) for model in results.models}
    if all(count == len(results.images) for count in counts.values()):
        return ""
    told = listed([f"{label} {count}" for label, count in counts.items()])
    return (
        f"Not all were scored on the same images ({told}), so that the order of their means says little; the "
        "test pairs only what is common."
    )


def signed(value: float) -> str:
    """Return a difference for people, with its sign and four decimals."""
    return f"{value:+.4f}".replace("-", "\u2212")


def p_text(p: float) -> str:
    """Return a p value for people: '0.031', or '< 0.001'."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _equals(p: float) -> str:
    return f"p {p_text(p)}" if p < 0.001 else f"p = {p_text(p)}"


def _what(record: Record, models: Sequence[ComparedModel]) -> str:
    asked = record.asked
    variants = asked.variants
    labels = [f"{one.label} ({one.model}, {one.loss})" if one.label == one.recipe else one.label for one in models]
    losses = list(dict.fromkeys(variant.loss for variant in variants))
    number = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six"}.get(len(labels), str(len(labels)))
    count = f"{number} models were" if len(labels) > 1 else "One model was"
    loss = f" with the loss {losses[0]}" if len(losses) == 1 else ""
    last = asked.seed + asked.repeats - 1
    to = "and" if asked.repeats == 2 else "to"
    seeds = f"seed {asked.seed}" if asked.repeats == 1 else f"seeds {asked.seed} {to} {last}"
    times = {1: "once", 2: "twice"}.get(asked.repeats, f"{asked.repeats} times")
    fold = " for each fold" if asked.folds else ""
    verb = "compared" if len(labels) > 1 else "measured"
    same = _other_settings(record) if len(labels) > 1 else ""
    return (
        f"{count} {verb}: {listed(labels)}. Each was trained {times}{fold} ({seeds}) from {_start(asked)}{loss}, "
        f"{_budget(asked)}. {same}"
    ).rstrip()


def _other_settings(record: Record) -> str:
    """Say what else the models have in common; what the data are and how long it learns is told before."""
    if not record.asked.recipes:
        return "All other settings are the same."
    given = settings_in_words(record, without=(*_TOLD, *OF_THE_DATA))
    but = f", but for {'these' if len(given) > 1 else 'this one'}, given to all: {', '.join(given)}" if given else ""
    return f"All other settings are those of the recipes{but}."


def _start(asked: Asked) -> str:
    """Return what the trainings begin with."""
    networks = [asked.settings(variant, asked.seed).model for variant in asked.variants]
    begins_trained = [one.name for one in networks if one.encoder_weights and PRESETS[one.name].encoder != "plain"]
    if not begins_trained:
        return "random weights"
    return f"random weights, but for the encoder of {listed(list(dict.fromkeys(begins_trained)))}"


def _held_out(record: Record, results: Results) -> str:
    asked = record.asked
    train, held_out = record.splits[0]
    total, name = len(train) + len(held_out), asked.data.resolve().name
    groups = ""
    if results.is_grouped:
        names = {image.group for model in results.models for run in model.runs for image in run.images}
        kept = "were always held out together" if asked.folds else "stayed together"
        were = "was" if len(names) == 1 else "were"
        groups = f" Images of one group ({counted(len(names), 'group')} {were} held out in all) {kept}."
    if asked.folds:
        return (
            f"The {total} images with masks in the folder {name} were shared out into {asked.folds} folds. For each "
            "fold a model learnt from all others, so that each image was held out once and is scored by a model that "
            f"has never seen it.{groups}"
        )
    apart = asked.given.get("data", {}).get("val")
    is_one = len(held_out) == 1
    never = "was never learnt from, and is" if is_one else "were never learnt from, and are"
    if apart is not None:
        images = f"from {counted(len(train), 'image')} with masks in the folder {name}"
        others = f"the {counted(len(held_out), 'image')} in the folder {Path(apart).resolve().name}"
    else:
        images = f"from {len(train)} of the {total} images with masks in the folder {name}"
        others = "the other one was held out," if is_one else f"the other {len(held_out)} were held out,"
    learners = "The models" if len(results.models) > 1 else "The model"
    return f"{learners} learnt {images}; {others} {never} what all scores below are measured on.{groups}"


def _unfinished(results: Results) -> str:
    sentences = []
    if results.missing:
        trainings = "1 training is" if results.missing == 1 else f"{results.missing} trainings are"
        sentences.append(f"{trainings} not done yet and not in this report; ask again to go on.")
    if results.failures:
        count = len(results.failures)
        sentences.append(f"{counted(count, 'training')} failed; see the section on them below.")
    return " ".join(sentences)


def _places(results: Results) -> str:
    """Say if not all was computed in one place, or not in one precision."""
    if len(results.devices) < 2:
        return ""
    return (
        f"Not everything was computed alike: {'; '.join(devices_in_words(results))}. The section on size, time and "
        "memory tells these apart."
    )


def _budget(asked: Asked) -> str:
    """Return for how long was trained: of all alike, or of each recipe."""
    limits = {variant.recipe: _limit(asked.settings(variant, asked.seed).training) for variant in asked.variants}
    if len(set(limits.values())) == 1:
        return next(iter(limits.values()))
    return "within limits of its own: " + "; ".join(f"{recipe} {limit}" for recipe, limit in limits.items())


def _limit(training: TrainingSettings) -> str:
    """Return what ends a training: 'for at most 30 epochs, ending after 2 without gain'."""
    epochs, minutes = counted(training.epochs, "epoch"), training.max_minutes
    time = "" if minutes is None else f"{minutes:g} minutes or "
    if 0 < training.patience < training.epochs:  # else all epochs are over before
        return f"for at most {time}{epochs}, ending after {training.patience} without gain"
    return f"for {time}{epochs}{', whichever came first' if time else ''}"
