"""The model for nuclei in the docks: where a training starts from, and the first that can predict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from sklearn.metrics import f1_score

from napari_attnseg.data.classes import ClassEntry, default_colour, make_classes
from napari_attnseg.models.starter_models import model_path
from napari_attnseg.viewer.widgets.score_panel import NO_SCORE
from napari_attnseg.viewer.widgets.start_chooser import NEW
from tests.conftest import MakeFolder
from tests.viewer.canvas import until
from tests.viewer.docked import Docks, disc_folder, make_docks, opened, predicted, told, use

pytestmark = pytest.mark.timeout(300)

TEST = Path(__file__).parents[2] / "sample_data" / "nuclei" / "test"
NUCLEI = "nuclei (built in)"


@pytest.fixture
def docks(viewer: Any, qtbot: Any) -> Docks:
    return make_docks(viewer, qtbot)


def texts(box: Any) -> list[str]:
    return [box.itemText(row) for row in range(box.count())]


def pick(box: Any, text: str) -> None:
    """Choose a row as a user does."""
    row = box.findText(text)
    box.setCurrentIndex(row)
    box.activated.emit(row)


def test_a_training_starts_from_it_unless_another_start_is_chosen(docks: Docks, qtbot: Any, tmp_path: Path) -> None:
    train = docks.train
    opened(docks.annotate, qtbot, disc_folder(tmp_path / "discs", 3, masks=2))
    until(qtbot, lambda: train.start.start_box.currentText() == NUCLEI)
    assert texts(train.start.start_box)[:2] == [NUCLEI, NEW]
    assert train.start.value().start == model_path("nuclei")
    until(qtbot, lambda: "2 masks, 1 held out" in train.facts_label.text())
    assert train.banner.text() == ""
    train.form.groups["model"].editors["name"].setValue("unet")
    train.form.changed.emit()
    until(qtbot, lambda: "for unet start from a new model" in train.banner.text())
    pick(train.start.start_box, NEW)
    until(qtbot, lambda: "for unet" not in train.banner.text())
    train.training.refresh_models()
    qtbot.waitSignal(train.training.models_changed, timeout=5000).wait()
    assert train.start.value().start is None, "what was chosen stays"


def test_for_several_classes_a_new_model_is_the_start(docks: Docks, qtbot: Any, make_folder: MakeFolder) -> None:
    folder, box = make_folder(3, classes=2), docks.train.start.start_box
    (folder / "classes.json").write_text(json.dumps({"0": "background", "1": "liver", "2": "spleen"}))
    opened(docks.annotate, qtbot, folder)
    until(qtbot, lambda: NUCLEI in texts(box))
    assert box.currentText() == NEW
    row = texts(box).index(NUCLEI)
    assert row > texts(box).index(NEW)
    assert box.model().item(row).isEnabled(), "one may start from it all the same"
    assert "the masks here have liver, spleen" in box.itemData(row, Qt.ItemDataRole.ToolTipRole)


def test_classes_that_are_made_later_count(docks: Docks, qtbot: Any, tmp_path: Path) -> None:
    box = docks.train.start.start_box
    folder = disc_folder(tmp_path / "discs", 2)
    opened(docks.annotate, qtbot, folder)
    until(qtbot, lambda: box.currentText() == NUCLEI)
    classes = [
        ClassEntry(number, name, default_colour(number), number) for number, name in enumerate(("cell", "gap"), 1)
    ]
    docks.session.set_classes(make_classes(classes, folder / "classes.json"))
    docks.train.form.changed.emit()  # as whatever is done next makes the dock look again
    until(qtbot, lambda: box.currentText() == NEW)


def test_it_predicts_before_anything_is_trained(docks: Docks, qtbot: Any, tmp_path: Path) -> None:
    folder, chooser = tmp_path / "cells", docks.predict.models
    folder.mkdir()
    grey = tifffile.imread(TEST / "fluorescence01.tiff").max(axis=-1)
    tifffile.imwrite(folder / "grey.tiff", grey)
    opened(docks.annotate, qtbot, folder)
    until(qtbot, lambda: chooser.choices())
    assert texts(chooser.box)[:2] == ["choose a model", NUCLEI]
    assert chooser.value() is None, "nobody has chosen it"
    assert not docks.predict.buttons.image_button.isEnabled()
    pick(chooser.box, NUCLEI)
    until(qtbot, lambda: docks.predict.model == model_path("nuclei"))
    assert docks.train.scores.sentence.text() == NO_SCORE, "its scores are of other images"
    found = predicted(docks, qtbot)
    truth = tifffile.imread(TEST / "fluorescence01_MASK.tiff")
    assert found.class_names[1] == "nucleus"
    assert f1_score(truth.ravel() > 0, np.asarray(found.labels).ravel() > 0) > 0.7


def test_the_model_of_the_folder_stays_chosen(docks: Docks, qtbot: Any, tmp_path: Path, trained: Path) -> None:
    chooser, training = docks.predict.models, docks.predict.training
    opened(docks.annotate, qtbot, disc_folder(tmp_path / "discs", 2, masks=1))
    use(docks, qtbot, model_path("nuclei"))
    own = shutil.copy(trained, tmp_path / "own.safetensors")
    use(docks, qtbot, own)
    assert texts(chooser.box)[0] == NUCLEI
    assert chooser.value() == own
    until(qtbot, lambda: training.models.before == model_path("nuclei"))
    training.roll_back()
    until(qtbot, lambda: chooser.value() == model_path("nuclei"))
    assert "nuclei (built in) is in use again." in " ".join([docks.train.banner.text(), *told()])
