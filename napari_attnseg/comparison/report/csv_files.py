"""The tables of a comparison as CSV: a row a model, a row an image and run, a row a test."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_attnseg.comparison.results import (
    CLASS_MEASURES,
    ComparedModel,
    Results,
    ScoredRun,
    Spread,
    image_dice,
    spread_of,
)
from napari_attnseg.comparison.statistics import PairedTest
from napari_attnseg.data.atomic import write_text
from napari_attnseg.training.metrics import SCORE_NAMES

MEGABYTE = 1e6


def write_summary(path: Path, results: Results) -> None:
    """Write a row for each model: means and standard deviations over its runs, its size, its cost and where it ran.

    With several classes that is Dice and IoU of each, the background too, and their means with it and without.

    Raises
    ------
    SaveError
        The file cannot be written.
    """
    figures = [*(name.capitalize() for name in SCORE_NAMES), *_class_figures(results), "Last epoch"]
    header = ["Model", "Loss", "Recipe", "Repeats", "Images", *(f"{name} {what}" for name in figures for what in _WHAT)]
    rows = [[*header, "Parameters", "Minutes", "Images per second", "Peak memory (MB)", "Computed on"]]
    for model in results.models:
        spreads = [model.mean(name) for name in SCORE_NAMES]
        spreads += _class_spreads(model, results)
        values = [text for one in (*spreads, last_epoch(model)) for text in _mean_sd(one)]
        named = [_name(model), model.loss, model.recipe]
        rows.append([*named, str(len(model.repeats)), str(len(model.image_scores)), *values, *_cost(model)])
    _write(path, rows)


def _class_figures(results: Results) -> list[str]:
    """Return what is told of classes: of a single one its Dice, of several also all that their means are made of."""
    background, *classes = results.class_names
    if not results.has_classes:
        return [f"Dice {name}" for name in classes]
    columns = (*classes, background, "without background", "with background")
    return [f"{measure} {name}" for measure in CLASS_MEASURES for name in columns]


def _class_spreads(model: ComparedModel, results: Results) -> list[Spread]:
    if not results.has_classes:
        return [model.dice(1)]
    found = [model.by_class(measure) for measure in CLASS_MEASURES.values()]
    return [one for by in found for one in (*by.each[1:], by.each[0], by.mean, by.mean_with_background)]


def last_epoch(model: ComparedModel) -> Spread | None:
    """Return the score of the last epoch, of several folds the mean over all their images, spread over the seeds."""
    by_seed: dict[int | None, list[tuple[float, int]]] = {}
    for run in model.runs:
        if run.last_score is not None:
            by_seed.setdefault(run.seed, []).append((run.last_score, len(run.images)))
    return spread_of(
        sum(score * count for score, count in folds) / sum(count for _, count in folds) for folds in by_seed.values()
    )


def write_scores(path: Path, results: Results) -> None:
    """Write a row for each image and run.

    Raises
    ------
    SaveError
        The file cannot be written.
    """
    dice = [f"Dice {name}" for name in results.class_names[1:]]
    header = ["Model", "Loss", "Recipe", "Fold", "Seed", "Image", "Group"]
    rows = [[*header, *(name.capitalize() for name in SCORE_NAMES), *dice]]
    for model in results.models:
        for run in model.runs:
            named = [_name(model), model.loss, model.recipe, *_fold_and_seed(run)]
            for image in run.images:
                values = [*image.result.scores.as_dict().values(), *image_dice(image)]
                group = image.group.removeprefix("group ").replace("\0", " ") if results.is_grouped else ""
                rows.append([*named, image.result.name, group, *(f"{value:.6f}" for value in values)])
    _write(path, rows)


def write_tests(path: Path, tests: Sequence[PairedTest]) -> None:
    """Write a row for each pair of models.

    Raises
    ------
    SaveError
        The file cannot be written.
    """
    header = ["First", "Second", "n", "n that differ", "Typical difference", "95% low", "95% high", "p", "p (Holm)"]
    rows: list[list[Any]] = [[*header, "Verdict"]]
    for test in tests:
        figures = (test.typical, test.low, test.high, test.p, test.p_adjusted)
        named = [test.first, test.second, test.n, test.n_different]
        rows.append([*named, *("" if value is None else f"{value:.6g}" for value in figures), test.verdict])
    _write(path, rows)


_WHAT = ("mean", "sd")


def _name(model: ComparedModel) -> str:
    """Return the network's name, which loss and recipe tell apart; models that came as files have a label instead."""
    return model.model if model.loss else model.label


def _mean_sd(spread: Spread | None) -> tuple[str, str]:
    if spread is None:
        return "", ""
    return f"{spread.mean:.6f}", "" if spread.deviation is None else f"{spread.deviation:.6f}"


def _cost(model: ComparedModel) -> list[str]:
    minutes = spread_of(run.minutes for run in model.runs)
    speed = spread_of(run.images_per_second for run in model.runs)
    memory = [run.memory for run in model.runs if run.memory]
    return [
        str(model.runs[0].parameters),
        f"{minutes.mean:.3f}" if minutes else "",
        f"{speed.mean:.3f}" if speed else "",
        f"{max(memory) / MEGABYTE:.0f}" if memory else "",
        "; ".join(dict.fromkeys(run.device for run in model.runs if run.device)),
    ]


def _fold_and_seed(run: ScoredRun) -> list[str]:
    return ["" if run.fold is None else str(run.fold + 1), "" if run.seed is None else str(run.seed)]


def _write(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())
