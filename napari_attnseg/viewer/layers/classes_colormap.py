"""The colours of classes for napari's Labels layers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from napari.utils import DirectLabelColormap
from napari.utils.colormaps.standardize_color import transform_color

from napari_attnseg.data.classes import Classes

Array = np.ndarray[Any, Any]

_UNKNOWN = "#ffffff"


def class_colormap(classes: Classes) -> DirectLabelColormap:
    """Return a colormap that gives each class its colour.

    The background is transparent. A label that is no class is white, so that it is seen.
    """
    unknown = transform_color(_UNKNOWN)[0]
    table: dict[int | None, Array] = defaultdict(lambda: unknown)
    for entry in classes.entries:
        table[entry.id] = transform_color(entry.colour)[0]
    table[0] = np.zeros(4, np.float32)
    table[None] = unknown
    return DirectLabelColormap(color_dict=table, background_value=0)
