"""The figures of a comparison: learning curves, scores per image, confusion matrices.

Colours are Okabe and Ito's, which are told apart with every kind of colour vision; line styles tell the models apart
once more, for a print in black and white. All text is of a size that can be read where a figure is as wide as a page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from napari_attnseg.comparison.results import ComparedModel, Results, ScoredRun
from napari_attnseg.data.atomic import replacing
from napari_attnseg.training.curves import names_as_they_are

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
LINES = ("-", "--", "-.", ":")
WIDTH = 9.0  # inches
_STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 140,
    "savefig.facecolor": "white",
}
_MOST_DOTS = 400
_FEW_POINTS = 15  # up to here each is marked
MOST_NUMBERED = 12  # with more classes the cells of a confusion matrix have no room for numbers
_LONGEST_NAME = 20  # letters of a class in a figure


def drawn(path: Path, draw: Callable[[], Figure]) -> Path:
    """Draw a figure in the style of the report and write it as PNG, with nothing cut off.

    Raises
    ------
    SaveError
        The file cannot be written.
    """
    with names_as_they_are(_STYLE), replacing(path) as temporary:
        draw().savefig(temporary, bbox_inches="tight", pad_inches=0.08)
    return path


def learning_curves(results: Results) -> Figure:
    """Draw the held-out score over epochs and over minutes: runs thin, their mean thick, between them a band."""
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    by_epoch, by_minute = figure.subplots(1, 2, sharey=True)
    for number, model in enumerate(results.models):
        runs = [run for run in model.runs if run.curve]
        style = {"color": COLOURS[number % len(COLOURS)], "ls": LINES[number // len(COLOURS) % len(LINES)]}
        _draw_curves(by_epoch, runs, "epoch", style, model.label)
        _draw_curves(by_minute, runs, "minutes", style, model.label)
    by_epoch.set(xlabel="Epoch", ylabel=f"{score_name(results)} on held-out images")
    by_epoch.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    by_minute.set(xlabel="Minutes of training", xlim=(0, None))
    by_epoch.set_ylim(*_limits([row["val_score"] for m in results.models for r in m.runs for row in _scored(r)]))
    for ax in (by_epoch, by_minute):
        ax.grid(alpha=0.25)
    handles, labels = by_epoch.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns_for(labels), frameon=False)
    return figure


def score_boxes(results: Results) -> Figure:
    """Draw a box for each model over the scores of its images, each averaged over the runs, and the images as dots."""
    models = results.models
    figure = Figure(figsize=(WIDTH, 1.3 + 0.62 * len(models)), layout="constrained")
    ax = figure.subplots()
    rng = np.random.default_rng(0)
    for number, model in enumerate(models):
        values = np.array(list(model.image_scores.values()))
        colour = COLOURS[number % len(COLOURS)]
        position = len(models) - number
        box = ax.boxplot(
            values, positions=[position], orientation="horizontal", widths=0.5, showfliers=False, patch_artist=True
        )
        for part in ("boxes", "whiskers", "caps", "medians"):
            for line in box[part]:
                line.set(color=colour, linewidth=2.4 if part == "medians" else 1.2)
        box["boxes"][0].set(facecolor=(*_rgb(colour), 0.18))
        shown = values if len(values) <= _MOST_DOTS else rng.choice(values, _MOST_DOTS, replace=False)
        jitter = rng.uniform(-0.16, 0.16, len(shown))
        ax.scatter(shown, position + jitter, s=14, color=colour, alpha=0.6, linewidths=0, zorder=3)
        ax.annotate(
            f"median {np.median(values):.3f}",
            (1.01, position),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=10,
        )
    ax.set_yticks(range(len(models), 0, -1), [model.label for model in models])
    ax.set(xlabel=f"{image_score_name(results)} of an image", ylim=(0.4, len(models) + 0.6))
    low, high = _limits(np.concatenate([list(model.image_scores.values()) for model in models]))
    ax.set_xlim(low, high)
    ax.grid(axis="x", alpha=0.25)
    return figure


def confusion_matrices(results: Results) -> Figure:
    """Draw for each model which share of each class's pixels it took for which class, and how many pixels."""
    models, names = results.models, results.class_names
    columns = min(len(models), 3 if len(names) <= 3 else 2 if len(names) <= MOST_NUMBERED else 1)
    rows = -(-len(models) // columns)
    height = WIDTH / max(columns, 2) * (1.08 if len(names) > 2 else 0.86 if columns < 3 else 1.05)
    figure = Figure(figsize=(WIDTH / max(columns, 2) * columns, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    image = None
    for ax, model in zip(grid.flat, models, strict=False):
        image = _draw_matrix(ax, model, names)
    for ax in grid.flat[len(models) :]:
        ax.set_axis_off()
    for ax in grid[:, 0]:
        ax.set_ylabel("annotated")
    if image is not None:
        bar = figure.colorbar(image, ax=grid.ravel().tolist(), location="bottom", shrink=0.5, aspect=40)
        bar.set_label("share of the annotated class's pixels")
    return figure


def score_name(results: Results) -> str:
    """Return what the score of a training is called: that by which its best epoch is chosen."""
    return "Mean Dice of the classes" if results.has_classes else "Mean F1"


def image_score_name(results: Results) -> str:
    """Return what the score of an image is called."""
    return "Dice" if results.has_classes else "F1 (Dice)"


def _draw_curves(ax: Any, runs: Sequence[ScoredRun], name: str, style: dict[str, Any], label: str) -> None:
    lines = [([row[name] for row in _scored(run)], [row["val_score"] for row in _scored(run)]) for run in runs]
    lines = [line for line in lines if line[0]]
    if not lines:
        return
    if len(lines) == 1:
        x, y = lines[0]
        ax.plot(x, y, label=label, lw=2, marker="o" if len(x) < _FEW_POINTS else "", ms=4, **style)
        return
    for x, y in lines:
        ax.plot(x, y, lw=0.7, alpha=0.45, marker="o" if len(x) < _FEW_POINTS else "", ms=2.5, **style)
    grid = _common_grid([np.array(x) for x, _ in lines])
    curves = np.array([np.interp(grid, x, y) for x, y in lines])
    ax.fill_between(grid, curves.min(axis=0), curves.max(axis=0), color=style["color"], alpha=0.15, lw=0)
    mark = "o" if len(grid) < _FEW_POINTS else ""
    ax.plot(grid, curves.mean(axis=0), label=label, lw=2.2, marker=mark, ms=5, **style)


def _common_grid(positions: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return positions that all curves reach; each curve is known from its first to its last."""
    start, end = max(x[0] for x in positions), min(x[-1] for x in positions)
    if end <= start:
        return np.array([start])
    return np.unique(np.concatenate([x[(x >= start) & (x <= end)] for x in positions]))


def _scored(run: ScoredRun) -> list[dict[str, float]]:
    return [row for row in run.curve if "val_score" in row]


def _draw_matrix(ax: Any, model: ComparedModel, names: Sequence[str]) -> Any:
    counts = model.matrix
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= MOST_NUMBERED:
        _number_cells(ax, counts, shares)
    ticks = range(len(names))
    angle = 35 if len(names) <= MOST_NUMBERED else 90
    turned: dict[str, Any] = {"rotation": angle, "ha": "right", "rotation_mode": "anchor"} if len(names) > 2 else {}
    size = min(11.0, 270 / len(names))
    ax.set_xticks(ticks, [shortened(name) for name in names], fontsize=size, **turned)
    ax.set_yticks(ticks, [shortened(name) for name in names], fontsize=size)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_title(model.label, fontsize=11)
    ax.set_xlabel("predicted")
    return image


def _number_cells(ax: Any, counts: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        ax.text(
            column,
            row,
            f"{share:.1%}\n{_count_text(float(counts[row, column]))}",
            ha="center",
            va="center",
            fontsize=7.5 if len(shares) > 4 else 10,
            color="white" if share > 0.55 else "black",
        )


def shortened(name: str) -> str:
    """Return the name of a class, of a length that a figure has room for."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"


def _count_text(count: float) -> str:
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= limit:
            return f"{count / limit:.3g}{unit}"
    return f"{count:.0f}"


def _limits(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Return limits of an axis of scores that show the differences; most scores lie close to each other."""
    if len(values) == 0:
        return 0.0, 1.0
    low, high = float(np.min(values)), float(np.max(values))
    margin = max(0.06 * (high - low), 0.01)
    return max(0.0, low - margin), min(1.0 + margin / 2, high + margin)


def columns_for(labels: Sequence[str]) -> int:
    """Return how many columns of a legend fit into the width of a figure."""
    longest = max((len(label) for label in labels), default=1)
    return max(1, min(len(labels), int(100 / (longest + 8))))


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue
