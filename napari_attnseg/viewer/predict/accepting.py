"""Taking a prediction over into the mask, all of it or the object that is clicked with Shift; each is one undo step."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.corrections.accept import (
    Offer,
    Planes,
    accept_all,
    accept_object,
    accept_region,
    accept_where_empty,
    class_mapping,
    classes_kept,
)
from napari_attnseg.viewer.layers.clicks import is_click
from napari_attnseg.viewer.layers.mask_layer import NO_PLANE, MaskLayer
from napari_attnseg.viewer.predict.accepting_part import How, accept_part
from napari_attnseg.viewer.predict.large.prediction import AnyPrediction, LargePrediction
from napari_attnseg.viewer.predict.predicted_image import PredictedImage

if TYPE_CHECKING:
    from napari_attnseg.viewer.predict.proposals import Proposals
    from napari_attnseg.viewer.session.session import Session

PREVIEW = "This is a preview by the model that is being trained; press 'Predict' for the model in use."
_NOTHING = {
    "all": "The mask is what was predicted already.",
    "empty": "Nothing was predicted where the mask is empty.",
    "object": "There is no predicted object here that the mask lacks.",
    "region": "The mask is what was predicted here already.",
}


class Accepting(QObject):
    """Carries out what the user accepts of the prediction that is shown."""

    accepted = Signal()

    def __init__(self, session: Session, proposals: Proposals) -> None:
        super().__init__(session)
        self._session = session
        self._proposals = proposals
        session.viewer.mouse_drag_callbacks.append(self._on_press)

    def accept(self, how: How, at: tuple[int, int] | None = None) -> bool:
        """Take over all, what lies where the mask is empty, or the object or area at (row, column).

        Returns whether the mask is as predicted now, even if nothing had to be changed. Nothing is taken over of a
        model with classes that the folder lacks: its numbers mean other classes here.
        """
        found, mask = self._proposals.current, self._session.mask
        if found is None or mask is None or mask.editing.document.image != found.image:
            show_info("There is no prediction of this image to accept; press 'Predict' first.")
            return False
        if found.is_preview and self._session.learning.training.models.in_use is not None:
            show_info(PREVIEW)
            return False
        problem = self._proposals.fit_classes() or ("" if _is_seen(how, found, mask) else NO_PLANE)
        if problem:
            show_info(problem)
            return False
        mask.sync()
        if isinstance(found, LargePrediction):
            return self._accept_part(found, mask, how, at)
        if mask.apply(_planes(how, _offer(found, mask, self._n_classes()), found, mask, at)):
            self.accepted.emit()
        elif how != "all":
            show_info(_NOTHING[how])
        return True

    def _accept_part(self, found: LargePrediction, mask: MaskLayer, how: How, at: tuple[int, int] | None) -> bool:
        answer = accept_part(self._session.viewer, found, mask, self._n_classes(), how, at)
        if answer is True:
            self.accepted.emit()
        elif isinstance(answer, str) or how != "all":
            show_info(answer if isinstance(answer, str) else _NOTHING[how])
        return not isinstance(answer, str)

    def accept_under_cursor(self) -> None:
        """Make the connected area under the mouse what was predicted: what is painted there too much goes."""
        mask = self._session.mask
        if mask is not None:
            self.accept("region", mask.pixel_at(self._session.viewer.cursor.position))

    def _n_classes(self) -> int:
        folder = self._session.folder
        return len(folder.classes) if folder is not None else 2

    def _on_press(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Accept the object that is clicked with Shift; the tool rests meanwhile, so that nothing is painted."""
        found, mask = self._proposals.current, self._session.mask
        if found is None or mask is None or event.button != 1 or [key.name for key in event.modifiers] != ["Shift"]:
            return
        place, tool = event.position, mask.layer.mode
        mask.layer.mode = "pan_zoom"
        try:
            clicked = yield from is_click(event)
        finally:
            mask.layer.mode = tool
        if clicked:
            self.accept("object", mask.pixel_at(place))


def _is_seen(how: How, found: AnyPrediction, mask: MaskLayer) -> bool:
    """Whether it is known which plane is meant, where not all planes are."""
    return mask.shows_plane or (how in ("all", "empty") and isinstance(found, PredictedImage) and _is_whole(found))


def _is_whole(found: PredictedImage) -> bool:
    return len(found.planes) == int(np.prod(found.stack_shape, initial=1))


def _offer(found: PredictedImage, mask: MaskLayer, n_classes: int) -> Offer:
    document = mask.editing.document
    mapping = {int(number): int(number) for number in np.unique(found.class_ids[: max(len(found.class_names), 2)])}
    return Offer(
        mask.editing.labels,
        found.labels,
        plane=None if _is_whole(found) else mask.plane(),
        counts_objects=document.counts_objects,
        through_planes="Z" in document.info.stack_axes,
        kept=classes_kept(mapping, n_classes),
    )


def _planes(how: How, offer: Offer, found: PredictedImage, mask: MaskLayer, at: tuple[int, int] | None) -> Planes:
    if how == "all":
        return accept_all(offer)
    if how == "empty":
        return accept_where_empty(offer)
    here = Offer(offer.labels, found.labels, mask.plane(), offer.counts_objects, offer.through_planes, offer.kept)
    position = at if at is not None else (-1, -1)
    return accept_object(here, position) if how == "object" else accept_region(here, position)


def folder_classes(model_names: tuple[str, ...], folder_names: tuple[str, ...]) -> np.ndarray[Any, Any] | None:
    """Return the folder's class id for each of a model's, (256,) uint8; None if the folder lacks one of its classes."""
    mapping = class_mapping(model_names, folder_names)
    if mapping is None:
        return None
    ids = np.zeros(256, np.uint8)
    for own, other in mapping.items():
        ids[own] = other
    return ids
