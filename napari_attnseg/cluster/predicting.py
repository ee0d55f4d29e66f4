"""Many images predicted by the workers of a cluster, each written by the worker that predicted it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from distributed import Client

from napari_attnseg.cluster.progress import ClusterProgress
from napari_attnseg.cluster.sharing import failure_of, team
from napari_attnseg.cluster.warm_model import warm_model
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError, GapsError, InUseError, Stopped
from napari_attnseg.events import EventHandler, Notice, Started
from napari_attnseg.models.model_card import load_card
from napari_attnseg.models.presets import PRESETS
from napari_attnseg.prediction.outcome import Outcome
from napari_attnseg.prediction.to_files import predict_to_files
from napari_attnseg.settings import PredictionSettings
from napari_attnseg.wording import counted

_SECONDS_IN_USE = 180.0  # a network's file system keeps the locks of a machine that crashed for half of that, mostly
_SECONDS_BETWEEN_TRIES = 0.5


def predict_images(
    client: Client,
    model: Path,
    settings: PredictionSettings,
    outputs: Mapping[Path, Path],
    on_event: EventHandler,
    should_stop: Callable[[], bool],
    outcome: Outcome | None = None,
    digest: str = "",
) -> Outcome:
    """Predict images on a cluster; each output is written at once, also where a lost worker's image is done again.

    Parameters
    ----------
    outputs
        Where the prediction of each image goes; the folders are there.
    should_stop
        Asked several times a second; True cancels what has not begun and ends.
    outcome
        What is done already, and counts as done in the progress.
    digest
        Of the model, see `Origin.of`.

    Returns
    -------
    How many were written, and what was wrong with those that are not there, or not whole.

    Raises
    ------
    ClusterError, ModelFileError, SettingsError, SaveError
        The workers cannot do it; what was written stays.
    """
    card = load_card(model)
    images = list(outputs)
    folders = {path.parent for path in (*images, *outputs.values())}
    outcome, grey = outcome or Outcome(), 0
    count = outcome.asked + len(images)
    progress = ClusterProgress(outputs, outcome.asked, on_event)
    try:
        with team(client, model, settings, sorted(folders), on_event, should_stop, digest) as workers:
            what = f"Predict {counted(count, 'image')} with {model.name} on a cluster"
            on_event(Started(what, workers.device))
            if settings.attention and not PRESETS[card.model.name].gates:
                on_event(Notice(f"{model.name} is a {card.model.name}, which has no attention gates."))
            tasks = [(str(image.absolute()), str(outputs[image].parent.absolute()), digest) for image in images]
            for one in workers.each(_predict_one, tasks, on_event, should_stop, progress.look):
                image = images[one.number]
                channels, sentence, notices = one.value or (
                    0,
                    f"{image.name} could not be predicted: {one.failure}",
                    [],
                )
                for text in notices:
                    on_event(Notice(text))
                if channels:
                    outcome.written += 1
                    grey += channels == 1
                if sentence:
                    (outcome.gaps if channels else outcome.failed).append(sentence)
                    on_event(Notice(sentence))
                progress.one_more(image)
    except Stopped:
        pass
    if grey and (settings.channels if settings.channels != "as-is" else card.data.channels) == "rgb":
        on_event(Notice(f"{counted(grey, 'grey image')} went into the network as RGB with three equal channels."))
    return outcome


def _predict_one(name: str, image: str, folder: str, digest: str) -> tuple[int, str, list[str]]:
    """Predict and write an image on a worker.

    Returns
    -------
    Its channels, 0 if it could not be predicted; what is wrong with it; and what else is to be told.
    """
    model, path = warm_model(name), Path(image)
    notices: list[str] = []
    end = time.monotonic() + _SECONDS_IN_USE
    while True:
        try:
            with model.in_use() as predictor:
                info = read_info(path, predictor.data.axes)
                predict_to_files(
                    predictor,
                    path,
                    Path(folder),
                    should_stop=model.is_over,
                    on_notice=notices.append,
                    digest=digest,
                )
            return info.channels, "", notices
        except GapsError as error:
            return info.channels, str(error), notices
        except InUseError as error:  # by the worker that had it before, which may still be at its last tiles
            if model.is_over() or time.monotonic() > end:
                return 0, str(error), notices
        except (DataError, MemoryError) as error:
            return 0, failure_of(path, error), notices
        time.sleep(_SECONDS_BETWEEN_TRIES)
