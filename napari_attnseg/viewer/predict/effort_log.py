"""How much correction predictions needed: notes what was shown, and compares it with what is saved."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.masks.document import Array, Document
from napari_attnseg.annotation.predictions.effort import Correction, PredictedMasks, corrections
from napari_attnseg.annotation.trainings.folder_models import model_key
from napari_attnseg.viewer.background import Background
from napari_attnseg.viewer.predict.predicted_image import PredictedImage

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.learning import Learning
    from napari_attnseg.viewer.session.session import Session

LONGEST = 10.0  # seconds that closing waits for the record
_log = logging.getLogger(__name__)


class EffortLog(QObject):
    """Keeps the folder's record of predictions and corrections.

    All of it is written in a thread of its own, one after the other: the record is read, added to and written again.
    """

    changed = Signal(object)
    """All corrections of the folder, a list of Correction, the oldest first."""

    def __init__(self, session: Session, learning: Learning) -> None:
        super().__init__(session)
        self._session = session
        self._learning = learning
        self._background = Background(threads=1, parent=self)
        self._predicted: PredictedMasks | None = None
        self.corrections: list[Correction] = []
        """Of the folder, the oldest first."""
        learning.proposals.changed.connect(self.keep)
        session.saving.saved.connect(self._on_saved)
        session.folder_changed.connect(self._on_folder)
        session.closing.connect(self._close)
        self._on_folder()

    def keep(self) -> None:
        """Keep the prediction that is shown; a preview of a training is none that is corrected."""
        found, folder, predicted = self._learning.proposals.current, self._session.folder, self._predicted
        if not isinstance(found, PredictedImage) or folder is None or predicted is None:
            return  # of a large image only parts are accepted, and there is no record of those
        is_in_use = found.model == self._learning.training.models.in_use and not found.is_preview
        if not is_in_use or folder.pair(found.image) is None:
            return
        name, now = folder.name(found.image), time.time()
        planes, model = sorted(found.planes), found.model

        def work() -> None:
            labels = np.stack([found.labels[plane] for plane in planes])
            predicted.keep(name, labels, model_key(model), now, planes=planes)

        self._background.run(work, lambda _: None, self._failed)

    def _on_folder(self) -> None:
        folder = self._session.folder
        if folder is None or (self._predicted is not None and self._predicted.root == folder.root):
            return
        self._predicted = PredictedMasks(folder.root)
        self._read(folder.root)

    def _read(self, root: Path) -> None:
        self._background.run(lambda: corrections(root), self._tell, self._failed)

    def _tell(self, found: list[Correction]) -> None:
        self.corrections = found
        self.changed.emit(found)

    def _on_saved(self, document: Document, labels: Array) -> None:
        folder, predicted, now = self._session.folder, self._predicted, time.time()
        if folder is None or predicted is None or folder.pair(document.image) is None:
            return
        name = folder.name(document.image)
        names = ("background", "object") if document.counts_objects else folder.classes.names

        def work() -> Correction | None:
            return predicted.note_saved(name, labels, names, now)

        def done(found: Correction | None) -> None:
            if found is not None:
                self._read(folder.root)

        self._background.run(work, done, self._failed)

    def _close(self) -> None:
        """Wait for what is being noted: masks are saved while the window closes, too."""
        self._background.wait(LONGEST)
        self._background.close()

    def _failed(self, error: Exception) -> None:
        _log.warning("the record of corrections could not be kept: %s", error)
