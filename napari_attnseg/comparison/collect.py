"""The results of a comparison, read from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_attnseg.comparison.asked import labels_of
from napari_attnseg.comparison.record import ComparisonFolder, Record
from napari_attnseg.comparison.results import ComparedModel, Results
from napari_attnseg.comparison.scoring import is_scored, read_scores
from napari_attnseg.data.classes import default_colour, find_classes
from napari_attnseg.errors import RunFolderError
from napari_attnseg.settings import PredictionSettings
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.run_folder import RunFolder


def collect(folder: ComparisonFolder, record: Record) -> Results:
    """Read the scores of all runs that are done.

    Raises
    ------
    RunFolderError
        None is, or the scores of one are damaged.
    """
    asked = record.asked
    done = [run for run in asked.runs if is_scored(folder.run_path(run.name))]
    failures = {name: text for name, text in record.failures.items() if name not in {run.name for run in done}}
    if not done:
        why = next(iter(failures.values()), "")
        raise RunFolderError(
            f"No training of the comparison in {folder.path} has come to its end"
            + (f"; the first that failed says: {why}" if why else ", so there is nothing to report yet.")
        )
    variants = [variant for variant in asked.variants if any(run.variant == variant for run in done)]
    models = []
    for variant, label in zip(variants, labels_of(variants), strict=True):
        runs = tuple(read_scores(folder.run_path(run.name), run) for run in done if run.variant == variant)
        models.append(ComparedModel(label, runs, variant.model, variant.loss, variant.recipe or ""))
    plan = Plan.from_json(RunFolder(folder.run_path(done[0].name)).read_run())
    names = models[0].runs[0].class_names
    return Results(
        models=tuple(models),
        class_names=names,
        class_colours=class_colours(asked.data, names),
        convention=plan.convention,
        failures=tuple(failures.items()),
        is_grouped=bool(plan.settings.data.group_pattern),
        missing=len(asked.runs) - len(done) - len(failures),
    )


def class_colours(data: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the colours of the classes: those of classes.json if it is there and of these classes."""
    listed = find_classes(data) if data.exists() else None
    if listed is not None and len(listed) == len(names):
        return listed.colours
    return tuple(default_colour(number) for number in range(len(names)))


def prediction_settings(record: Record, given: dict[str, Any]) -> PredictionSettings:
    """Return how the images of a report are predicted: where it is asked for now, else where the trainings were.

    `given` are settings by name, of which others than those of the device say nothing here.
    """
    known = {**record.asked.given.get("training", {}), **given}
    return PredictionSettings(**{name: known[name] for name in ("device", "precision") if name in known})
