"""The learning curves of a run as a picture and, if TensorBoard is installed, as its event files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from napari_attnseg.data.atomic import replacing
from napari_attnseg.errors import SaveError
from napari_attnseg.training.run_folder import MetricsRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

_BLUE, _ORANGE, _GREY = "#1f6fb2", "#d9730d", "#777777"


@contextmanager
def names_as_they_are(style: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Let matplotlib draw within the block in a style of its settings, and take names of classes and images as text.

    A $ is no formula then, and letters that the font lacks become boxes without a warning for each.
    """
    from matplotlib import rc_context

    settings: Any = {**(style or {}), "text.parse_math": False}
    with rc_context(settings), catch_warnings():
        filterwarnings("ignore", "Glyph .* missing")
        yield


def draw_curves(path: Path, rows: Sequence[MetricsRow]) -> None:
    """Write a PNG: loss to the left, scores on the held-out images to the right, over epochs.

    Raises
    ------
    SaveError
        It cannot be written.
    """
    with names_as_they_are(), replacing(path) as temporary:
        _figure(rows).savefig(temporary, dpi=130)


def _figure(rows: Sequence[MetricsRow]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4))
    figure.subplots_adjust(0.06, 0.14, 0.985, 0.91, 0.13)  # a layout by what is drawn takes as long as the drawing
    epochs = [row["epoch"] for row in rows]
    has_scores = any("val_score" in row for row in rows)
    axes = figure.subplots(1, 2 if has_scores else 1, squeeze=False)[0]
    mark = "o" if len(rows) < 30 else ""
    axes[0].plot(epochs, [row["loss"] for row in rows], color=_BLUE, marker=mark, ms=3.5, label="training")
    if has_scores:
        axes[0].plot(epochs, _column(rows, "val_loss"), color=_ORANGE, marker=mark, ms=3.5, label="held out")
        _draw_scores(axes[1], rows, epochs, mark)
    axes[0].set(title="Loss", xlabel="Epoch", ylim=(0, None))
    for ax in axes:
        ax.legend(frameon=False)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


class TensorBoard:
    """Writes a run's rows as TensorBoard events; does nothing where TensorBoard is not installed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tensorboard"
        self._writer: SummaryWriter | None = None

    def add(self, row: MetricsRow) -> None:
        """Write one row of metrics.csv; earlier ones of the same or a later epoch are out of date from then on."""
        if self._writer is None and find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter  # here: a run that ends before its first row needs none

            self._writer = SummaryWriter(str(self._folder), purge_step=int(row["epoch"]))
        if self._writer is not None:
            for name, value in row.items():
                if name not in ("epoch", "minutes"):
                    group = "held out" if name.startswith("val_") else "training"
                    self._writer.add_scalar(f"{group}/{name.removeprefix('val_')}", value, int(row["epoch"]))
            try:
                self._writer.flush()
            except OSError as error:
                raise SaveError(f"TensorBoard's files cannot be written ({error.strerror}).") from error

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def _draw_scores(ax, rows: Sequence[MetricsRow], epochs: Sequence[float], mark: str) -> None:  # type: ignore[no-untyped-def]
    dice = [name for row in rows[:1] for name in row if name.startswith("val_dice_")][1:]
    shown = {name: f"Dice {name.removeprefix('val_dice_')}" for name in dice} or {
        "val_f1": "F1",
        "val_jaccard": "Jaccard",
    }
    for name, text in shown.items():
        ax.plot(epochs, _column(rows, name), marker=mark, ms=3.5, label=text)
    score = _column(rows, "val_score")
    best = max(range(len(score)), key=score.__getitem__)
    side = "right" if best > len(score) / 2 else "left"
    ax.axvline(epochs[best], color=_GREY, lw=0.8, ls=":")
    ax.annotate(f" best, {score[best]:.3f} ", (epochs[best], 0.02), color=_GREY, fontsize=9, ha=side)
    ax.set(title="Scores on held-out images", xlabel="Epoch", ylim=(0, 1))


def _column(rows: Sequence[MetricsRow], name: str) -> list[float]:
    return [row.get(name, float("nan")) for row in rows]
