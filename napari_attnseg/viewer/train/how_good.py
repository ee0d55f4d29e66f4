"""How good the model in use is, whether the last training made it better, and how much correction is still needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_attnseg.annotation.predictions.effort import Correction
from napari_attnseg.annotation.trainings.model_choices import BUILT_IN
from napari_attnseg.annotation.trainings.run_history import LAST
from napari_attnseg.viewer.widgets.effort_plot import EffortPlot
from napari_attnseg.viewer.widgets.score_panel import ScoreChange, ScorePanel
from napari_attnseg.viewer.widgets.score_rows import change_of, rows_of, score_name

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.learning import Learning


class HowGood(QWidget):
    """The scores and the corrections of a session's folder; it is not seen before there is a model."""

    def __init__(self, learning: Learning) -> None:
        super().__init__()
        self._training = learning.training
        self.scores = ScorePanel()
        self.effort = EffortPlot()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.scores)
        layout.addWidget(self.effort)
        self.scores.rollBackAsked.connect(self._training.roll_back)
        self.scores.useAsked.connect(self._use_last)
        learning.effort.changed.connect(self._show_effort)
        self._show_effort(learning.effort.corrections)

    def refresh(self) -> None:
        """Show what is known by now."""
        models, last = self._training.models, self._training.last
        used = next((choice for choice in models.choices if choice.path == models.in_use), None)
        card = used.card if used is not None and used.group != BUILT_IN else None  # that was scored on other images
        if last is not None and last.score is not None:
            change = ScoreChange(last.score, last.start_score, last.held_out or 0, score_name(card))
        else:
            change = change_of(card)
        self.scores.setChange(change)
        self.scores.setRows(rows_of(card))
        self.scores.setUsable(self._kept_aside() is not None)
        before = next((choice.label for choice in models.choices if choice.path == models.before), "")
        self.scores.setRollBack(before or (models.before.parent.name if models.before is not None else ""))
        self.setVisible(used is not None and used.card is not None)

    def _kept_aside(self) -> Path | None:
        """Return the model of the last training if it was no better than the one in use."""
        last = self._training.last
        if last is None or last.improved is not False:
            return None
        model = last.path / LAST
        return model if model != self._training.models.in_use else None

    def _use_last(self) -> None:
        model = self._kept_aside()
        if model is not None:
            self._training.use(model)

    def _show_effort(self, found: list[Correction]) -> None:
        self.effort.setValue([item.dice for item in found], [item.image for item in found])
