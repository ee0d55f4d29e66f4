"""What a session knows of models: the trainings of its folder, predictions, and what of them is shown.

It is made at the first use, because it takes longer to import than a dock for annotating should take to open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_attnseg.viewer.predict.effort_log import EffortLog
from napari_attnseg.viewer.predict.large.predicting import LargePredicting
from napari_attnseg.viewer.predict.predicting import Predicting
from napari_attnseg.viewer.predict.proposals import Proposals
from napari_attnseg.viewer.predict.ranking import Ranking
from napari_attnseg.viewer.train.training import Training

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session


class Learning(QObject):
    """The parts that the Train and the Predict dock share."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.predicting = Predicting(session)
        self.large = LargePredicting(session)
        self.proposals = Proposals(session, self.predicting)
        self.ranking = Ranking(session, self.predicting)
        self.training = Training(session)
        self.effort = EffortLog(session, self)
