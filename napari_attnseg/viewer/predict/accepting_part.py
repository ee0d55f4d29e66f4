"""Taking over what is in view of a prediction that is in files: of a large image no more is read and changed."""

from __future__ import annotations

from typing import Literal

import numpy as np
from napari import Viewer

from napari_attnseg.annotation.corrections.accept import (
    Offer,
    accept_all,
    accept_object,
    accept_region,
    accept_where_empty,
    classes_kept,
)
from napari_attnseg.viewer.layers.mask_layer import MaskLayer
from napari_attnseg.viewer.layers.open_masks import part_on_canvas
from napari_attnseg.viewer.predict.large.prediction import LargePrediction

How = Literal["all", "empty", "object", "region"]
TOO_FAR = "Zoom in until the mask can be painted: of an image of this size what is in view is accepted."
NOT_YET = "What is in view is not predicted yet; what is predicted can be accepted already."


def accept_part(
    viewer: Viewer, found: LargePrediction, mask: MaskLayer, n_classes: int, how: How, at: tuple[int, int] | None
) -> bool | str:
    """Make a part of a mask what was predicted, as one undo step; return whether that changed it, or why it cannot.

    With 'all' and 'empty' it is what the canvas shows, with 'object' and 'region' the connected area at (row, column)
    as far as it lies in the part of the mask that can be painted just now.
    """
    window = mask.window
    if window is None or window.step != 1:
        return TOO_FAR
    part = (window.y, window.x, window.y + window.height, window.x + window.width)
    if how in ("all", "empty"):
        top, left, bottom, right = part_on_canvas(viewer, mask)
        part = (
            max(part[0], int(np.floor(top))),
            max(part[1], int(np.floor(left))),
            min(part[2], int(np.ceil(bottom)) + 1),
            min(part[3], int(np.ceil(right)) + 1),
        )
    rows, columns = slice(part[0], part[2]), slice(part[1], part[3])
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return "The image is not in view."
    plane = mask.plane()
    predicted, known = found.region(plane, rows, columns)
    if not known.any():
        return NOT_YET
    offer = _offer(found, mask, n_classes, (*plane, rows, columns), predicted)
    position = (at[0] - rows.start, at[1] - columns.start) if at is not None else (-1, -1)
    new = {
        "all": lambda: accept_all(offer),
        "empty": lambda: accept_where_empty(offer),
        "object": lambda: accept_object(offer, position),
        "region": lambda: accept_region(offer, position),
    }[how]().get(())
    if new is None:
        return False
    box = (*(slice(index, index + 1) for index in plane), rows, columns)
    return mask.apply_part(box, np.where(known, new, offer.labels))


def _offer(
    found: LargePrediction, mask: MaskLayer, n_classes: int, place: tuple[int | slice, ...], predicted: np.ndarray
) -> Offer:
    labels = mask.editing.labels
    numbers = found.class_ids[: max(len(found.class_names), 2)]
    return Offer(
        labels[place],
        predicted,
        counts_objects=mask.editing.document.counts_objects,
        kept=classes_kept({int(number): int(number) for number in np.unique(numbers)}, n_classes),
        whole=labels,
    )
