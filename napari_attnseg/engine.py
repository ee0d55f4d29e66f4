"""The engine's four verbs, for notebooks and for the command line: find the pairs, fit, predict, evaluate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.pairs import Pair, PairListing, find_pairs, require_annotated
from napari_attnseg.errors import AttnSegError, SettingsError, ShortOfMemoryError, Stopped
from napari_attnseg.events import EventHandler, Progress, ignore_event
from napari_attnseg.models.starter_models import model_path
from napari_attnseg.prediction.finishing import LargeProgress
from napari_attnseg.prediction.fitting import is_out_of_memory
from napari_attnseg.prediction.predictor import Prediction, Predictor
from napari_attnseg.prediction.to_files import predict_to_files
from napari_attnseg.settings import PredictionSettings, RunSettings, fine_tuning, make, settings_from, with_recipe
from napari_attnseg.training.evaluation import Evaluation
from napari_attnseg.training.group import ALONE, Group, is_lost_process
from napari_attnseg.training.plan import Plan, resumed
from napari_attnseg.training.planning import make_plan
from napari_attnseg.training.reporter import Reporter
from napari_attnseg.training.result import TrainingResult
from napari_attnseg.training.run_folder import RunFolder, new_run_path
from napari_attnseg.training.scoring import OnFailure, evaluation_convention, score_pairs, survey_pairs
from napari_attnseg.training.trainer import Trainer

__all__ = ["evaluate", "find_pairs", "fit", "predict", "predict_to", "settings_from"]

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
        Go on with the run in `run` if one has begun there; its own settings count, save for `epochs`, `max_minutes`,
        `device`, `precision` and `image_memory`.
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
        The data, the settings or the run folder are not usable; nothing was written then. Or memory ran out, or one
        of several processes died; what was saved before is in the run folder.
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
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            if not folder.state.exists():
                raise ShortOfMemoryError(
                    "The memory is not enough to begin the training; close other programs, or keep less of the images "
                    "in memory (--image-memory)."
                ) from error
            raise ShortOfMemoryError(
                "Memory ran out in the middle of the training; close other programs that take much memory, or the GPU. "
                f"What was saved last is in {folder.path}: go on with {group.run_option} {folder.path} --resume."
            ) from error
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
        return resumed(plan, values)
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
        The model or the image cannot be used, they do not fit together, or the disk is full. A `GapsError` says that
        parts of the image could not be decoded, and that the rest was written.
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
    on_failure: OnFailure | None = None,
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
    on_failure
        Called with an image that cannot be scored and what is wrong with it, and the others go on; None: the first one
        ends it.
    values
        Prediction settings; those of a `Predictor` are its own.

    Raises
    ------
    AttnSegError
        The model or the data cannot be used, or they do not fit together.
    """
    predictor = predictor_of(model, make(PredictionSettings, values))
    pairs = _annotated(source, mask_suffix or predictor.data.mask_suffix)
    if convention is None:
        survey = survey_pairs(pairs, on_failure)
        pairs = tuple(pair for pair in pairs if pair.mask in survey)
        convention = evaluation_convention(predictor.card, pairs, _place(source), survey)

    def on_progress(pair: Pair, number: int, share: float) -> None:
        on_event(Progress((number + share) / len(pairs), pair.name))

    scored = score_pairs(predictor, pairs, convention, on_progress, should_stop, on_failure)
    on_event(Progress(1.0, ""))
    return Evaluation(scored, predictor.convention.class_names)


def predictor_of(model: Model, settings: PredictionSettings) -> Predictor:
    """Return the model, loaded."""
    if isinstance(model, Predictor):
        return model
    return Predictor(model.folder.best if isinstance(model, TrainingResult) else model_path(model), settings)


def _place(source: Source | Sequence[Pair]) -> Path | None:
    """Return where the images come from, if that is known."""
    if isinstance(source, PairListing):
        return source.source
    return Path(source) if isinstance(source, str | Path) else None


def _annotated(source: Source | Sequence[Pair], mask_suffix: str) -> tuple[Pair, ...]:
    if isinstance(source, PairListing):
        return require_annotated(source)
    if isinstance(source, str | Path):
        return require_annotated(find_pairs(Path(source), mask_suffix))
    return tuple(pair for pair in source if pair.mask)
