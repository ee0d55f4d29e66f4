"""Predictions for a session: asks the warm child, and keeps what it said.

A result that nobody waits for any more, because another image or model was chosen, is dropped without a word.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import QObject, Signal

from napari_attnseg.data.tiff import read_info
from napari_attnseg.models.model_card import ModelCard, load_card
from napari_attnseg.viewer.failures import failure_text
from napari_attnseg.viewer.predict.predicted_image import Plane, PredictedImage
from napari_attnseg.warm import (
    Described,
    Predicted,
    PredictionCancelled,
    PredictionFailed,
    PredictRequest,
    Reply,
    WarmPredictor,
)
from napari_attnseg.warm import (
    Predicting as Progress,
)

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

KEPT = 512 << 20  # bytes of predictions that are kept for leafing back


_Key = tuple[Path, Path, float, float, str | None]
"""An image, the model, when the image and the model were written, and the axes that the image was read with."""
Purpose = Literal["show", "ahead", "preview", "measure"]
"""To be shown at once; kept for when the image is shown; shown with less haste; only how unsure the model is."""


@dataclass(frozen=True)
class Target:
    """What is predicted: an image, and the plane of it that is shown."""

    image: Path
    stack_shape: Plane
    plane: Plane


@dataclass(frozen=True)
class _Asked:
    target: Target
    card: ModelCard
    purpose: Purpose
    written: float
    """When the image was written, as far as it was known when the prediction was asked for."""


class Predicting(QObject):
    """The one warm child of a viewer, and what came of it."""

    predicted = Signal(object)
    """A PredictedImage has (more) planes."""
    progressed = Signal(float, object)
    """Share that is done, and seconds left or None."""
    ended = Signal(str)
    """A prediction that was asked for is over: '', or why there is none."""
    described = Signal(object)
    measured = Signal(object, object, object)
    """An image, the model, and how unsure it is of the image, 0 to 1, or None if that cannot be found out."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._child: WarmPredictor | None = None
        self._asked: dict[int, _Asked] = {}
        self._kept: OrderedDict[_Key, PredictedImage] = OrderedDict()
        self._previews = 0  # that were asked for or given up
        session.closing.connect(self.close)

    @property
    def is_busy(self) -> bool:
        """Whether a prediction to be shown is being made."""
        return any(asked.purpose == "show" for asked in self._asked.values())

    def describe(self) -> None:
        """Ask for the device; `described` tells."""
        self._warm().describe()

    def predict(self, model: Path, target: Target, *, whole: bool = False, purpose: Purpose = "show") -> None:
        """Predict the plane that is shown, or the whole stack; what is to be shown at once goes first."""
        if purpose in ("show", "preview"):  # only the latest of them is waited for
            self.cancel(purpose)
        written, previews = _stamp(target.image), self._previews

        def ask(card: ModelCard) -> None:
            if purpose == "preview" and previews != self._previews:  # given up while the card was read
                return
            request = PredictRequest(
                model,
                target.image,
                axes=self._axes(),
                plane=None if whole or not target.stack_shape else target.plane,
                attention=True,
                urgent=purpose == "show",
            )
            self._ask(request, _Asked(target, card, purpose, written))

        self._with_card(model, ask, quiet=purpose != "show")

    def predict_ahead(self, model: Path, image: Path) -> None:
        """Predict the image that is probably opened next, unless it is a stack: which plane is seen is not known."""
        axes = self._axes()

        def then(stack_shape: Plane) -> None:
            if not stack_shape:
                self.predict(model, Target(image, (), ()), purpose="ahead")

        self._session.background.run(lambda: tuple(read_info(image, axes).stack_shape), then, lambda _: None)

    def kept(self, model: Path, image: Path) -> PredictedImage | None:
        """Return what this model said about an image lately, read with the axes that it has now."""
        return self._kept.get((image, model, _stamp(image), _stamp(model), self._axes()))

    def cancel(self, purpose: Purpose = "show") -> None:
        """Give up the prediction that is being made."""
        self._previews += purpose == "preview"
        for number, asked in list(self._asked.items()):
            if asked.purpose == purpose and self._child is not None:
                self._child.cancel(number)
                if purpose == "preview":  # nobody is told that it ends, and one that is done already comes too late
                    del self._asked[number]

    def measure(self, model: Path, image: Path) -> None:
        """Find out how unsure a model is of an image, when nothing else is to be done; `measured` tells."""

        def ask(card: ModelCard) -> None:
            request = PredictRequest(model, image, axes=self._axes(), urgent=False)
            self._ask(request, _Asked(Target(image, (), ()), card, "measure", 0.0))

        def failed(error: Exception) -> None:
            self.measured.emit(image, model, None)

        self._session.background.run(lambda: load_card(model), ask, failed)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _warm(self) -> WarmPredictor:
        if self._child is None:
            background = self._session.background
            self._child = WarmPredictor(lambda reply: background.call_here(lambda: self._take(reply)))
        return self._child

    def _axes(self) -> str | None:
        folder = self._session.folder
        return folder.choices.axes if folder is not None else None

    def _with_card(self, model: Path, then: Callable[[ModelCard], None], *, quiet: bool = False) -> None:
        def failed(error: Exception) -> None:
            if not quiet:
                self.ended.emit(failure_text(error, f"{model.name} could not be read"))

        self._session.background.run(lambda: load_card(model), then, failed)

    def _ask(self, request: PredictRequest, asked: _Asked) -> None:
        number = self._warm().predict(request)
        self._asked[number] = asked
        if asked.purpose == "show":
            self.progressed.emit(0.0, None)

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, Described):
            self.described.emit(reply)
            return
        asked = self._asked.get(reply.number)
        if asked is None:
            return
        if isinstance(reply, Progress):
            if asked.purpose == "show":
                self.progressed.emit(reply.done, reply.seconds_left)
            return
        del self._asked[reply.number]
        sentence = reply.sentence if isinstance(reply, PredictionFailed) else ""
        if isinstance(reply, Predicted):
            self._arrived(asked, reply)
        if asked.purpose == "show" and not isinstance(reply, PredictionCancelled):
            self.ended.emit(sentence)
        elif asked.purpose == "show" and not self.is_busy:
            self.ended.emit("")
        elif asked.purpose == "measure" and not isinstance(reply, Predicted):
            self.measured.emit(asked.target.image, reply.request.model if reply.request else None, None)

    def _arrived(self, asked: _Asked, reply: Predicted) -> None:
        target, request = asked.target, reply.request
        if request.plane is None and asked.purpose != "preview":  # of the whole image, by a model that is finished
            self.measured.emit(target.image, request.model, reply.uncertainty)
        if asked.purpose == "measure":
            return
        is_preview = asked.purpose == "preview"
        key = (target.image, request.model, asked.written, _stamp(request.model), request.axes)
        found = None if is_preview else self._kept.get(key)
        if found is None or not found.fits(target.stack_shape, reply.probability, reply.attention):
            found = PredictedImage(
                target.image,
                request.model,
                target.stack_shape,
                asked.card.convention.class_names,
                reply.probability,
                reply.attention,
                is_preview=is_preview,
            )
        found.take(request.plane if target.stack_shape else (), reply.probability, reply.attention)
        if not is_preview:
            self._keep(key, found)
        self.predicted.emit(found)

    def _keep(self, key: _Key, found: PredictedImage) -> None:
        for other in [other for other in self._kept if other[:2] == key[:2] and other != key]:
            del self._kept[other]  # of the model as it was before, or of the image read with other axes
        self._kept[key] = found
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > KEPT:
            self._kept.popitem(last=False)


def _stamp(file: Path) -> float:
    """Return when a model or an image was written, which tells a replaced one from the one before."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
