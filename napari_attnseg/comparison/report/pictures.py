"""Pictures of single images: the annotation beside what each model predicts, and where the models look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from napari_attnseg.comparison.report.examples import ExampleImage, Labels, Predicted
from napari_attnseg.comparison.report.figures import WIDTH, columns_for, shortened
from napari_attnseg.prediction.tiling import FloatArray

TRUE, FOUND = "#e69f00", "#56b4e9"
_MOST_COLUMNS = 4
_LONGEST_LABEL = 18  # letters above a panel
_LONGEST_SIDE = 640  # pixels of a picture; larger images are thinned out, which a page does not show


def triptych(example: ExampleImage, class_names: Sequence[str], class_colours: Sequence[str]) -> Figure:
    """Draw an image, its annotation, and the prediction of each model, with outlines.

    Binary: the annotation is orange, a prediction blue over it. With classes: each in the colour of its class.
    """
    step = _step(example.truth)
    picture, truth = example.picture[::step, ::step], example.truth[::step, ::step]
    several = len(class_names) > 2
    colours = dict(enumerate(class_colours)) if several else {1: TRUE}
    panels = 2 + len(example.predicted)
    figure, axes = _panels(panels, truth.shape)
    for ax in axes[:panels]:
        ax.imshow(picture, interpolation="nearest")
    axes[0].set_title("image")
    axes[1].set_title("annotated")
    outline(axes[1], truth, colours)
    for ax, predicted in zip(axes[2:], example.predicted, strict=False):
        ax.set_title(f"{_broken(predicted.label)}\n{predicted.score:.3f}", fontsize=10.5)
        labels = predicted.labels[::step, ::step]
        if not several:
            outline(ax, truth, colours)
        outline(ax, labels, colours if several else {1: FOUND})
    seen = np.unique(np.concatenate([truth.ravel(), *(one.labels.ravel() for one in example.predicted)]))
    entries = [(class_names[value], class_colours[value]) for value in seen if value > 0]
    _legend(figure, entries if several else [("annotated", TRUE), ("predicted", FOUND)])
    return figure


def attention_maps(example: ExampleImage) -> Figure:
    """Draw for each model with gates where each of them lets detail through, deepest gate first.

    The colours span what occurs in these maps, from the first to the last per cent: most gates use a part of 0 to 1.
    """
    step = _step(example.truth)
    shown = [(one, one.attention) for one in example.predicted if one.attention is not None]
    gates = max(len(maps) for _, maps in shown)
    picture = example.picture[::step, ::step]
    width = WIDTH / (gates + 1)
    aspect = picture.shape[0] / picture.shape[1]
    figure = Figure(figsize=(WIDTH, len(shown) * (width * aspect + 0.45) + 0.9), layout="constrained")
    grid = figure.subplots(len(shown), gates + 1, squeeze=False)
    limits = np.quantile(np.concatenate([maps.ravel() for _, maps in shown]), (0.01, 0.99))
    drawn: Any = None
    for row, (predicted, maps) in zip(grid, shown, strict=True):
        drawn = _draw_gates(row, predicted, maps[:, ::step, ::step], picture, limits)
    bar = figure.colorbar(drawn, ax=grid.ravel().tolist(), location="bottom", shrink=0.5, aspect=40)
    bar.set_label("share of the image's detail that the gate lets through")
    return figure


def outline(ax: Any, labels: Labels, colours: dict[int, str]) -> None:
    """Draw the outlines of each class in its colour, of a width that does not depend on the image's size."""
    framed = np.pad(labels, 1)  # an object at the border is closed there
    for value, colour in colours.items():
        inside = framed == value
        if value > 0 and inside.any():
            extent = (-1.0, labels.shape[1], -1.0, labels.shape[0])
            ys = np.arange(extent[2], extent[3] + 1)
            xs = np.arange(extent[0], extent[1] + 1)
            ax.contour(xs, ys, inside.astype(float), levels=[0.5], colors=[colour], linewidths=1.1)
    ax.set(xlim=(-0.5, labels.shape[1] - 0.5), ylim=(labels.shape[0] - 0.5, -0.5))


def _panels(count: int, shape: tuple[int, ...]) -> tuple[Figure, list[Any]]:
    columns = min(count, _MOST_COLUMNS)
    if count > _MOST_COLUMNS and -count % (_MOST_COLUMNS - 1) < -count % _MOST_COLUMNS:
        columns -= 1  # leaves fewer gaps in the last row
    rows = -(-count // columns)
    width = WIDTH / columns
    figure = Figure(figsize=(WIDTH, rows * (width * shape[0] / shape[1] + 0.5) + 0.35), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax in axes[count:]:
        ax.set_axis_off()
    return figure, axes


def _draw_gates(row: Sequence[Any], predicted: Predicted, maps: FloatArray, picture: FloatArray, limits: Any) -> Any:
    drawn = None
    for ax in row:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    row[0].imshow(picture)
    row[0].set_title(_broken(predicted.label), fontsize=10.5)
    for number, (ax, attention) in enumerate(zip(row[1:], maps, strict=False)):
        drawn = ax.imshow(attention, cmap="viridis", vmin=limits[0], vmax=limits[1])
        where = " (deepest)" if number == 0 else " (finest)" if number == len(maps) - 1 else ""
        ax.set_title(f"gate {len(maps) - number}{where}", fontsize=10.5)
    for ax in row[1 + len(maps) :]:
        ax.set_axis_off()
    return drawn


def _legend(figure: Figure, entries: Sequence[tuple[str, str]]) -> None:
    handles = [Line2D([], [], color=colour, lw=2.5) for _, colour in entries]
    names = [shortened(name) for name, _ in entries]
    figure.legend(handles, names, loc="outside lower center", ncols=min(columns_for(names), 6), frameon=False)


def _broken(label: str) -> str:
    """Return a label in lines that a panel has room for."""
    return label.replace(" (", "\n(") if len(label) > _LONGEST_LABEL else label


def _step(labels: Labels) -> int:
    return max(1, -(-int(max(labels.shape)) // _LONGEST_SIDE))
