"""A model's scores on its held-out images, as the panel of scores takes them."""

from __future__ import annotations

from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.viewer.widgets.score_panel import ScoreChange, ScoreRow

_DICE = "dice_"
_SCORES = ("f1", "jaccard", "recall", "precision")


def score_name(card: ModelCard | None) -> str:
    """Return what the one figure by which models are compared is called: of several classes it is their mean Dice."""
    return "Dice" if card is not None and len(card.convention.class_names) > 2 else "F1"


def change_of(card: ModelCard | None) -> ScoreChange:
    """Return what a model scores, without a model before it."""
    if card is None or "score" not in card.scores:
        return ScoreChange()
    return ScoreChange(card.scores["score"], None, int(card.training.get("held_out", 0)), score_name(card))


def rows_of(card: ModelCard | None) -> list[ScoreRow]:
    """Return the mean over images, then the Dice of each class."""
    if card is None or "f1" not in card.scores:
        return []
    mean = ScoreRow("mean", *(card.scores.get(name) for name in _SCORES))
    names = card.convention.class_names[1:]
    return [mean, *(ScoreRow(name, card.scores[f"{_DICE}{name}"]) for name in names if f"{_DICE}{name}" in card.scores)]
