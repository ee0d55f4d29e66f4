"""What the Train dock says before a training, and why its buttons are off; nothing is started here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

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
