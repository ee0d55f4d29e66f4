"""How a training ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_attnseg.training.run_folder import RunFolder


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended, and what it gained."""

    epochs: int
    best_score: float | None
    """The selection score of the best model on the held-out images; None without any."""
    minutes: float
    was_stopped: bool
    folder: RunFolder
    reason: str
    """Why it ended, for the user."""
    start_score: float | None = None
    """What the starting model scored on the same images; None without one, or where that could not be measured."""
    waiting: float | None = None
    """Share of the time between two scorings in which patches were waited for, of this session; None without any."""

    @property
    def improved(self) -> bool:
        """Whether there is a model that is better than the starting one; any is better than none."""
        if self.start_score is None or self.best_score is None:
            return self.folder.best.exists()
        return self.best_score > self.start_score

    def to_json(self) -> dict[str, Any]:
        """Return the `results` of the last event."""
        return {
            "score": self.best_score,
            "start_score": self.start_score,
            "improved": self.improved,
            "best": str(self.folder.best) if self.folder.best.exists() else None,
            "epochs": self.epochs,
            "minutes": round(self.minutes, 3),
            "waiting": None if self.waiting is None else round(self.waiting, 4),
        }
