"""Predictions in the viewer: which layers there are, what the controls do, what goes wrong, and many images at once."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QPushButton

from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.annotation.trainings.folder_models import model_key
from napari_attnseg.data.classes import ClassEntry, Classes
from napari_attnseg.viewer.predict.predicted_image import PredictedImage
from napari_attnseg.viewer.predict.predicting import Target
from tests.conftest import MakeFolder
from tests.viewer.canvas import until
from tests.viewer.docked import (
    LONG,
    Docks,
    click,
    disc_folder,
    labels,
    make_docks,
    opened,
    ours,
    predicted,
    told,
    use,
)

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def docks(viewer: Any, qtbot: Any) -> Docks:
    return make_docks(viewer, qtbot)


def said(docks: Docks, qtbot: Any) -> str:
    """Press 'Predict this image', and return the sentence on why there is no prediction."""
    buttons, ends = docks.predict.buttons, []
    docks.predict.predicting.ended.connect(ends.append)
    click(qtbot, buttons.image_button)
    until(qtbot, lambda: ends, LONG)
    docks.predict.predicting.ended.disconnect(ends.append)
    assert ends == [buttons.line.text()]
    assert not buttons.isBusy()
    return str(ends[0])


def seen(viewer: Any) -> list[str]:
    """Return the names of the prediction's layers that are visible, the topmost first."""
    roles = ("prediction", "probability", "uncertainty", "attention")
    return [layer.name for role in roles for layer in ours(viewer, role) if layer.visible]


def test_layers_and_controls(docks: Docks, qtbot: Any, tmp_path: Path, trained: Path) -> None:
    folder, viewer, dock = disc_folder(tmp_path / "discs", 2, masks=1), docks.viewer, docks.predict
    calibrated = tifffile.imread(folder / "disc00.tif")
    tifffile.imwrite(folder / "disc00.tif", calibrated, imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    opened(docks.annotate, qtbot, folder)
    assert "No model yet" in dock.buttons.image_button.toolTip()
    assert not dock.rank_button.isEnabled()
    assert "No model yet" in dock.rank_button.toolTip()
    use(docks, qtbot, trained)
    assert dock.rank_button.isEnabled()
    mask = labels(docks.annotate).copy()
    found = predicted(docks, qtbot)
    gates = len(found.attention)
    assert gates == 2
    assert [layer.name for layer in reversed(viewer.layers)] == [
        "disc00_MASK",
        "disc00 prediction",
        "disc00 probability of foreground",
        "disc00 attention 1 (deepest)",
        "disc00 attention 2 (finest)",
        "disc00",
    ]
    assert [layer.scale.tolist() for layer in viewer.layers] == [[0.25, 0.25]] * 6
    assert seen(viewer) == ["disc00 prediction"]
    assert viewer.layers.selection.active is docks.session.mask.layer  # type: ignore[union-attr]

    for name, layer in (("attention", "disc00 attention 2 (finest)"), ("probability", "probability of foreground")):
        dock.layers.boxes[name].setChecked(True)
        assert any(layer in shown for shown in seen(viewer))
    assert len(seen(viewer)) == 3
    dock.layers.level_box.setCurrentIndex(0)
    assert "disc00 attention 1 (deepest)" in seen(viewer)
    assert len(seen(viewer)) == 3, "one attention at a time"
    dock.layers.boxes["uncertainty"].setChecked(True)
    assert any("uncertainty" in shown for shown in seen(viewer))
    for name in ("attention", "probability", "uncertainty", "prediction"):
        dock.layers.boxes[name].setChecked(False)
    assert seen(viewer) == []

    layer = ours(viewer, "prediction")[0]
    before = int(np.count_nonzero(layer.data))
    found.probability[0, 18, 18] = 0.0  # a hole
    dock.controls.threshold_slider.setValue(20)
    more = int(np.count_nonzero(layer.data))
    dock.controls.threshold_slider.setValue(90)
    fewer = int(np.count_nonzero(layer.data))
    assert fewer < before <= more
    dock.controls.threshold_slider.setValue(50)
    assert layer.data[18, 18] == 0
    dock.controls.holes_box.setChecked(True)
    assert layer.data[18, 18] == 1
    dock.controls.size_box.setValue(4000)
    assert not layer.data.any()
    dock.controls.size_box.setValue(0)
    assert layer.contour > 0
    dock.controls.contours_box.setChecked(False)
    assert layer.contour == 0
    assert np.array_equal(labels(docks.annotate), mask), "nothing of this touches the mask"

    predicted(docks, qtbot)
    count = len(viewer.layers)
    assert count == 6, "how unsure it is is computed only where that is wished"
    drawn, replaced = [], []
    dock.layers.boxes["probability"].setChecked(True)
    probability = ours(viewer, "probability")[0]
    probability.events.set_data.connect(drawn.append)
    probability.events.data.connect(replaced.append)
    predicted(docks, qtbot)
    assert len(viewer.layers) == count, "they are updated in place"
    assert drawn, "what came into the memory that is shown is drawn"
    assert not replaced, "to set data anew takes napari longer"
    dock.layers.boxes["probability"].setChecked(False)
    assert docks.session.mask is not None
    viewer.layers.remove(docks.session.mask.layer)
    docks.session.bring_back(folder / "disc00.tif")
    until(qtbot, lambda: docks.session.mask is not None)
    assert [layer.name for layer in viewer.layers][-2:] == ["disc00 prediction", "disc00_MASK"], "it lies above again"
    docks.annotate.images.step(1)
    until(qtbot, lambda: docks.session.shown == folder / "disc01.tif")
    until(qtbot, lambda: dock.proposals.current is None)
    names = [layer.name for layer in reversed(viewer.layers)]
    assert names[:2] == ["disc01_MASK", "prediction"]
    assert not any("disc00" in name for name in names), "what is empty is named after no image"
    assert not ours(viewer, "prediction")[0].thumbnail[..., :3].any()
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"pixel"}, "napari draws none of a mixture"
    dock.layers.boxes["prediction"].setChecked(True)
    assert seen(viewer) == []
    assert not dock.accepts.buttons["all"].isEnabled()
    predicted(docks, qtbot)
    assert len(viewer.layers) == count
    assert seen(viewer) == ["disc01 prediction"]
    assert ours(viewer, "prediction")[0].scale.tolist() == [1.0, 1.0]
    _leaf_back(docks, qtbot, found)


