"""What a layer is for us is written in its metadata, so that the user may rename and reorder layers freely."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Layer

KEY = "napari_attnseg"
PREDICTED = ("prediction", "probability", "uncertainty", "attention")
"""The roles of the layers of a prediction."""


def note_of(layer: Layer) -> dict[str, Any]:
    """Return what we wrote on a layer; an empty dict if it is none of ours."""
    note = layer.metadata.get(KEY)
    return note if isinstance(note, dict) else {}


def role_of(layer: Layer) -> str:
    """Return such as 'image' or 'mask'; '' if the layer is none of ours."""
    return str(note_of(layer).get("role", ""))


def image_of(layer: Layer) -> Path | None:
    """Return the image file that a layer of ours belongs to."""
    image = note_of(layer).get("image")
    return Path(image) if image else None
