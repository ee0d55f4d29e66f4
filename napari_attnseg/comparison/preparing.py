"""Before the first training: the splits, and a run folder with its plan for each training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from napari_attnseg.comparison.asked import Asked, AskedRun, Variant
from napari_attnseg.comparison.folds import Split, fold_pairs
from napari_attnseg.comparison.record import ComparisonFolder, Record
from napari_attnseg.comparison.scoring import is_scored
from napari_attnseg.comparison.unchanged import digests_of, require_unchanged
from napari_attnseg.data.split import Roles
from napari_attnseg.errors import DataError, SettingsError, Stopped
from napari_attnseg.events import EventHandler, Progress
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.planning import make_plan
from napari_attnseg.training.run_folder import RunFolder


def prepare(folder: ComparisonFolder, asked: Asked, on_event: EventHandler, should_stop: Callable[[], bool]) -> Record:
    """Settle what will be trained; a comparison that has begun is taken up as it was.

    All settings and data are looked at before anything is trained or written, so that a mistake does not show
    after hours.

    Raises
    ------
    AttnSegError
        The data, the settings or the folder cannot be used; nothing was written then.
    Stopped
        `should_stop` returned True.
    """
    record = folder.begun(asked)
    _refuse_twice(asked)
    if record is not None and not all(is_scored(folder.run_path(run.name)) for run in asked.runs):
        require_unchanged(record.digests, folder.path)
    missing = [run for run in asked.runs if not RunFolder(folder.run_path(run.name)).run_json.exists()]
    chosen = {run.variant: asked.settings(run.variant, asked.seed) for run in missing}
    plans: dict[Variant, Plan] = {}
    for number, (variant, settings) in enumerate(chosen.items()):

        def on_mask(count: int, total: int, number: int = number) -> None:
            if should_stop():
                raise Stopped
            share = (number + count / total) / len(chosen)
            on_event(Progress(share, f"looking at the masks, {count + 1} of {total}"))

        plans[variant] = make_plan(asked.data, settings, on_mask=on_mask)
    if record is None:
        splits = _splits(asked, next(iter(plans.values())))
        record = Record(asked, splits, asked.command(folder.path), digests=digests_of(splits))
        folder.write(record)
    _write_runs(folder, record, missing, plans)
    return record


def _splits(asked: Asked, plan: Plan) -> tuple[Split, ...]:
    data = plan.settings.data
    if asked.folds:
        if data.val is not None:
            raise SettingsError("Folds hold out each image once, a held-out folder always the same; give one of them.")
        pairs = (*plan.train, *plan.held_out)
        return tuple(fold_pairs(pairs, asked.folds, data.group_pattern, asked.seed))
    if not plan.held_out:
        raise DataError(
            "No image would be held out to measure the models on; a comparison needs masks for two images (or groups) "
            "at least and a held-out share above 0, or a folder of its own with --val."
        )
    return ((plan.train, plan.held_out),)


def _write_runs(folder: ComparisonFolder, record: Record, missing: list[AskedRun], plans: dict[Variant, Plan]) -> None:
    roles: dict[int | None, Roles] = {}
    for run in missing:
        train, held_out = record.split_of(run.fold)
        roles[run.fold] = roles.get(run.fold) or Roles.of(train, held_out)
        plan = plans[run.variant]
        training = plan.settings.training.model_copy(update={"seed": run.seed})
        settings = plan.settings.model_copy(update={"training": training})
        plan = replace(plan, settings=settings, train=train, held_out=held_out, roles=roles[run.fold])
        target = RunFolder(folder.run_path(run.name))
        target.create()
        target.write_run(plan.to_json())


def _refuse_twice(asked: Asked) -> None:
    for what, names in (("model", asked.models), ("loss", asked.losses), ("recipe", tuple(asked.recipe_sources))):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SettingsError(f"The {what} {twice} is named twice; name each once, and ask for more with --repeats.")