def _leaf_back(docks: Docks, qtbot: Any, first: PredictedImage) -> None:
    """Check that what was predicted of an image is shown when it is opened, or a mask of it selected, again."""
    session, dock, viewer = docks.session, docks.predict, docks.viewer
    later, asked = dock.proposals.current, []
    dock.predicting.progressed.connect(lambda done, left: asked.append(done))
    at_once: list[Any] = []
    session.shown_changed.connect(lambda: at_once.append(dock.proposals.current))
    docks.annotate.images.step(-1)
    until(qtbot, lambda: session.shown == first.image)
    assert at_once[-1] is first, "before the image is drawn"
    assert session.mask is not None
    assert viewer.layers.selection.active is session.mask.layer
    assert seen(viewer) == ["disc00 prediction"]

    own, other = session.mask.layer, first.image.with_name("disc01.tif")
    tifffile.imwrite(other.with_name("disc01_MASK.tif"), np.zeros((64, 64), np.uint8))
    viewer.open(str(other), plugin="napari-attnseg")
    until(qtbot, lambda: any(mask.editing.document.image == other for mask in session.masks))
    dropped = next(mask.layer for mask in session.masks if mask.editing.document.image == other)
    own.mode = "erase"
    for layer, shown in ((dropped, later), (own, first), (dropped, later), (own, first)):
        viewer.layers.selection.active = layer
        until(qtbot, lambda shown=shown: dock.proposals.current is shown)
        assert viewer.layers.selection.active is layer
    assert own.mode == "erase"
    assert asked == [], "nothing of this is predicted anew"


