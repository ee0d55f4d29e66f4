"""Pictures of predictions for people: image, truth and prediction side by side, and where the gates look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from napari_attnseg.data.atomic import replacing
from napari_attnseg.prediction.tiling import FloatArray

TRUTH, PREDICTED = (0.1, 0.85, 0.35), (1.0, 0.25, 0.75)
_CLASS_COLOURS = ("#4cc9f0", "#f9a03f", "#f94144", "#90be6d", "#b388eb", "#ffd166", "#06d6a0", "#ef476f")


@dataclass(frozen=True)
class Example:
    """A plane to show: image (channel, y, x) in [0, 1], class ids (y, x), attention (gate, y, x) in [0, 1] or None."""

    name: str
    image: FloatArray
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    score: float
    """F1 of the image, in [0, 1]."""
    attention: FloatArray | None = None


def draw_overlays(path: Path, examples: Sequence[Example], title: str) -> None:
    """Write a PNG with a row for each example: the image, the true outlines, the predicted ones over the true."""
    columns = ("image", "annotated", "predicted over annotated")
    figure, grid = _grid(len(examples), len(columns), title)
    for row, example in zip(grid, examples, strict=True):
        picture = displayed(example.image)
        several = max(example.truth.max(), example.prediction.max()) > 1
        if several:
            shown = (picture, painted(picture, example.truth), painted(picture, example.prediction))
        else:
            true = outlined(picture, example.truth, TRUTH)
            shown = (picture, true, outlined(true, example.prediction, PREDICTED))
        for ax, one in zip(row, shown, strict=True):
            ax.imshow(one)
        row[0].set_ylabel(f"{example.name}\nF1 {example.score:.3f}", fontsize=9)
    for ax, text in zip(
        grid[0], columns if not _has_classes(examples) else ("image", "annotated", "predicted"), strict=True
    ):
        ax.set_title(text, fontsize=10)
    _save(figure, path)


def draw_attention(path: Path, examples: Sequence[Example], title: str) -> None:
    """Write a PNG with a row for each example: the image, then each gate's map over it, deepest first."""
    shown = [example for example in examples if example.attention is not None and len(example.attention)]
    if not shown:
        return
    gates = len(shown[0].attention) if shown[0].attention is not None else 0
    figure, grid = _grid(len(shown), gates + 1, title)
    for row, example in zip(grid, shown, strict=True):
        assert example.attention is not None
        picture = displayed(example.image)
        row[0].imshow(picture)
        row[0].set_ylabel(example.name, fontsize=9)
        for ax, attention in zip(row[1:], example.attention, strict=True):
            ax.imshow(picture.mean(axis=2), cmap="gray")
            drawn = ax.imshow(attention, cmap="inferno", vmin=0, vmax=1, alpha=0.65)
    for number, ax in enumerate(grid[0]):
        depth = "deepest" if number == 1 else "finest" if number == gates else ""
        ax.set_title(
            "image" if number == 0 else f"gate {gates + 1 - number}{f' ({depth})' if depth else ''}", fontsize=10
        )
    bar = figure.colorbar(drawn, ax=grid[:, 1:].ravel().tolist(), shrink=0.5, pad=0.01)
    bar.set_label("share of the detail let through", fontsize=9)
    _save(figure, path)


def displayed(image: FloatArray) -> FloatArray:
    """Return (y, x, 3) in [0, 1] to show: three channels as RGB, else the first as grey."""
    picture = image if len(image) == 3 else np.repeat(image[:1], 3, axis=0)
    return np.clip(np.moveaxis(picture, 0, 2), 0, 1).astype(np.float32)


def outlined(picture: FloatArray, labels: NDArray[np.uint8], colour: tuple[float, float, float]) -> FloatArray:
    """Return the picture with the outlines of the objects drawn in one colour."""
    result = picture.copy()
    result[find_boundaries(labels, mode="inner")] = colour
    return result


def painted(picture: FloatArray, labels: NDArray[np.uint8]) -> FloatArray:
    """Return the picture with each class filled in its colour, half transparent."""
    result = picture.copy()
    for value in np.unique(labels[labels > 0]):
        colour = np.array(to_rgb(_CLASS_COLOURS[(value - 1) % len(_CLASS_COLOURS)]), np.float32)
        result[labels == value] = 0.5 * result[labels == value] + 0.5 * colour
    return result


def _has_classes(examples: Sequence[Example]) -> bool:
    return any(max(example.truth.max(), example.prediction.max()) > 1 for example in examples)


def _grid(rows: int, columns: int, title: str) -> tuple[Figure, NDArray[Any]]:
    figure = Figure(figsize=(2.7 * columns, 2.7 * rows + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=12)
    grid = figure.subplots(rows, columns, squeeze=False)
    for ax in grid.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return figure, grid


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
