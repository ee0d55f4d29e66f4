"""What of a prediction is shown: a layer for objects, each class and each attention gate, and the values to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_attnseg.data.pairs import stem_of
from napari_attnseg.viewer.layers.image_layers import showable
from napari_attnseg.viewer.predict.large.levels import Level
from napari_attnseg.viewer.predict.large.prediction import AnyPrediction, LargePrediction

_LEAST_SPREAD = 0.02  # attention that hardly differs is shown as it is


@dataclass(frozen=True)
class Part:
    """One layer of a prediction."""

    role: str
    number: int
    """Of the class or the gate, from 0."""
    name: str
    data: Any
    """An array, or a list of levels that are read when they are looked at."""

    @property
    def is_multiscale(self) -> bool:
        """Whether it has several levels; a single one is shown as an array."""
        return isinstance(self.data, list)

    @property
    def is_in_files(self) -> bool:
        """Whether it is read when it is looked at."""
        return self.is_multiscale or isinstance(self.data, Level)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return int(self.data[0].ndim if self.is_multiscale else self.data.ndim)


def limits_of(part: Part, found: AnyPrediction) -> tuple[float, float]:
    """Return the values to show as dark and bright; of attention it is the differences that tell where a gate looks."""
    if part.role != "attention":
        return 0.0, 1.0
    if isinstance(found, LargePrediction):
        return attention_limits(found, part.number)
    values = [found.attention[(part.number, *plane)][::4, ::4] for plane in list(found.planes)[:5]]
    return _spread(np.concatenate([value.ravel() for value in values]))


def attention_limits(found: LargePrediction, gate: int) -> tuple[float, float]:
    """Return the limits for what is predicted so far, from the coarsest level."""
    coarsest = found.attention[gate][-1]
    values = [coarsest[(*plane, slice(None, None, 4), slice(None, None, 4))] for plane in sorted(found.planes)[:5]]
    known = np.concatenate([np.zeros(0, np.float32), *(value.ravel() for value in values)])
    return _spread(known[known > 0])


def _spread(values: Any) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, (2, 99.5)).tolist()
    return (low, high) if high - low > _LEAST_SPREAD else (0.0, 1.0)


def parts_of(found: AnyPrediction, *, uncertainty: bool) -> list[Part]:
    """Return the layers of a prediction, the topmost first."""
    stem = stem_of(found.image)
    name = f"{stem} {'preview' if found.is_preview else 'prediction'}"
    parts = [Part("prediction", 0, name, _showable(found.labels))]
    names = found.class_names[1:] if found.is_binary else found.class_names
    parts += [
        Part("probability", number, f"{stem} probability of {name}", _showable(data))
        for number, (name, data) in enumerate(zip(names, found.probability, strict=False))
    ]
    if uncertainty and len(found.uncertainty):  # is computed for it
        parts.append(Part("uncertainty", 0, f"{stem} uncertainty", _showable(found.uncertainty)))
    gates = len(found.attention)
    for number in range(gates):
        end = {0: " (deepest)", gates - 1: " (finest)"}.get(number, "") if gates > 1 else ""
        parts.append(
            Part("attention", number, f"{stem} attention {number + 1}{end}", _showable(found.attention[number]))
        )
    return parts


def _showable(data: Any) -> Any:
    if isinstance(data, list):
        return data if len(data) > 1 else data[0]
    return showable(data)