@pytest.mark.one_binding
def test_image_left_and_child_killed_while_it_predicts(docks: Docks, qtbot: Any, tmp_path: Path, trained: Path) -> None:
    folder, dock = disc_folder(tmp_path / "discs", 2), docks.predict
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    predicted(docks, qtbot)
    child = dock.predicting._child
    assert child is not None
    pid = child.pid
    assert pid is not None

    os.kill(pid, signal.SIGSTOP)  # so that it is not faster than we are
    click(qtbot, dock.buttons.image_button)
    until(qtbot, dock.buttons.isBusy)
    docks.session.show(folder / "disc01.tif")
    until(qtbot, lambda: docks.session.shown == folder / "disc01.tif")
    os.kill(pid, signal.SIGCONT)
    until(qtbot, lambda: not dock.buttons.isBusy())
    assert dock.proposals.current is None
    assert seen(docks.viewer) == []
    assert dock.buttons.line.text() == ""

    os.kill(pid, signal.SIGSTOP)
    click(qtbot, dock.buttons.image_button)
    until(qtbot, dock.buttons.isBusy)
    os.kill(pid, signal.SIGKILL)
    until(qtbot, lambda: not dock.buttons.isBusy())
    assert "was killed" in dock.buttons.line.text()
    assert predicted(docks, qtbot).image == folder / "disc01.tif"
    assert dock.buttons.line.text() == ""

    os.kill(child.pid or 0, signal.SIGSTOP)
    click(qtbot, dock.buttons.image_button)
    until(qtbot, dock.buttons.isBusy)
    until(qtbot, dock.buttons.cancel_button.isVisible)
    click(qtbot, dock.buttons.cancel_button)
    until(qtbot, lambda: not dock.buttons.isBusy())
    os.kill(child.pid or 0, signal.SIGCONT)
    assert not [sentence for sentence in told() if "rror" in sentence]


def test_a_stack_plane_by_plane_and_whole(docks: Docks, qtbot: Any, make_folder: MakeFolder, trained: Path) -> None:
    folder, dock = make_folder(1, planes=3), docks.predict
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    assert dock.buttons.image_button.text() == "Predict this stack"
    measured: list[Path] = []
    dock.predicting.measured.connect(lambda image, model, value: measured.append(image))
    dock.predicting.predict_ahead(trained, folder / "cell00.tif")
    dock.predicting.predict(trained, Target(folder / "cell00.tif", (), ()), purpose="ahead")  # as if of one plane
    until(qtbot, lambda: measured, LONG)
    assert not dock.predicting._asked, "the other one was not asked for: it is a stack"
    assert dock.proposals.current is None
    docks.viewer.dims.set_current_step(0, 1)
    dock.buttons.actions_by_name["plane"].trigger()
    until(qtbot, lambda: dock.proposals.current is not None, LONG)
    found = dock.proposals.current
    assert found is not None
    assert found.planes == {(1,)}
    layer = ours(docks.viewer, "prediction")[0]
    assert layer.data.shape == (3, 48, 40)
    assert [bool(plane.any()) for plane in layer.data] == [False, True, False]
    until(qtbot, lambda: not dock.buttons.isBusy())
    assert predicted(docks, qtbot) is found
    assert found.planes == {(0,), (1,), (2,)}
    assert all(plane.any() for plane in layer.data)
    assert ours(docks.viewer, "prediction") == [layer]
    before = labels(docks.annotate).copy()
    click(qtbot, dock.accepts.buttons["all"])
    assert np.array_equal(labels(docks.annotate), layer.data)
    docks.session.undo()
    assert np.array_equal(labels(docks.annotate), before)


@pytest.mark.one_binding
def test_images_and_models_that_do_not_fit_get_a_sentence(
    docks: Docks, qtbot: Any, tmp_path: Path, trained: Path
) -> None:
    folder, dock = disc_folder(tmp_path / "discs", 3), docks.predict
    grey = tifffile.imread(folder / "disc00.tif")
    tifffile.imwrite(folder / "disc00.tif", grey.astype(np.uint16) * 200)
    tifffile.imwrite(folder / "disc01.tif", np.stack([grey] * 3, axis=-1), photometric="rgb")
    tifffile.imwrite(folder / "disc02.tif", np.stack([grey] * 2), metadata={"axes": "CYX"}, photometric="minisblack")
    (folder / "classes.json").write_text('{"0": "background", "1": "cell", "2": "border"}')
    model = tmp_path / "mine.safetensors"
    shutil.copy(trained, model)
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, model)
    assert predicted(docks, qtbot).labels.any(), "16 bits"
    assert "does not have" in dock.banner.text(), "the folder has other classes"
    assert "foreground" in dock.banner.text()
    click(qtbot, dock.accepts.buttons["all"])
    click(qtbot, dock.accepts.buttons["next"])
    assert not labels(docks.annotate).any(), "what the model calls 1 is a cell here"
    assert docks.session.shown == folder / "disc00.tif"
    assert any("does not have" in sentence for sentence in told())
    known = docks.session.folder
    assert known is not None
    docks.session.set_classes(Classes((*known.classes.entries, ClassEntry(3, "Foreground", "#009e73", 3))))
    until(qtbot, lambda: len(known.classes) == 4)
    click(qtbot, dock.accepts.buttons["all"])
    assert np.unique(labels(docks.annotate)).tolist() == [0, 3], "the class that was added meanwhile"
    assert np.array_equal(ours(docks.viewer, "prediction")[0].data, labels(docks.annotate))
    assert dock.banner.text() == ""

    for name, channels in (("disc01.tif", "3"), ("disc02.tif", "2")):
        docks.session.show(folder / name)
        until(qtbot, lambda name=name: docks.session.shown == folder / name)
        sentence = said(docks, qtbot)
        assert name in sentence
        assert channels in sentence
    docks.session.show(folder / "disc00.tif")
    until(qtbot, lambda: docks.session.shown == folder / "disc00.tif")
    model.write_bytes(b"something else")
    assert "mine.safetensors" in said(docks, qtbot)
    until(qtbot, lambda: "mine.safetensors" in dock.banner.text())
    model.unlink()
    until(qtbot, dock.buttons.image_button.isEnabled)
    assert "mine.safetensors" in said(docks, qtbot)
    until(qtbot, lambda: "no longer there" in dock.banner.text())
    assert not dock.buttons.image_button.isEnabled()
    shutil.copy(trained, model)
    use(docks, qtbot, model)
    predicted(docks, qtbot)


@pytest.mark.one_binding
def test_many_images_are_predicted_into_files(docks: Docks, qtbot: Any, tmp_path: Path, trained: Path) -> None:
    folder, dock = disc_folder(tmp_path / "discs", 4, masks=2), docks.predict
    out = folder / "attnseg_predictions"
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    actions = dock.buttons.actions_by_name
    assert actions["unmasked"].text() == "Predict all images without a mask (2)"
    shares: list[float] = []
    dock.batch.progressed.connect(lambda done, left, text: shares.append(done))
    actions["unmasked"].trigger()
    assert dock.buttons.isBusy()
    until(qtbot, lambda: not dock.batch.is_active, LONG)
    assert sorted(path.name for path in out.iterdir()) == ["disc02_PRED.tif", "disc03_PRED.tif"]
    assert "Wrote 2 predictions" in dock.buttons.line.text()
    assert max(shares) > 0.4
    assert len(open_folder(folder).pairs) == 4, "predictions are no images"

    actions["all"].trigger()
    until(qtbot, dock.buttons.cancel_button.isVisible)
    click(qtbot, dock.buttons.cancel_button)  # while it starts
    until(qtbot, lambda: not dock.batch.is_active, LONG)
    assert not dock.buttons.isBusy()
    assert len(list(out.iterdir())) < 4


@pytest.mark.one_binding
def test_images_are_ranked_by_what_the_model_is_unsure_of(
    docks: Docks, qtbot: Any, tmp_path: Path, trained: Path
) -> None:
    folder, dock = disc_folder(tmp_path / "discs", 4, masks=1), docks.predict
    images = docks.annotate.images
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    assert isinstance(dock.rank_button, QPushButton)
    click(qtbot, dock.rank_button)
    assert dock.rank_button.text() == "Stop"
    until(qtbot, lambda: any(entry.unsure is not None for entry in images.entries()), LONG)
    first = [entry.image for entry in images.entries() if entry.unsure is not None]
    assert folder / "disc00.tif" not in first, "those without a mask come first"
    if dock.ranking.is_active:
        click(qtbot, dock.rank_button)
    assert dock.rank_label.text() == ""
    click(qtbot, dock.rank_button)
    until(qtbot, lambda: not dock.ranking.is_active, LONG)
    until(qtbot, lambda: all(entry.unsure is not None for entry in images.entries()))
    assert all(entry.note.startswith("unsure ") for entry in images.entries())
    until(qtbot, lambda: len(open_folder(folder).uncertainty) == 4)
    click(qtbot, dock.rank_button)
    assert not dock.ranking.is_active, "all of it is known"

    learning = tmp_path / "learning.safetensors"
    shutil.copy(trained, learning)
    target = dock.proposals.target()
    assert target is not None
    dock.predicting.predict(learning, target, purpose="preview")
    until(qtbot, lambda: dock.proposals.current is not None and dock.proposals.current.model == learning, LONG)
    known = docks.session.folder
    assert known is not None
    assert known.without_uncertainty(model_key(trained)) == [], "a preview says nothing about the model in use"
