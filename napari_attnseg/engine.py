"""The engine's four verbs, for notebooks and for the command line: find the pairs, fit, predict, evaluate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_attnseg.data.classes import find_classes
from napari_attnseg.data.convention import MaskConvention, decide_convention
from napari_attnseg.data.mask_values import survey_masks
from napari_attnseg.data.masks import read_mask
from napari_attnseg.data.normalise import finite_mask
from napari_attnseg.data.pairs import Pair, PairListing, find_pairs, require_annotated
from napari_attnseg.data.tiff import read_image
from napari_attnseg.errors import AttnSegError, DataError, SettingsError, Stopped
from napari_attnseg.events import EventHandler, Progress, ignore_event
from napari_attnseg.models.starter_models import model_path
from napari_attnseg.prediction.finishing import LargeProgress
from napari_attnseg.prediction.predictor import Prediction, Predictor
from napari_attnseg.prediction.to_files import predict_to_files
from napari_attnseg.settings import PredictionSettings, RunSettings, fine_tuning, make, option_name, recipe_values
from napari_attnseg.training.evaluation import Evaluation, ImageScore, score_image
from napari_attnseg.training.group import ALONE, Group, is_lost_process
from napari_attnseg.training.plan import Plan, with_longer_training
from napari_attnseg.training.planning import make_plan
from napari_attnseg.training.reporter import Reporter
from napari_attnseg.training.result import TrainingResult
from napari_attnseg.training.run_folder import RunFolder, new_run_path
from napari_attnseg.training.trainer import Trainer

__all__ = ["evaluate", "find_pairs", "fit", "predict", "predict_to"]

Source = str | Path | PairListing
Model = str | Path | TrainingResult | Predictor


def fit(
    source: Source,
    run: str | Path | None = None,
    *,
    init: str | Path | None = None,
    resume: bool = False,
    focus: Iterable[str | Path] = (),
    recipe: str | Path | None = None,
    settings: RunSettings | None = None,
    on_event: EventHandler = ignore_event,
    should_stop: Callable[[], bool] = lambda: False,
    should_pause: Callable[[], bool] = lambda: False,
    group: Group = ALONE,
    **values: Any,
) -> TrainingResult:
    """Train a model on a folder of images with masks.

    Parameters
    ----------
    source
        A folder, one TIFF, or what `find_pairs` returned.
    run
        The run folder to make; None makes one below `runs` in the working folder.
    init
        A model file to start from, or the name of a model that comes with the program, such as "nuclei".
    resume
        Go on with the run in `run` if one has begun there; its own settings count, save for `epochs`, `max_minutes`.
    focus
        Images to concentrate on: the share `focus_share` of the patches comes from those of them that are trained on.
        With `init` too this is fine-tuning, and single settings that are not given are those of `fine_tuning`.
    recipe
        A name out of `recipe_names`, a recipe file, or the run.json of a run whose settings shall be used again.
    settings
        All settings at once; or
    values
        single settings by name, such as `max_minutes=3` or `model="unet"`; they go before those of the recipe.
    on_event
        Called with each event, from this thread.
    should_stop, should_pause
        Asked between batches: whether to save and end, and whether to rest.
    group
        The processes that train together, as `Group.join` finds them; the first one's folder and settings count.

    Returns
    -------
    How it ended; `.folder.best` is the model file to use.

    Raises
    ------
    AttnSegError
        The data, the settings or the run folder are not usable; nothing was written then.
    """
    path = source.source if isinstance(source, PairListing) else Path(source)
    images = [Path(image) for image in focus]
    values = with_recipe(recipe, settings, values)
    if settings is None:
        settings = settings_from(values)
        settings = fine_tuning(settings) if init and images else settings
    folder = RunFolder(Path(run) if run else new_run_path(path))
    report = Reporter(folder, on_event, is_silent=not group.is_first)

    def plan() -> Plan:
        return _plan(path, folder, settings, init, images, values, report, should_stop, resume=resume)

    try:
        return Trainer(group.from_first(plan), folder, report, should_stop, should_pause, group).run()
    except Stopped:
        return TrainingResult(0, None, 0.0, True, folder, "it was stopped")
    except RuntimeError as error:
        if group.is_shared and is_lost_process(error):
            raise AttnSegError(
                f"Another of the {group.size} processes of this training has died, and so all end; what was saved last "
                f"is in {folder.path}: start them again with {group.run_option} {folder.path} --resume."
            ) from error
        raise


def _plan(
    path: Path,
    folder: RunFolder,
    settings: RunSettings,
    init: str | Path | None,
    images: Sequence[Path],
    values: dict[str, Any],
    report: Reporter,
    should_stop: Callable[[], bool],
    *,
    resume: bool,
) -> Plan:
    """Read the plan of the run to go on with, or make one; raises `Stopped` if that is asked for meanwhile."""
    if resume and folder.is_started:
        plan = Plan.from_json(folder.read_run())
        if path.resolve() != plan.source.resolve():
            raise SettingsError(f"This run learns from {plan.source} and goes on with that; {path} needs a new run.")
        _require_same(plan, values)
        return with_longer_training(plan, epochs=values.get("epochs"), max_minutes=values.get("max_minutes"))
    folder.require_free()

    def on_mask(count: int, total: int) -> None:
        if should_stop():
            raise Stopped
        if count == 0 or report.is_due():
            report(Progress(0.0, f"looking at the masks, {count + 1} of {total}"))

    return make_plan(path, settings, model_path(init) if init else None, focus=images, on_mask=on_mask)


def predict(model: Model, image: str | Path, **values: Any) -> Prediction:
    """Apply a model to one image; `values` are prediction settings such as `probability=True`.

    `model` is a model file, the name of a model that comes with the program, what `fit` returned, or a `Predictor`.

    Raises
    ------
    AttnSegError
        The model or the image cannot be used, or they do not fit together.
    """
    return predictor_of(model, make(PredictionSettings, values)).predict_file(Path(image))


def predict_to(
    model: Model,
    image: str | Path,
    folder: str | Path,
    *,
    on_event: EventHandler = ignore_event,
    should_stop: Callable[[], bool] = lambda: False,
    **values: Any,
) -> list[Path]:
    """Apply a model to one image of any size and write what it says to a folder.

    Parameters
    ----------
    on_event
        Called with the progress; of an image that is predicted tile by tile its details are `tile_rows_done`,
        `tile_rows` and `partial`, the OME-Zarr folder in which the result can be looked at while it grows.
    should_stop
        Asked between tiles; of a large image what is finished stays, and the next call goes on from there.
    values
        Prediction settings; those of a `Predictor` are its own.

    Returns
    -------
    What was written.

    Raises
    ------
    AttnSegError
        The model or the image cannot be used, they do not fit together, or the disk is full.
    prediction.tiling.Stopped
        `should_stop` returned True.
    """

    def on_progress(share: float, large: LargeProgress | None) -> None:
        on_event(Progress(share, large.text if large else "", details=large.details() if large else {}))

    predictor = predictor_of(model, make(PredictionSettings, values))
    return predict_to_files(predictor, Path(image), Path(folder), on_progress, should_stop)


def evaluate(
    model: Model,
    source: Source | Sequence[Pair],
    *,
    mask_suffix: str | None = None,
    convention: MaskConvention | None = None,
    on_event: EventHandler = ignore_event,
    should_stop: Callable[[], bool] = lambda: False,
    **values: Any,
) -> Evaluation:
    """Predict annotated images and compare with their masks.

    Parameters
    ----------
    model, source
        What to apply, as `predict` takes it, and the annotated images, as a folder, a TIFF or pairs.
    mask_suffix
        What names a mask; None: as in the training.
    convention
        What the masks' values mean, where that is known; None decides it by the values, as training does.
    on_event, should_stop
        Called with the progress, and asked between tiles.
    values
        Prediction settings; those of a `Predictor` are its own.

    Raises
    ------
    AttnSegError
        The model or the data cannot be used, or they do not fit together.
    """
    predictor = predictor_of(model, make(PredictionSettings, values))
    pairs = _annotated(source, mask_suffix or predictor.data.mask_suffix)
    convention = convention or evaluation_convention(predictor, pairs)
    scored = []
    for count, pair in enumerate(pairs):
        on_event(Progress(count / len(pairs), pair.name))
        scored.append(score_pair(predictor, pair, convention, should_stop))
    on_event(Progress(1.0, ""))
    return Evaluation(tuple(scored), predictor.convention.class_names)


def score_pair(
    predictor: Predictor, pair: Pair, convention: MaskConvention, should_stop: Callable[[], bool]
) -> ImageScore:
    """Predict one annotated image and compare with its mask; see `evaluate`."""
    assert pair.mask is not None
    image = read_image(pair.image, predictor.data.axes)
    truth = read_mask(pair.mask, convention, image.info)
    began = time.perf_counter()
    labels = predictor.predict_image(image, should_stop=should_stop).labels
    seconds = time.perf_counter() - began
    found = score_image(pair.name, truth, labels, predictor.convention.n_classes, finite_mask(image.pixels))
    return replace(found, seconds=seconds)


def _require_same(plan: Plan, values: dict[str, Any]) -> None:
    """Refuse settings that differ from those that the run was started with, where they would be ignored."""
    asked = settings_from(values)
    for group, kind in RunSettings.groups().items():
        for name, info in kind.model_fields.items():
            option = option_name(name, info)
            given = option if option in values else name
            if given not in values or name in ("epochs", "max_minutes"):
                continue
            was = getattr(getattr(plan.settings, group), name)
            wanted = getattr(getattr(asked, group), name)
            decided = name == "widths" and wanted is None  # by the plan, for the machine
            if was != wanted and not decided:
                raise SettingsError(
                    f"This run was started with {given} {was} and goes on with it; {given} {wanted} needs a new run."
                )


def with_recipe(recipe: str | Path | None, settings: RunSettings | None, values: dict[str, Any]) -> dict[str, Any]:
    """Return single settings by name, `values` before those of the recipe.

    Raises
    ------
    SettingsError
        The recipe cannot be used, or would have no effect because all settings are given at once.
    """
    if recipe is None:
        return values
    if settings is not None:
        raise SettingsError(
            f"All settings are given already, so that the recipe '{recipe}' has no effect; leave it out."
        )
    return {**recipe_values(recipe), **values}


def settings_from(values: dict[str, Any]) -> RunSettings:
    """Sort single settings by name into data, model and training settings.

    Raises
    ------
    SettingsError
        A name is unknown or a value out of range.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        for group, kind in RunSettings.groups().items():
            field = next(
                (key for key, info in kind.model_fields.items() if name in (option_name(key, info), key)), None
            )
            if field is not None:
                groups.setdefault(group, {})[field] = value
                break
        else:
            raise SettingsError(f"There is no setting '{name}'.")
    return make(RunSettings, groups)


