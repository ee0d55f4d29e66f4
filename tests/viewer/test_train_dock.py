"""What the Train dock says before a training, and why its buttons are off; nothing is started here."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.folder import mask_survey
from napari_attnseg.events import CheckpointSaved, Failed, Notice
from tests.viewer.canvas import until
from tests.viewer.docked import (
    Docks,
    click,
    disc_folder,
    make_docks,
    opened,
    paint,
    save,
    set_tiny,
    told,
    use,
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def docks(viewer: Any, qtbot: Any) -> Docks:
    return make_docks(viewer, qtbot)


def knows(docks: Docks, qtbot: Any, text: str) -> None:
    """Wait until the dock says something of what there is to learn from."""
    train = docks.train
    until(qtbot, lambda: text in f"{train.facts_label.text()} {train.banner.text()} {train.train_button.toolTip()}")


def test_without_a_folder_or_masks_the_buttons_say_why(docks: Docks, qtbot: Any, tmp_path: Path) -> None:
    train = docks.train
    knows(docks, qtbot, "Open a folder of images")
    assert not train.train_button.isEnabled()
    assert train.tune_button.toolTip() == "Open a folder of images first."
    folder = disc_folder(tmp_path / "discs", 2)
    opened(docks.annotate, qtbot, folder)
    knows(docks, qtbot, "No image has a mask yet")
    assert not train.train_button.isEnabled()
    paint(docks.annotate, qtbot)
    until(qtbot, train.train_button.isEnabled)
    assert "not saved yet: 1 mask" in train.banner.text()
    save(docks.annotate, qtbot)
    knows(docks, qtbot, "Only one image has a mask")
    assert train.train_button.isEnabled()
    assert "1 mask, none held out" in train.facts_label.text()


def test_empty_masks_teach_nothing(docks: Docks, qtbot: Any, tmp_path: Path) -> None:
    folder = disc_folder(tmp_path / "discs", 2)
    for number in range(2):
        tifffile.imwrite(folder / f"disc{number:02d}_MASK.tif", np.zeros((64, 64), np.uint8))
    opened(docks.annotate, qtbot, folder)
    knows(docks, qtbot, "All 2 masks are empty")
    assert not docks.train.train_button.isEnabled()


def test_what_there_is_to_learn_from_follows_the_settings(docks: Docks, qtbot: Any, tmp_path: Path) -> None:
    opened(docks.annotate, qtbot, disc_folder(tmp_path / "discs", 5, masks=5))
    knows(docks, qtbot, "5 masks, 1 held out")
    docks.train.form.groups["data"].editors["val_fraction"].setValue(0.4)
    knows(docks, qtbot, "5 masks, 2 held out")
    assert "64 x 64 pixels" in docks.train.facts_label.text()
    hidden = {"epochs", "max_minutes", "axes", "mask_suffix", "mask_values"}
    shown = {name for rows in docks.train.form.groups.values() for name in rows.editors}
    assert not shown & hidden, "these stand elsewhere"


def test_finding_out_what_there_is_to_learn_from_holds_up_no_image(
    docks: Docks, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = disc_folder(tmp_path / "discs", 5, masks=5)
    opened(docks.annotate, qtbot, folder)
    knows(docks, qtbot, "5 masks, 1 held out")
    session, train = docks.session, docks.train
    assert session.folder is not None
    for number in range(5):
        session.folder.note_saved(folder / f"disc0{number}.tif", folder / f"disc0{number}_MASK.tif")
    is_reading, may_read, survey_mask = Event(), Event(), mask_survey.survey_mask

    def slow(mask: Path) -> mask_survey.MaskValues:
        is_reading.set()
        assert may_read.wait(60)
        return survey_mask(mask)

    monkeypatch.setattr(mask_survey, "survey_mask", slow)
    facts: list[Any] = []
    train.training.facts_changed.connect(facts.append)
    settings = train.training.settings(train.form.value(), train.start.value())
    for _ in range(6):
        train.training.look(settings, None)
    until(qtbot, is_reading.is_set)
    try:
        docks.annotate.images.step(1)
        until(qtbot, lambda: session.shown == folder / "disc01.tif")
        assert not facts
    finally:
        may_read.set()
    until(qtbot, lambda: facts)
    assert [found.masks for found in facts] == [5], "only what was asked last is told"


def test_another_folder_is_told_nothing_of_the_training_before(
    docks: Docks, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = disc_folder(tmp_path / "first", 1), disc_folder(tmp_path / "second", 1)
    train, run = docks.train, docks.train.training.run
    asked: list[Path] = []
    monkeypatch.setattr(train.predicting, "predict", lambda model, target, **_: asked.append(target.image))
    opened(docks.annotate, qtbot, first)
    run._set_state("running")
    run._on_event(CheckpointSaved(str(tmp_path / "best.safetensors"), is_best=True))
    assert asked == [first / "disc00.tif"]
    docks.session.open_folder(second)
    until(qtbot, lambda: docks.session.shown == second / "disc00.tif")
    assert asked == [first / "disc00.tif"], "its model does not replace what is corrected in another folder"

    run._on_event(Notice("The disk is nearly full."))
    run._on_event(Failed("There was no memory left."))
    assert "no memory left" in train.progress.sentence.text()
    run.rows = [{"epoch": 1.0, "val_score": 0.5}]
    docks.session.open_folder(first)
    until(qtbot, lambda: docks.session.shown == first / "disc00.tif")
    assert train.progress.state() == "idle"
    assert train.progress.sentence.text() == ""
    assert not train.curves.isVisibleTo(train)
    assert train.curves.best() is None


def test_a_setting_out_of_range_starts_nothing(docks: Docks, qtbot: Any, tmp_path: Path, trained: Path) -> None:
    folder = disc_folder(tmp_path / "discs", 3, masks=3)
    opened(docks.annotate, qtbot, folder)
    use(docks, qtbot, trained)
    set_tiny(docks, qtbot)
    paint(docks.annotate, qtbot)
    docks.train.form.groups["model"].editors["widths"].setValue((8, 0))
    assert docks.train.form.problem()
    for button in (docks.train.train_button, docks.train.tune_button):
        before = len(told())
        click(qtbot, button)
        assert "widths" in " ".join(told()[before:]).lower()
    assert not docks.train.training.run.is_active
    assert not (folder / "attnseg_runs").exists()
