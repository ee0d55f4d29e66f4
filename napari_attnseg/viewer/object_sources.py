"""What objects of the shown image can be made of: its mask, or a prediction of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image, Labels

from napari_attnseg.viewer.layer_roles import image_of, role_of

if TYPE_CHECKING:
    from napari_attnseg.viewer.session import Session

Kind = Literal["mask", "prediction"]
Array = np.ndarray[Any, Any]


def shown_image(session: Session) -> Path | None:
    """Return the image that is worked on."""
    mask = session.mask
    return mask.editing.document.image if mask is not None else session.shown


def sources_of(session: Session, image: Path | None) -> list[Kind]:
    """Return what there is to make objects of, a prediction first: whoever predicts wants to count that."""
    found: list[Kind] = []
    if image is None:
        return found
    if prediction_layer(session, image) is not None:
        found.append("prediction")
    mask = session.mask
    if mask is not None and mask.editing.document.image == image:
        found.append("mask")
    return found


def prediction_layer(session: Session, image: Path) -> Labels | None:
    """Return the layer of an image's prediction."""
    layers = [layer for layer in session.viewer.layers if image_of(layer) == image and role_of(layer) == "prediction"]
    return next((layer for layer in layers if isinstance(layer, Labels)), None)


def labels_of(session: Session, image: Path, kind: Kind) -> Array | None:
    """Return a copy of a mask or a prediction, (stack axes..., y, x); None if it is gone."""
    if kind == "prediction":
        layer = prediction_layer(session, image)
        return None if layer is None else np.array(layer.data)
    mask = session.mask
    if mask is None:
        return None
    mask.sync()
    return np.array(mask.editing.labels)


def probability_of(session: Session, image: Path) -> Array | None:
    """Return a copy of the probability (stack axes..., y, x) that a prediction came from, if it has one class."""
    found = [
        layer
        for layer in session.viewer.layers
        if isinstance(layer, Image) and image_of(layer) == image and role_of(layer) == "probability"
    ]
    return np.array(found[0].data, np.float32) if len(found) == 1 else None