def predictor_of(model: Model, settings: PredictionSettings) -> Predictor:
    """Return the model, loaded."""
    if isinstance(model, Predictor):
        return model
    return Predictor(model.folder.best if isinstance(model, TrainingResult) else model_path(model), settings)


def evaluation_convention(predictor: Predictor, pairs: Sequence[Pair]) -> MaskConvention:
    """Decide what the masks' values mean, and hold it against the model's classes.

    Raises
    ------
    DataError
        The masks have other classes than the model.
    """
    own = predictor.convention
    survey = survey_masks(pair.mask for pair in pairs if pair.mask)
    values = {value for found in survey.values() for value in found.non_zero}
    if own.kind == "classes" and values <= set(own.values):
        return own
    found = decide_convention(survey, find_classes(pairs[0].image.parent), predictor.data.mask_values)
    if found.n_classes != own.n_classes:
        raise DataError(
            f"The model knows {', '.join(own.class_names[1:])} and the masks have {', '.join(found.class_names[1:])}; "
            "evaluate it on masks of its own classes."
        )
    return found


def _annotated(source: Source | Sequence[Pair], mask_suffix: str) -> tuple[Pair, ...]:
    if isinstance(source, PairListing):
        return require_annotated(source)
    if isinstance(source, str | Path):
        return require_annotated(find_pairs(Path(source), mask_suffix))
    return tuple(pair for pair in source if pair.mask)
