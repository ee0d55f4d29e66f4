"""Watching a model learn: the image that is shown is predicted anew with each better model of a running training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.learning import Learning
    from napari_attnseg.viewer.session.session import Session


class LivePreview(QObject):
    """Asks for the prediction whenever there is a better model, one at a time; what the user asks for goes first.

    When the training has ended, the prediction of the model that is in use then takes the preview's place.
    """

    def __init__(self, session: Session, learning: Learning) -> None:
        super().__init__(session)
        self._session, self._training, self._run = session, learning.training, learning.training.run
        self._predicting, self._proposals = learning.predicting, learning.proposals
        self._on = True
        self._is_last_due = False
        self._model: Path | None = None
        """The model of the running training; None while there is none."""
        self._run.started.connect(lambda _: self._proposals.let_previews_in())
        self._run.saved.connect(lambda event: self.refresh(Path(event.path)) if event.is_best else None)
        self._run.ended.connect(lambda _: self._forget())
        self._training.models_changed.connect(self._predict_last)
        session.shown_changed.connect(self._again)

    def set_on(self, on: bool) -> None:
        """Turn the preview on or off."""
        self._on = on
        if not on:
            self._clear()
        self._again()

    def refresh(self, model: Path) -> None:
        """Predict the image that is shown with a model that was just saved."""
        self._model = model
        self._again()

    def _again(self) -> None:
        target, folder = self._proposals.target(), self._session.folder
        is_of_folder = folder is not None and folder.root == self._run.root  # another one may have been opened
        if self._on and self._model is not None and target is not None and is_of_folder:
            self._predicting.predict(self._model, target, purpose="preview")

    def _forget(self) -> None:
        self._model = None
        self._is_last_due = self._clear()

    def _clear(self) -> bool:
        """Show no preview any more; return whether one was shown."""
        self._predicting.cancel("preview")
        current = self._proposals.current
        if current is None or not current.is_preview:
            return False
        self._proposals.clear()
        return True

    def _predict_last(self) -> None:
        """Show what the model in use says where a preview was shown until the training ended."""
        is_due, self._is_last_due = self._is_last_due, False
        model, target, current = self._training.models.in_use, self._proposals.target(), self._proposals.current
        if is_due and model is not None and target is not None and (current is None or current.is_preview):
            self._predicting.predict(model, target)
