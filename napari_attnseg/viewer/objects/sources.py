"""What objects of the shown image can be made of: its mask, or a prediction of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image, Labels

from napari_attnseg.objects.room import require_memory
from napari_attnseg.settings import ObjectSettings
from napari_attnseg.viewer.layers.roles import image_of, role_of
from napari_attnseg.viewer.objects.work import Asked, Pixels, State

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

Kind = Literal["mask", "prediction"]
Array = np.ndarray[Any, Any]


def shown_image(session: Session) -> Path | None:
    """Return the image that is worked on."""
    mask = session.mask
    return mask.editing.document.image if mask is not None else session.shown


def pixels_of(session: Session) -> tuple[str, float | None, float | None, bool]:
    """Return the unit of the image that is worked on, a pixel's area and volume, and whether it has planes in depth."""
    mask, shown = session.mask, session.display.shown
    if mask is not None:
        from napari_attnseg.objects.geometry import Geometry

        geometry = Geometry.of(mask.editing.document.info)
        unit = geometry.unit if geometry.is_calibrated else ""
        return unit, geometry.pixel_measure(False), geometry.pixel_measure(True), geometry.makes_volumes("z")
    layer = shown.images[0] if shown is not None and shown.images else None
    deep = layer is not None and not layer.multiscale and "z" in map(str, layer.axis_labels[:-2])
    return "", None, None, deep


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


def labels_of(session: Session, image: Path, kind: Kind) -> Pixels | None:
    """Return a mask or a prediction, (stack axes..., y, x), which goes on changing; None if it is gone."""
    if kind == "prediction":
        session.learning.proposals.fit_classes()  # all planes by the threshold as it is now
        layer = prediction_layer(session, image)
        return None if layer is None else _finest(layer)
    mask = session.mask
    if mask is None:
        return None
    mask.sync()
    return mask.editing.labels


def probability_of(session: Session, image: Path) -> Pixels | None:
    """Return the probability (stack axes..., y, x) that a prediction came from, if it has one class."""
    found = [
        layer
        for layer in session.viewer.layers
        if isinstance(layer, Image) and image_of(layer) == image and role_of(layer) == "probability"
    ]
    return _finest(found[0]) if len(found) == 1 else None


def _finest(layer: Labels | Image) -> Pixels:
    """Return the pixels of a layer at full resolution; those of a large prediction are in files."""
    pixels: Pixels = layer.data[0] if layer.multiscale else layer.data
    return pixels


def is_numbered(session: Session, kind: Kind | None) -> bool:
    """Whether the mask numbers its objects already."""
    mask = session.mask
    return kind == "mask" and mask is not None and mask.editing.document.counts_objects


def asked_of(
    session: Session,
    image: Path,
    kind: Kind,
    labels: Pixels,
    settings: ObjectSettings,
    known: Array | None,
    state: State,
) -> Asked:
    """Return all that is needed to find and measure objects in a thread.

    What is in memory is copied, so that painting can go on; what is in files is read in the thread.

    Parameters
    ----------
    labels
        The mask, the prediction, or the layer of objects.
    known
        The class of each number of the layer of objects, if that was measured before.
    state
        Of `labels`.

    Raises
    ------
    DataError
        There is not even memory for the copies.
    """
    mask, folder = session.mask, session.folder
    own = mask is not None and mask.editing.document.image == image
    numbered = None
    if state.from_layer or is_numbered(session, kind):
        numbered = known if known is not None else np.zeros(0, np.uint8)
    probability = probability_of(session, image) if kind == "prediction" and settings.split else None
    copies = [one for one in (labels, probability) if isinstance(one, np.ndarray)]
    require_memory(sum(one.nbytes for one in copies), f"Copying the labels of {image.name}")
    return Asked(
        image,
        folder.choices.axes if folder is not None else None,
        mask.editing.document.info if mask is not None and own else None,
        _unchanging(labels),
        numbered,
        None if probability is None else _unchanging(probability),
        folder.classes.names if folder is not None else ("background", "object"),
        settings,
        state,
    )


def _unchanging(pixels: Pixels) -> Pixels:
    return np.array(pixels) if isinstance(pixels, np.ndarray) else pixels
