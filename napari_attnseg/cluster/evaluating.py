"""Annotated images scored by the workers of a cluster, whose confusion matrices are gathered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from distributed import Client

from napari_attnseg.cluster.sharing import team
from napari_attnseg.cluster.warm_model import warm_model
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.pairs import Pair
from napari_attnseg.errors import DataError
from napari_attnseg.events import EventHandler, Progress
from napari_attnseg.models.model_card import load_card
from napari_attnseg.settings import PredictionSettings
from napari_attnseg.training.evaluation import Evaluation, ImageScore
from napari_attnseg.training.scoring import OnFailure, require_scored, score_pair


def evaluate_images(
    client: Client,
    model: Path,
    settings: PredictionSettings,
    pairs: Sequence[Pair],
    convention: MaskConvention,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
    on_failure: OnFailure | None = None,
) -> Evaluation:
    """Predict annotated images on a cluster and compare with their masks; see `engine.evaluate`.

    Raises
    ------
    AttnSegError
        The workers cannot do it, or an image or a mask cannot be used.
    Stopped
        `should_stop` returned True.
    """
    found: dict[int, ImageScore] = {}
    failed: list[DataError] = []
    folders = sorted({pair.image.parent for pair in pairs})
    with team(client, model, settings, folders, on_event, should_stop) as workers:
        tasks = [(pair, convention) for pair in _with_whole_paths(pairs)]
        for done, outcome in enumerate(workers.each(_score_one, tasks, on_event, should_stop), start=1):
            pair = pairs[outcome.number]
            score, sentence = outcome.value or (None, f"{pair.name} could not be predicted: {outcome.failure}")
            if score is not None:
                found[outcome.number] = score
            else:
                failed.append(DataError(sentence))
                if on_failure is None:
                    raise failed[0]
                on_failure(pair, failed[-1])
            on_event(Progress(done / len(pairs), f"{done} of {len(pairs)}, {pair.name}"))
    require_scored(len(found), failed)
    return Evaluation(tuple(found[number] for number in sorted(found)), load_card(model).class_names)


def _score_one(name: str, pair: Pair, convention: MaskConvention) -> tuple[ImageScore | None, str]:
    """Score an image on a worker; return the score, or why there is none."""
    model = warm_model(name)
    try:
        with model.in_use() as predictor:
            return score_pair(predictor, pair, convention, model.is_over), ""
    except DataError as error:
        return None, str(error)


def _with_whole_paths(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs as workers find them, which were started in other folders."""
    return [Pair(pair.image.absolute(), pair.mask.absolute() if pair.mask else None) for pair in pairs]
