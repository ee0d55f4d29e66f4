"""How much correction predictions needed: notes what was shown, and compares it with what is saved."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.predictions.effort import Correction, PredictedMasks, corrections
from napari_attnseg.annotation.trainings.folder_models import model_key
from napari_attnseg.viewer.predict.predicted_image import PredictedImage

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.learning import Learning
    from napari_attnseg.viewer.session.session import Session

_log = logging.getLogger(__name__)


class EffortLog(QObject):
    """Keeps the folder's record of predictions and corrections; all of it is written in the background."""

    changed = Signal(object)
    """All corrections of the folder, a list of Correction, the oldest first."""

    def __init__(self, session: Session, learning: Learning) -> None:
        super().__init__(session)
        self._session = session
        self._learning = learning
        self._predicted: PredictedMasks | None = None
        self.corrections: list[Correction] = []
        """Of the folder, the oldest first."""
        learning.proposals.changed.connect(self.keep)
        session.saving.saved.connect(self._on_saved)
        session.folder_changed.connect(self._on_folder)
        self._on_folder()

    def keep(self) -> None:
        """Keep the prediction that is shown; a preview of a training is none that is corrected."""
        found, folder, predicted = self._learning.proposals.current, self._session.folder, self._predicted
        if not isinstance(found, PredictedImage) or folder is None or predicted is None:
            return  # of a large image only parts are accepted, and there is no record of those
        if found.model != self._learning.training.models.in_use:
            return
        name, now = folder.name(found.image), time.time()
        planes, model = sorted(found.planes), found.model
        labels = np.stack([found.labels[plane] for plane in planes])

        def work() -> None:
            predicted.keep(name, labels, model_key(model), now, planes=planes)

        self._session.background.run(work, lambda _: None, self._failed)

    def _on_folder(self) -> None:
        folder = self._session.folder
        if folder is None or (self._predicted is not None and self._predicted.root == folder.root):
            return
        self._predicted = PredictedMasks(folder.root)
        self._read(folder.root)

    def _read(self, root: Path) -> None:
        self._session.background.run(lambda: corrections(root), self._tell, self._failed)

    def _tell(self, found: list[Correction]) -> None:
        self.corrections = found
        self.changed.emit(found)

    def _on_saved(self, path: Path) -> None:
        folder, predicted = self._session.folder, self._predicted
        editing = next((m.editing for m in self._session.masks if m.editing.document.mask_path == path), None)
        if folder is None or predicted is None or editing is None:
            return
        document, now = editing.document, time.time()
        name, labels = folder.name(document.image), document.labels.copy()
        names = ("background", "object") if document.counts_objects else folder.classes.names

        def work() -> Correction | None:
            return predicted.note_saved(name, labels, names, now)

        self._session.background.run(
            work, lambda found: self._read(folder.root) if found is not None else None, self._failed
        )

    def _failed(self, error: Exception) -> None:
        _log.warning("the record of corrections could not be kept: %s", error)
