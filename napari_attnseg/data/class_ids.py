"""From the values that a mask holds to class ids, for a whole mask or part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.convention import MaskConvention, values_text
from napari_attnseg.data.mask_values import distinct
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]


class ClassIds:
    """What the values of one mask mean.

    Parameters
    ----------
    path
        The mask, for messages.
    convention
        What its values mean. In a binary mask one further value but 0 is read as foreground.
    """

    def __init__(self, path: Path, convention: MaskConvention) -> None:
        self._name = Path(path).name
        self._convention = convention
        self._seen: set[int] = set()

    def of(self, labels: Array) -> Array:
        """Return the class ids of the whole mask, or of a further part of it: uint8, of the shape of `labels`.

        Raises
        ------
        DataError
            A value has no meaning, also beside those of the parts before.
        """
        if self._convention.kind == "instances":
            return np.asarray(labels != 0).astype(np.uint8)
        values = [int(value) for value in distinct(labels)]
        mapping = self._mapping(values)
        if labels.dtype.itemsize <= 2:
            lookup = np.zeros(max(values, default=0) + 1, np.uint8)
            for value in values:
                lookup[value] = mapping[value]
            return np.asarray(lookup[labels])
        classes = np.zeros(labels.shape, np.uint8)
        for value in values:
            classes[labels == value] = mapping[value]
        return classes

    def _mapping(self, values: list[int]) -> dict[int, int]:
        convention = self._convention
        self._seen |= set(values) - {0}
        mapping = dict(convention.values)
        unknown = sorted(self._seen - set(mapping))
        if convention.kind == "binary" and len(unknown) == len(self._seen) == 1:
            return mapping | {unknown[0]: 1}
        if unknown:
            raise DataError(
                f"The mask {self._name} holds the value {values_text(unknown)}; expected were "
                f"{values_text(sorted(convention.values))}. Correct the mask, or name the classes in classes.json."
            )
        return mapping
