"""The loop of painting, training, predicting and correcting, by mouse and keyboard, with real children."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_attnseg.annotation.trainings.runs import run_folders
from napari_attnseg.models.model_card import load_card
from tests.viewer.canvas import press, until
from tests.viewer.docked import (
    DISCS,
    LONG,
    RADIUS,
    Docks,
    click,
    disc_folder,
    labels,
    make_docks,
    opened,
    ours,
    paint,
    predicted,
    save,
    set_tiny,
    use,
    wait_for_end,
)

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def docks(viewer: Any, qtbot: Any) -> Docks:
    return make_docks(viewer, qtbot)


def paint_discs(docks: Docks, qtbot: Any) -> None:
    for place in DISCS:
        paint(docks.annotate, qtbot, [place, (place[0] + 1, place[1])], brush=2 * RADIUS)


def order_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((run_folders(folder)[0] / "run.json").read_text()))


def test_two_masks_are_painted_and_learnt_from(docks: Docks, qtbot: Any, tmp_path: Path) -> None:
    folder = disc_folder(tmp_path / "discs", 3)
    train, run = docks.train, docks.train.training.run
    opened(docks.annotate, qtbot, folder)
    until(qtbot, lambda: "No image has a mask yet" in train.train_button.toolTip())
    assert not train.train_button.isEnabled()
    assert "no model in use" in train.tune_button.toolTip()

    paint_discs(docks, qtbot)
    docks.annotate.images.step(1)
    until(qtbot, lambda: docks.session.shown == folder / "disc01.tif")
    paint_discs(docks, qtbot)
    assert len(docks.session.unsaved) == 2
    set_tiny(docks, qtbot, epochs=300)
    train.form.groups["training"].editors["seed"].setValue(7)
    assert train.train_button.isEnabled(), "what is painted is saved by the button"

    figures: list[str] = []
    run.progressed.connect(lambda _: figures.append(train.progress.line.text()))
    click(qtbot, train.train_button)
    until(qtbot, lambda: run.state == "running", LONG)
    assert sorted(path.name for path in folder.glob("*_MASK.tif")) == ["disc00_MASK.tif", "disc01_MASK.tif"]
    assert not train.train_button.isEnabled()
    until(qtbot, lambda: len(train.curves.rows()) >= 2, LONG)
    assert all(row["val_score"] >= 0 for row in train.curves.rows())
    assert any("of\N{NO-BREAK SPACE}300" in line and "left" in line for line in figures)
    until(qtbot, lambda: ours(docks.viewer, "prediction"), LONG)  # the preview, of which nothing was asked
    shown = docks.predict.proposals.current
    assert shown is not None
    assert shown.model.parent == run.folder
    assert shown.is_preview
    assert ours(docks.viewer, "prediction")[0].name == "disc01 preview"

    click(qtbot, train.progress.pause_button)
    until(qtbot, lambda: train.progress.pause_button.text() == "Go on")
    until(qtbot, lambda: "paused" in (run.folder / "events.jsonl").read_text().splitlines()[-1], LONG)
    rows = len(run.rows)
    qtbot.wait(300)
    assert len(run.rows) - rows <= 1, "it rests"
    click(qtbot, train.progress.pause_button)
    until(qtbot, lambda: len(run.rows) > rows + 1, LONG)

    click(qtbot, train.progress.stop_button)
    assert wait_for_end(docks, qtbot) == "cancelled"
    order = order_of(folder)
    assert order["settings"]["training"]["seed"] == 7
    assert order["settings"]["model"]["widths"] == [8, 16]
    assert docks.predict.model == run_folders(folder)[0] / "best.safetensors"
    assert load_card(docks.predict.model).images == 1
    until(qtbot, lambda: docks.predict.proposals.current is not None, LONG)  # in the place of the preview
    last = docks.predict.proposals.current
    assert last is not None
    assert (last.model, last.is_preview) == (docks.predict.model, False)
    until(qtbot, docks.predict.buttons.image_button.isEnabled)
    assert "No mask was edited" in train.tune_button.toolTip()
    assert "1 held-out image" in train.scores.sentence.text()
    assert found_nothing_of_torch()


def found_nothing_of_torch() -> bool:
    """Start the docks in a process of their own; tests of the engine may have loaded PyTorch in this one."""
    code = (
        "import sys, napari_attnseg.viewer.train.dock, napari_attnseg.viewer.predict.dock;"
        "import napari_attnseg.viewer.session.learning;"
        "sys.exit('torch' in sys.modules)"
    )
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.one_binding
def test_fine_tuning_concentrates_on_what_was_edited(docks: Docks, qtbot: Any, tmp_path: Path, trained: Path) -> None:
    folder = disc_folder(tmp_path / "discs", 4, masks=4)
    train, training = docks.train, docks.train.training
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    assert not train.tune_button.isEnabled()
    assert "No mask was edited" in train.tune_button.toolTip()
    paint(docks.annotate, qtbot)
    assert train.tune_button.isEnabled()
    assert train.tune_button.text() == "Fine-tune on 1 edited mask"
    set_tiny(docks, qtbot, learning_rate=1.0, warmup=0.0, ema=0.0)  # what it knew is lost
    click(qtbot, train.tune_button)
    until(qtbot, lambda: training.run.rows, LONG)
    assert not docks.session.unsaved
    click(qtbot, train.progress.stop_button)
    assert wait_for_end(docks, qtbot) == "cancelled"
    order = order_of(folder)
    assert order["init"] == str(trained)
    assert order["focus"] == [str(folder / "disc00.tif")]
    assert training.models.in_use == trained, "what is no better is not used"
    assert "no better" in train.banner.text()
    assert not train.tune_button.isEnabled()

    new = run_folders(folder)[0] / "last.safetensors"
    click(qtbot, train.scores.use_button)
    until(qtbot, lambda: training.models.in_use == new)
    assert not train.scores.use_button.isVisible()
    click(qtbot, train.scores.back_button)
    until(qtbot, lambda: training.models.in_use == trained)


@pytest.mark.one_binding
def test_predict_correct_and_see_how_much_was_to_correct(
    docks: Docks, qtbot: Any, tmp_path: Path, trained: Path
) -> None:
    folder = disc_folder(tmp_path / "discs", 3, masks=2)
    docks.annotate.images.setCurrent(folder / "disc02.tif")
    opened(docks.annotate, qtbot, folder)
    docks.session.show(folder / "disc02.tif")
    until(qtbot, lambda: docks.session.shown == folder / "disc02.tif")
    use(docks, qtbot, trained)
    predicted(docks, qtbot)
    click(qtbot, docks.predict.accepts.buttons["all"])
    assert labels(docks.annotate).any()
    paint(docks.annotate, qtbot, [(58.0, 6.0), (58.0, 20.0)])
    save(docks.annotate, qtbot)
    until(qtbot, lambda: docks.train.effort.value())
    dice = docks.train.effort.value()
    assert len(dice) == 1
    assert 0.5 < dice[0] < 1
    assert (folder / ".attnseg" / "corrections.csv").read_text().count("disc02.tif") == 1
    press(qtbot, docks.viewer, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(labels(docks.annotate), docks.predict.proposals.current.labels)  # type: ignore[union-attr]
