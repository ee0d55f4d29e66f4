"""napari's writer: a Labels layer to a TIFF mask, for File > Save Selected Layers and `layer.save`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari import current_viewer

from napari_attnseg.annotation.masks.document import Document
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.pairs import extension_of
from napari_attnseg.data.tiff import read_info
from napari_attnseg.data.write import write_image
from napari_attnseg.errors import DataError
from napari_attnseg.viewer.layers.roles import KEY

Array = np.ndarray[Any, Any]


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a Labels layer as TIFF.

    A mask of ours saved where it belongs is written by the conventions of its folder and of the file that it replaces,
    as the Save button does. Saved elsewhere, or drawn in a layer of another origin, the labels are written as they are,
    in the smallest number type, with the axes and the pixel size of the image if it is known.

    Parameters
    ----------
    path
        Where to write; '.tiff' is added if the name has no TIFF extension.
    data
        Labels, whole numbers.
    attributes
        The layer's attributes, as napari gives them to writers.

    Returns
    -------
    list of str
        The path that was written.

    Raises
    ------
    DataError
        The labels are negative or too large for a mask, or the mask on disk was changed by another program.
    SaveError
        The file cannot be written; what was there before is unchanged.
    """
    target = Path(path) if extension_of(Path(path)) else Path(f"{path}.tiff")
    note = attributes.get("metadata", {}).get(KEY, {})
    document = note.get("document")
    if isinstance(document, Document) and _same_file(target, document.mask_path):
        if not _saved_by_session(document):
            document.save()
            document.saved(document.revision)
        return [str(target)]
    labels = document.labels if isinstance(document, Document) else _whole_numbers(target, data)
    like = document.info if isinstance(document, Document) else _image_info(note)
    if like is not None and labels.shape != (*like.stack_shape, like.height, like.width):
        like = None
    write_image(target, _smallest(target, labels), _axes(labels, like, attributes), like=like)
    return [str(target)]


def _saved_by_session(document: Document) -> bool:
    """Let the session save the mask if it is open in the viewer, so that its list and its journal know of it."""
    viewer = current_viewer()
    if viewer is None:
        return False
    from napari_attnseg.viewer.session.session import session_of

    return session_of(viewer).save_now(document)


def _same_file(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _whole_numbers(target: Path, data: Any) -> Array:
    labels = np.asarray(data[0] if isinstance(data, list | tuple) else data)
    if labels.dtype.kind not in "biu":
        raise DataError(f"{target.name} cannot be saved as a mask: it holds {labels.dtype} values, not whole numbers.")
    return labels


def _image_info(note: dict[str, Any]) -> ImageInfo | None:
    """Describe the image that a layer belongs to, if it is still there."""
    image = note.get("image")
    try:
        return read_info(Path(image)) if image else None
    except DataError:
        return None


def _smallest(target: Path, labels: Array) -> Array:
    """Turn labels into the smallest unsigned number type that holds them."""
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    kind = next((kind for kind in (np.uint8, np.uint16, np.uint32) if high <= np.iinfo(kind).max), None)
    if low < 0 or kind is None:
        raise DataError(
            f"{target.name} cannot be saved as a mask: labels from 0 to {2**32 - 1} can, not {low} to {high}."
        )
    return labels.astype(kind)


def _axes(labels: Array, like: ImageInfo | None, attributes: dict[str, Any]) -> str:
    """Return a letter for each axis: those of the image, else the layer's, else ZYX from the last axis on."""
    if like is not None:
        return f"{like.stack_axes}YX"
    named = "".join(str(name).upper() for name in attributes.get("axis_labels") or ())
    suits = len(named) == labels.ndim and named.endswith("YX") and set(named) <= set("TZYX")
    if suits and len(set(named)) == len(named):
        return named
    return "TZYX"[-labels.ndim :] if labels.ndim <= 4 else "Q" * (labels.ndim - 2) + "YX"
