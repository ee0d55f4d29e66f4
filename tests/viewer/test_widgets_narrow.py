"""The widgets of Train and Predict in a narrow dock, in napari's own style: nothing cut off, everything explained.

All in one window, because a window takes longer to open than all of this.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QLabel, QWidget

from napari_attnseg.settings import PredictionSettings, RunSettings
from napari_attnseg.viewer.widgets.accept_panel import AcceptPanel
from napari_attnseg.viewer.widgets.curves import TrainingCurves
from napari_attnseg.viewer.widgets.effort_plot import EffortPlot
from napari_attnseg.viewer.widgets.folded import FoldedPart, folded
from napari_attnseg.viewer.widgets.layer_choice import LayerChoice
from napari_attnseg.viewer.widgets.model_chooser import ModelChooser, ModelOption
from napari_attnseg.viewer.widgets.predict_buttons import PredictButtons
from napari_attnseg.viewer.widgets.run_progress import RunProgress
from napari_attnseg.viewer.widgets.score_panel import ScoreChange, ScorePanel, ScoreRow
from napari_attnseg.viewer.widgets.settings_form import SettingsForm
from napari_attnseg.viewer.widgets.start_chooser import StartChoice, StartChooser
from napari_attnseg.viewer.widgets.threshold_controls import OverlayOptions, ThresholdControls
from tests.viewer.narrow import cut_off, dock, without_tooltip

LONG = "a class with a long name that somebody gave it"
ROW = {"epoch": 1, "loss": 0.9, "val_loss": 1.0, "val_score": 0.3, "val_f1": 0.3, "minutes": 0.1}


def _accept() -> QWidget:
    return AcceptPanel()


def _curves() -> QWidget:
    curves = TrainingCurves()
    curves.setRows([{**ROW, "val_dice_background": 0.9, f"val_dice_{LONG}": 0.4, "val_dice_b": 0.5}])
    curves.setStart(0.2)
    return curves


def _effort() -> QWidget:
    effort = EffortPlot()
    effort.setValue([0.5, 0.6])
    return effort


def _form() -> QWidget:
    form = SettingsForm({**RunSettings.groups(), "prediction": PredictionSettings})
    for part in form.parts.values():
        part.expand(animate=False)
    form.setValue({"training": {"max_minutes": 5.0, "foreground": 0.25, "patience": 100}})
    form.groups["training"].editors["weight_decay"].setText("abc")
    return form


def _basic_form() -> QWidget:
    return SettingsForm(RunSettings.groups(), basic=True)


def _layers() -> QWidget:
    layers = LayerChoice()
    layers.setClasses([LONG, "b"])
    layers.setLevels(4)
    return layers


def _models() -> QWidget:
    chooser = ModelChooser()
    chooser.setChoices([ModelOption(60 * "long ", Path("/m"), "Trained here", "tip", 30 * "details ")])
    chooser.setValue(Path("/m"))
    return chooser


def _predict() -> QWidget:
    buttons = PredictButtons()
    buttons.setProgress(0.3, "predicting 1234 of 5678 images of the folder, which are many", 7500)
    return buttons


def _progress() -> QWidget:
    progress = RunProgress()
    progress.setState("running")
    progress.setProgress(0.99, {"epoch": 10_000, "epochs": 10_000, "batch": 500, "batches": 500, "memory": 2.3e10}, 9e4)
    progress.addNotice("The GPU's memory ran out; going on with 8 patches at a time.")
    return progress


def _scores() -> QWidget:
    panel = ScorePanel()
    panel.setChange(ScoreChange(0.88, 0.81, 8))
    panel.setRows([ScoreRow("mean", 0.88, 0.79, 0.9, 0.87), ScoreRow(LONG, 1.0, 1.0, 1.0, 1.0)])
    panel.setUsable(True)
    return panel


def _start() -> QWidget:
    chooser = StartChooser()
    chooser.setValue(StartChoice(Path("/a/very_long_name_of_a_model_file_from_a_colleague.safetensors"), None, 100_000))
    return chooser


def _threshold() -> QWidget:
    controls = ThresholdControls()
    controls.setValue(OverlayOptions(0.99, 999_999))
    return controls


MAKERS: tuple[Callable[[], QWidget], ...] = (
    *(_accept, _basic_form, _curves, _effort, _form, _layers),
    *(_models, _predict, _progress, _scores, _start, _threshold),
)


def test_everything_fits_and_explains_itself(viewer: Any, qtbot: Any) -> None:
    cut: dict[str, list[str]] = {}
    mute: dict[str, list[str]] = {}
    for make in MAKERS:
        widget = make()
        area = dock(viewer, qtbot, widget)
        cut[make.__name__] = cut_off(widget)
        mute[make.__name__] = without_tooltip(widget)
        viewer.window.remove_dock_widget(area)
    assert {name: texts for name, texts in cut.items() if texts} == {}
    assert {name: kinds for name, kinds in mute.items() if kinds} == {}


def test_axes_are_seen_in_either_theme(viewer: Any, qtbot: Any) -> None:
    curves, effort = TrainingCurves(), EffortPlot()
    curves.setRows([ROW])
    effort.setValue([0.5, 0.6])
    both = QWidget()
    for widget in (curves, effort):
        widget.setParent(both)
    dock(viewer, qtbot, both)
    for theme in ("light", "dark"):
        viewer.theme = theme
        for plot in (curves.loss_plot, curves.score_plot, effort.plot):
            qtbot.waitUntil(lambda plot=plot, theme=theme: _is_bright(plot) == (theme == "dark"))


def test_arrows_are_seen_in_either_theme(viewer: Any, qtbot: Any) -> None:
    part = folded("Title", QLabel("inside"))
    dock(viewer, qtbot, part)
    for theme in ("light", "dark"):
        viewer.theme = theme
        qtbot.waitUntil(lambda theme=theme: _arrow_is_bright(part) == (theme == "dark"))
        part.expand(animate=False)
        assert _arrow_is_bright(part) == (theme == "dark")
        part.collapse(animate=False)


def _arrow_is_bright(part: FoldedPart) -> bool:
    """Whether the pixels of the arrow that are drawn at all are bright."""
    picture = part.toggleButton().icon().pixmap(12, 12).toImage()
    places = [(x, y) for x in range(picture.width()) for y in range(picture.height())]
    drawn = [colour for colour in (picture.pixelColor(*place) for place in places) if colour.alpha() > 200]
    assert drawn
    return sum(colour.lightness() for colour in drawn) / len(drawn) > 128


def _is_bright(plot: Any) -> bool:
    return bool(plot.getPlotItem().getAxis("left").textPen().color().lightness() > 128)
