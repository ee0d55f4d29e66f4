"""Before the first training: the splits, and a run folder with its plan for each training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from napari_attnseg.annotation.trainings.runs import is_running
from napari_attnseg.comparison.asked import Asked, AskedRun, Variant
from napari_attnseg.comparison.folds import Split, fold_pairs
from napari_attnseg.comparison.record import ComparisonFolder, Record
from napari_attnseg.comparison.running import is_trained
from napari_attnseg.comparison.scoring import is_scored
from napari_attnseg.comparison.taking_up import COMPUTING
from napari_attnseg.comparison.unchanged import digests_of, require_unchanged
from napari_attnseg.data.split import Roles
from napari_attnseg.errors import DataError, RunFolderError, SettingsError, Stopped
from napari_attnseg.events import EventHandler, Progress
from napari_attnseg.models.device import choose_compute
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.planning import make_plan
from napari_attnseg.training.run_folder import RunFolder


def prepare(folder: ComparisonFolder, asked: Asked, on_event: EventHandler, should_stop: Callable[[], bool]) -> Record:
    """Settle what will be trained; a comparison that has begun is taken up as it was, see `taking_up`.

    All settings and data are looked at before anything is trained or written, so that a mistake does not show
    after hours.

    Raises
    ------
    AttnSegError
        The data, the settings or the folder cannot be used; nothing was written then.
    Stopped
        `should_stop` returned True.
    """
    begun = folder.begun(asked)
    _refuse_twice(asked)
    record = None if begun is None else begun.taken_up(asked, folder.path)
    asked = asked if record is None else record.asked
    unfinished = [run for run in asked.runs if not is_scored(folder.run_path(run.name))]
    if begun is not None and record is not None:
        if not unfinished:
            return begun
        require_unchanged(record.digests, folder.path)
        record = record.computed_here()
    _require_devices(asked, unfinished)
    missing = [run for run in asked.runs if not RunFolder(folder.run_path(run.name)).run_json.exists()]
    plans = _plans(folder, asked, missing, on_event, should_stop)
    if record is None:
        splits = _splits(asked, next(iter(plans.values())))
        record = Record(asked, splits, asked.command(folder.path), digests=digests_of(splits))
    if record != begun:
        folder.write(record)
    _write_runs(folder, record, missing, plans)
    _renew_runs(folder, asked, [run for run in unfinished if run not in missing])
    return record


def _require_devices(asked: Asked, runs: Iterable[AskedRun]) -> None:
    """Make sure that what is trained can be computed here.

    Raises
    ------
    SettingsError
        A device is not there, or does not compute in the precision that is asked for.
    """
    trainings = [asked.settings(run.variant, run.seed).training for run in runs]
    for device, precision in dict.fromkeys((training.device, training.precision) for training in trainings):
        choose_compute(device, precision)


def _plans(
    folder: ComparisonFolder,
    asked: Asked,
    missing: Sequence[AskedRun],
    on_event: EventHandler,
    should_stop: Callable[[], bool],
) -> dict[Variant, Plan]:
    """Return a plan of each variant that lacks one for a training."""
    plans = _settled(folder, asked, missing)
    chosen = {run.variant: asked.settings(run.variant, asked.seed) for run in missing if run.variant not in plans}
    for number, (variant, settings) in enumerate(chosen.items()):

        def on_mask(count: int, total: int, number: int = number) -> None:
            if should_stop():
                raise Stopped
            share = (number + count / total) / len(chosen)
            on_event(Progress(share, f"looking at the masks, {count + 1} of {total}"))

        plans[variant] = make_plan(asked.data, settings, on_mask=on_mask)
    return plans


def _settled(folder: ComparisonFolder, asked: Asked, missing: Iterable[AskedRun]) -> dict[Variant, Plan]:
    """Return the plan of another training of each variant that lacks one.

    What it settles, such as the widths for the device of that time, holds for trainings that are added later too.
    """
    lacking = {run.variant for run in missing}
    plans: dict[Variant, Plan] = {}
    for run in asked.runs:
        if run.variant in lacking - plans.keys():
            with suppress(RunFolderError):  # it is not there either, or damaged, which its training says
                plans[run.variant] = Plan.from_json(RunFolder(folder.run_path(run.name)).read_run())
    return plans


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
        training = record.asked.settings(run.variant, run.seed).training
        settings = plan.settings.model_copy(update={"training": training})
        plan = replace(plan, settings=settings, train=train, held_out=held_out, roles=roles[run.fold])
        target = RunFolder(folder.run_path(run.name))
        target.create()
        target.write_run(plan.to_json())


def _renew_runs(folder: ComparisonFolder, asked: Asked, runs: Iterable[AskedRun]) -> None:
    """Let trainings that are neither finished nor running go on where it is asked for now."""
    for run in runs:
        path = folder.run_path(run.name)
        if is_trained(path) or is_running(path):
            continue
        training = asked.settings(run.variant, run.seed).training
        wanted = {name: getattr(training, name) for name in COMPUTING}
        try:
            values = RunFolder(path).read_run()
            was = values["settings"]["training"]
            renewed = was | wanted
        except (RunFolderError, KeyError, TypeError):
            continue  # its training says what is wrong with it
        if renewed != was:
            settings = values["settings"] | {"training": renewed}
            RunFolder(path).write_run(values | {"settings": settings})


def _refuse_twice(asked: Asked) -> None:
    for what, names in (("model", asked.models), ("loss", asked.losses), ("recipe", tuple(asked.recipe_sources))):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SettingsError(f"The {what} {twice} is named twice; name each once, and ask for more with --repeats.")
