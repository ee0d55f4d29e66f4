"""Rows of tiles that a prediction which was broken off has left: whether they are of use, and what becomes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_attnseg.data.pairs import ATTENTION, PROBABILITY
from napari_attnseg.errors import SaveError
from napari_attnseg.prediction.claim import prediction_claimed
from napari_attnseg.prediction.in_place import origin_of
from napari_attnseg.prediction.kept import kinds_of
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.working_store import Progress, read_progress, remove, store_folder
from napari_attnseg.settings import PredictionSettings

if TYPE_CHECKING:
    from napari_attnseg.prediction.predictor import Predictor

_NOT_IN_KEY = {"device", "batch_size", "tile_by_tile", "format", "probability", "attention"}
_OPTIONS = {PROBABILITY: "--probability", ATTENTION: "--attention"}


def key_of(predictor: Predictor, origin: Origin) -> str:
    """Tell a prediction from those with another model, other settings or another image."""
    settings = predictor.settings.model_dump_json(exclude=_NOT_IN_KEY)
    number_type = str(predictor.compute.dtype)
    described = (origin.digest, settings, predictor.data.model_dump_json(), number_type, origin.image, *origin.state)
    return hashlib.sha256(repr(described).encode()).hexdigest()


def goes_on(predictor: Predictor, origin: Origin, progress: Progress | None) -> bool:
    """Whether rows are of the same prediction, and have all parts that are asked for; they may have more."""
    if progress is None or progress.key != key_of(predictor, origin):
        return False
    return kinds_of(predictor.card, predictor.settings) <= set(progress.kinds)


def asking_for(settings: PredictionSettings, kinds: tuple[str, ...]) -> PredictionSettings:
    """Return settings that ask for some parts, such as those that rows have."""
    return settings.model_copy(update={"probability": PROBABILITY in kinds, "attention": ATTENTION in kinds})


def has_begun(predictor: Predictor, path: Path, folder: Path, digest: str = "") -> bool:
    """Whether a prediction of this image with this model and these settings was broken off and can go on.

    Raises
    ------
    DataError, ModelFileError
        The image or the model cannot be read any more.
    """
    progress = read_progress(store_folder(path, folder))
    if progress is None:
        return False
    return goes_on(predictor, Origin.of(predictor.path, path, predictor.settings, digest), progress)


def discard_begun(path: Path, folder: Path) -> None:
    """Remove what is left of a prediction that was broken off, unless another process goes on with it."""
    if store_folder(path, folder).exists():
        with suppress(SaveError, OSError), prediction_claimed(path, folder):
            remove(store_folder(path, folder))


def tell_of_lost_rows(
    predictor: Predictor, path: Path, folder: Path, origin: Origin, on_notice: Callable[[str], None]
) -> None:
    """Say which finished rows are going to be removed because they are of another prediction, if there are any."""
    store = store_folder(path, folder)
    progress = read_progress(store)
    if progress is None or not progress.rows_done:
        return
    on_notice(
        f"{progress.rows_done} of {progress.rows} rows of tiles of {path.name} that were predicted before are removed, "
        f"and it begins anew: {_difference(predictor, origin, origin_of(store, progress.kinds), progress)}."
    )


def _difference(predictor: Predictor, origin: Origin, begun: Origin | None, progress: Progress) -> str:
    """Say in what rows differ from what is asked for."""
    if begun is None:
        return "what they were made of is not known"
    if (begun.image, begun.state) != (origin.image, origin.state):
        return "the image was changed since"
    if begun.digest != origin.digest:
        return f"they are of another model ({begun.model})"
    was, now = begun.settings | begun.computing, origin.settings | origin.computing
    other = [
        f"{name.replace('_', ' ')} {_in_words(was.get(name))} in place of {_in_words(value)}"
        for name, value in now.items()
        if was.get(name) != value
    ]
    if other:
        return f"they were made with other settings ({', '.join(other)})"
    lacking = [_OPTIONS[kind] for kind in sorted(kinds_of(predictor.card, predictor.settings) - set(progress.kinds))]
    if lacking:
        return f"they were made without {' and '.join(lacking)}"
    return "they were made with another type of numbers, or are damaged"


def _in_words(value: object) -> str:
    return "unset" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
