"""Which image next: how unsure the model in use is of each, found out in the background."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.trainings.folder_models import model_key

if TYPE_CHECKING:
    from napari_attnseg.annotation.folder.folder import AnnotationFolder
    from napari_attnseg.viewer.predict.predicting import Predicting
    from napari_attnseg.viewer.session.session import Session

SAVE_EVERY = 20  # images
_log = logging.getLogger(__name__)


class Ranking(QObject):
    """Asks for one image after the other, those without a mask first; what the user asks for goes before."""

    progressed = Signal(int, int)
    """How many images are done, of how many; (0, 0) when it is over."""

    def __init__(self, session: Session, predicting: Predicting) -> None:
        super().__init__(session)
        self._session = session
        self._predicting = predicting
        self._model: Path | None = None
        self._folder: AnnotationFolder | None = None
        """The folder that is ranked, or was last."""
        self._waiting: list[Path] = []
        self._total = 0
        predicting.measured.connect(self._take)
        session.folder_changed.connect(self._on_folder)
        session.closing.connect(self.stop)

    @property
    def is_active(self) -> bool:
        """Whether images are being ranked."""
        return self._model is not None

    def start(self, model: Path) -> None:
        """Find out how unsure a model is of all images of the folder of which that is not known."""
        folder = self._session.folder
        if folder is None:
            return
        self._folder = folder
        self._waiting = folder.without_uncertainty(model_key(model))
        self._total = len(self._waiting)
        self._model = model
        self._next()

    def stop(self) -> None:
        """Rank no more images; what is known stays."""
        if self._model is not None:
            self._model = None
            self._save()
            self.progressed.emit(0, 0)

    def _on_folder(self) -> None:
        if self._session.folder is not self._folder:
            self.stop()

    def _next(self) -> None:
        if self._model is None:
            return
        if not self._waiting:
            self.stop()
            return
        done = self._total - len(self._waiting)
        self.progressed.emit(done, self._total)
        if done and done % SAVE_EVERY == 0:
            self._save()
        self._asked = self._waiting.pop(0)
        self._predicting.measure(self._model, self._asked)

    def _take(self, image: Path, model: Path, value: float | None) -> None:
        folder = self._session.folder
        if folder is not None and folder.pair(image) is not None and value is not None:
            folder.note_unsure(image, value, model_key(model))
            self._session.announce(image)
        if self._model is not None and model == self._model and image == self._asked:
            self._next()

    def _save(self) -> None:
        folder = self._folder  # by now another one may be open
        if folder is not None:
            self._session.background.run(
                folder.save_uncertainty,
                lambda _: None,
                lambda error: _log.info("how unsure the model is is not kept: %s", error),
            )
