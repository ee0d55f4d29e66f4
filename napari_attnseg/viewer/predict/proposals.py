"""The prediction that a session shows: over which image, by which threshold, and with which layers.

A prediction is a proposal: it lies in layers of its own, and becomes part of the mask only by being accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_attnseg.annotation.corrections.accept import mapping_problem
from napari_attnseg.viewer.predict.accepting import folder_classes
from napari_attnseg.viewer.predict.large.prediction import AnyPrediction
from napari_attnseg.viewer.predict.layers import Look, PredictionLayers
from napari_attnseg.viewer.predict.predicted_image import Deciding, Plane, PredictedImage
from napari_attnseg.viewer.predict.predicting import Predicting, Target
from napari_attnseg.viewer.widgets.layer_choice import ShownLayers
from napari_attnseg.viewer.widgets.threshold_controls import OverlayOptions

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

SETTLE = 250  # milliseconds after the last change of the threshold, until the planes that are not seen follow


class Proposals(QObject):
    """Shows predictions of the image that is worked on, and hides those of others."""

    changed = Signal()
    """Another prediction is shown, or none."""
    problem = Signal(str)
    """Why a prediction cannot be accepted here, a sentence; '' if it can."""

    def __init__(self, session: Session, predicting: Predicting) -> None:
        super().__init__(session)
        self._session = session
        self.options = OverlayOptions(contours=True, opacity=0.8)
        self.shown = ShownLayers()
        self._layers = PredictionLayers(session.viewer)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.timeout.connect(self._decide_rest)
        self._asked_for: AnyPrediction | None = None
        """What was shown last that is no preview; none takes its place before another training begins."""
        predicting.predicted.connect(self.show)
        session.shown_changed.connect(self._on_image)
        session.viewer.layers.selection.events.active.connect(lambda _: self._on_image())
        session.closing.connect(self._settle.stop)

    @property
    def current(self) -> AnyPrediction | None:
        """The prediction that is shown."""
        return self._layers.shown

    def target(self) -> Target | None:
        """Return what a prediction would be of: the image that is worked on, and the plane of it that is shown."""
        mask = self._session.mask
        if mask is not None:
            document = mask.editing.document
            return Target(document.image, document.info.stack_shape, mask.plane())
        image = self._session.shown
        layer = self._session.display.shown.images[0] if self._session.display.shown is not None else None
        if image is None or layer is None:
            return None
        stack = tuple(int(length) for length in layer.data.shape[: layer.ndim - 2]) if not layer.multiscale else ()
        point = layer.world_to_data(self._session.viewer.dims.point[-layer.ndim :])
        return Target(image, stack, tuple(round(float(point[axis])) for axis in range(len(stack))))

    def set_options(self, options: OverlayOptions) -> None:
        """Change threshold, tidying and how the prediction is drawn; the plane that is shown follows at once."""
        before, self.options = self.options, options
        found = self.current
        if found is None:
            return
        same = ("threshold", "min_size", "fill_holes")
        if any(getattr(before, name) != getattr(options, name) for name in same):
            self._decide(found, [self._plane(found)])
            self._layers.refresh()
            if found.stack_shape:
                self._settle.start(SETTLE)
        self._layers.look(self._look())

    def set_shown(self, shown: ShownLayers) -> None:
        """Choose the layers that are seen."""
        more, self.shown = shown.uncertainty and not self.shown.uncertainty, shown
        found = self.current
        if found is not None and more:
            self._show(found)
        elif found is not None:
            self._layers.look(self._look())

    def show(self, found: AnyPrediction) -> None:
        """Show a prediction if its image is the one that is worked on."""
        target = self.target()
        if target is None or not _is_of(found, target):
            return
        if not found.is_preview:
            self._asked_for = found
        elif self.current is not None and self.current is self._asked_for:
            return
        self._to_folder(found)
        self._decide(found, list(found.planes))
        self._show(found)
        self.changed.emit()

    def let_previews_in(self) -> None:
        """Let previews of a training that begins take the place of what was predicted before."""
        self._asked_for = None

    def fit_classes(self) -> str:
        """Say what is shown in the folder's classes as they are now; return why it cannot be accepted, '' if it can."""
        found = self.current
        if found is None:
            return ""
        before = found.class_ids
        problem = self._to_folder(found)
        if self._settle.isActive() or not np.array_equal(found.class_ids, before):
            self._settle.stop()
            self._decide(found, list(found.planes))
            self._layers.refresh()
        return problem

    def grow(self, found: AnyPrediction) -> None:
        """Draw a prediction anew that has grown; show it if it is not shown yet."""
        if self.current is found:
            self._layers.grow()
        else:
            self.show(found)

    def clear(self) -> None:
        """Show no prediction."""
        if self.current is not None:
            target = self.target()
            self._layers.clear(target.image if target is not None else None)
            self.changed.emit()

    def _to_folder(self, found: AnyPrediction) -> str:
        """Give a prediction the folder's class ids, if the folder has its classes; tell and return why not."""
        folder = self._session.folder
        names = folder.classes.names if folder is not None else found.class_names
        ids = folder_classes(found.class_names, names)
        if ids is not None:
            found.class_ids = ids
        problem = mapping_problem(found.class_names, names) or ""
        self.problem.emit(problem)
        return problem

    def _show(self, found: AnyPrediction) -> None:
        folder = self._session.folder
        if folder is not None:
            self._layers.show(found, self._look(), folder.classes)

    def _look(self) -> Look:
        shown, options, found = self.shown, self.options, self.current
        # a model of several classes offers the background's probability too
        return Look(
            prediction=shown.prediction,
            probability=shown.probability_class if shown.probability else None,
            attention=shown.level if shown.attention and found is not None else None,
            uncertainty=shown.uncertainty,
            contours=options.contours,
            opacity=options.opacity,
        )

    def _plane(self, found: AnyPrediction) -> Plane:
        target = self.target()
        return target.plane if target is not None and target.image == found.image else ()

    def _decide(self, found: AnyPrediction, planes: list[Plane]) -> None:
        found.decide(planes, **self._deciding())

    def _deciding(self) -> Deciding:
        options = self.options
        return {"threshold": options.threshold, "min_size": options.min_size, "fill_holes": options.fill_holes}

    def _decide_rest(self) -> None:
        """Let the planes that are not seen follow: one after the other, between which the window can be used."""
        found = self.current
        if isinstance(found, PredictedImage):
            left = found.undecided(**self._deciding())
            self._decide(found, left[:1])
            if len(left) > 1:
                self._settle.start(0)
                return
        if found is not None:
            self._layers.refresh()

    def _on_image(self) -> None:
        target = self.target()
        if self.current is not None and (target is None or not _is_of(self.current, target)):
            self.clear()


def _is_of(found: AnyPrediction, target: Target) -> bool:
    """Whether a prediction is of an image, and of its planes as the image's axes are read now."""
    return found.image == target.image and (
        not isinstance(found, PredictedImage) or found.stack_shape == target.stack_shape
    )
