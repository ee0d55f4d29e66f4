"""The learning rate over a training: a linear rise, the warm-up, and then what the schedule says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from napari_attnseg.settings import TrainingSettings
from napari_attnseg.wording import counted

SMALLEST_FACTOR = 0.01
"""Of the highest rate, at the begin of the warm-up and at the end of the cosine."""

SMALLEST_GAIN = 1e-4
"""What a score has to rise by to count for the plateau schedule; less than that is chance."""


@dataclass
class Plateau:
    """What the plateau schedule has seen of a training; it is part of the state for resuming.

    The score of a starting model does not count: while the first epochs get worse than that and better again, the rate
    stays.
    """

    factor: float = 1.0
    """What the highest learning rate is multiplied with by now."""
    best: float | None = None
    waited: int = 0
    """Epochs since the best one, or since the rate was lowered last."""

    def see(self, figure: float, settings: TrainingSettings) -> bool:
        """Take note of an epoch and return whether the learning rate is lower from now on.

        Parameters
        ----------
        figure
            How good the epoch was; more is better.
        settings
            The factor, the patience and the lowest rate.
        """
        if self.best is None or figure > self.best + SMALLEST_GAIN:
            self.best, self.waited = figure, 0
            return False
        self.waited += 1
        before = _lowered(settings, self.factor)
        if self.waited < settings.plateau_patience or before <= settings.min_learning_rate:
            return False
        self.factor *= settings.plateau_factor
        self.waited = 0
        return _lowered(settings, self.factor) < before


def lowered_at(plateau: Plateau, settings: TrainingSettings, row: Mapping[str, float]) -> str | None:
    """Let the plateau schedule see an epoch; say so if that lowers the learning rate. The others look at no epoch.

    Parameters
    ----------
    plateau
        What was seen so far; it takes note of this epoch.
    settings
        The schedule.
    row
        The row of metrics.csv; its score counts, or its loss where no image is held out.
    """
    if settings.schedule != "plateau":
        return None
    figure, name = (row["val_score"], "score") if "val_score" in row else (-row["loss"], "loss")
    if not plateau.see(figure, settings):
        return None
    epochs, rate = settings.plateau_patience, _lowered(settings, plateau.factor)
    return f"No better {name} for {counted(epochs, 'epoch')}: the learning rate is {rate:.2g} now."


def learning_rate(settings: TrainingSettings, progress: float, plateau: Plateau) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    settings
        The highest rate, the schedule and the warm-up.
    progress
        Share of the training that is over, in steps or in time, 0 to 1.
    plateau
        What the plateau schedule has seen; the others pay no heed to it.

    Returns
    -------
    Above 0. The cosine is half a one (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts).
    """
    if settings.schedule == "plateau":
        return _lowered(settings, plateau.factor) * _rise(progress, settings.warmup)
    factor = _rise(progress, settings.warmup)
    if settings.schedule == "cosine" and progress >= settings.warmup:
        fall = min((progress - settings.warmup) / (1 - settings.warmup), 1.0)
        factor = max(0.5 * (1 + math.cos(math.pi * fall)), SMALLEST_FACTOR)
    return settings.learning_rate * factor


def _lowered(settings: TrainingSettings, factor: float) -> float:
    """Return the rate that is left, which is not below the lowest, unless it always was."""
    highest = settings.learning_rate
    return max(highest * factor, min(settings.min_learning_rate, highest))


def _rise(progress: float, warmup: float) -> float:
    return max(progress / warmup, SMALLEST_FACTOR) if progress < warmup else 1.0
