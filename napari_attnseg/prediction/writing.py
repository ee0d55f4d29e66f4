"""A prediction that was made in memory written as TIFF files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_attnseg.data.masks import write_mask
from napari_attnseg.data.pairs import ATTENTION, PREDICTION, PROBABILITY, output_path
from napari_attnseg.data.write import write_image
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.prediction.from_card import convention_of, gate_names, probability_names
from napari_attnseg.prediction.targets import remove_others

if TYPE_CHECKING:
    from napari_attnseg.prediction.predictor import Prediction


def write_prediction(card: ModelCard, prediction: Prediction, folder: Path, note: str = "") -> list[Path]:
    """Write NAME_PRED.tiff and, where present, NAME_PROB.tiff and NAME_ATTN.tiff; return their paths.

    What there is of an earlier prediction of the image beside them is removed.

    Parameters
    ----------
    card
        Of the model that it is by.
    note
        What it was made of, as `Origin.as_text` says it; '' if that is not known.

    Raises
    ------
    SaveError
        A file cannot be written; older ones of that name are unchanged.
    """
    info = prediction.info
    written = [output_path(info.path, PREDICTION, folder)]
    write_mask(written[0], prediction.labels, convention_of(card), like=info, note=note)
    channels = {
        PROBABILITY: (prediction.probability, probability_names(card)),
        ATTENTION: (prediction.attention, gate_names(card)),
    }
    for kind, (values, names) in channels.items():
        if values is not None and values.shape[1] > 0:
            path = output_path(info.path, kind, folder)
            shaped = values.reshape((*info.stack_shape, *values.shape[1:]))
            write_image(path, shaped, f"{info.stack_axes}CYX", like=info, channel_names=names, note=note)
            written.append(path)
    remove_others(info.path, folder, written, as_tiff=True)
    return written
