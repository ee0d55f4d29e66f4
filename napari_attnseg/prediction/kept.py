"""Predictions that are there already, made by the same model of the same image in the same way: they can be kept.

What was made of what is noted in the files themselves; see `origin`. PyTorch is not needed to look at them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from napari_attnseg.data.pairs import ATTENTION, PREDICTION, PROBABILITY
from napari_attnseg.errors import DataError
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.prediction.from_card import gate_names
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.targets import is_ours, target_of
from napari_attnseg.prediction.working_store import KINDS
from napari_attnseg.settings import PredictionSettings


def kinds_of(card: ModelCard, settings: PredictionSettings) -> set[str]:
    """Return what is written of each image, by the suffixes of the names."""
    is_wanted = {
        PREDICTION: True,
        PROBABILITY: settings.probability,
        ATTENTION: settings.attention and bool(gate_names(card)),
    }
    return {kind for kind in KINDS if is_wanted[kind]}


def predicted_before(
    model: Path,
    card: ModelCard,
    settings: PredictionSettings,
    outputs: Mapping[Path, Path],
    digest: str,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[Path, Origin]:
    """Return the images of which all that is asked for is there, with what it was made of.

    Parameters
    ----------
    outputs
        Of each image, where its prediction goes.
    digest
        Of the model, see `Origin.of`.
    should_stop
        Asked before each image; what is known by then is returned.
    """
    wanted = kinds_of(card, settings)
    found = {}
    for image, path in outputs.items():
        if should_stop():
            break
        try:
            origin = Origin.of(model, image, settings, digest)
        except DataError:  # which is said when its turn comes
            continue
        made = _made_of(image, path.parent, origin, wanted, as_tiff=settings.format == "tiff")
        if made is not None:
            found[image] = made
    return found


def _made_of(image: Path, folder: Path, origin: Origin, wanted: set[str], *, as_tiff: bool) -> Origin | None:
    """Return what the parts of a prediction say, if all that are wanted are there and none is another one's."""
    found = None
    for kind in KINDS:
        place = target_of(image, kind, folder, as_tiff=as_tiff)
        made = Origin.read(place)
        if made == origin:
            found = found or made
        elif kind in wanted or is_ours(place):
            return None
    return found
