"""What a newcomer sees of the Annotate dock: nothing cut off, nothing in the way, no stray warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QScrollArea

from napari_attnseg.annotation.folder.lock import Owner
from napari_attnseg.errors import DataError
from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.layers.image_layers import MOST_CHANNELS, image_layers
from napari_attnseg.viewer.session.session import session_of
from tests.conftest import MakeFolder
from tests.viewer.canvas import until
from tests.viewer.docked import make_dock, opened, told


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> AnnotateDock:
    return make_dock(viewer, qtbot)


def test_without_a_folder_there_is_only_what_opens_one(dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder) -> None:
    assert dock.open_button.isVisible()
    assert not dock.saves.save_button.isVisible()
    assert not dock.classes.isVisible()
    opened(dock, qtbot, make_folder(1))
    assert dock.saves.save_button.isVisible()
    assert dock.classes.isVisible()


def test_all_of_the_dock_is_seen_with_the_corrections_unfolded(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    opened(dock, qtbot, make_folder(1, planes=3))
    dock.fix_part.expand(animate=False)
    until(qtbot, lambda: dock.fixes.buttons["interpolate"].isVisible())
    qtbot.wait(50)
    area = dock.findChild(QScrollArea)
    assert area.height() <= 800
    assert area.verticalScrollBar().maximum() == 0
    assert dock.images.view.height() >= dock.images.view.minimumHeight()


def test_the_name_of_an_added_class_is_ready_to_be_typed_over(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    opened(dock, qtbot, make_folder(1))
    QTest.mouseClick(dock.classes.add_button, Qt.MouseButton.LeftButton)
    qtbot.wait(50)
    field = dock.classes._rows[-1].name_field
    QTest.keyClicks(field, "border")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert dock.classes.value().names == ("background", "foreground", "border")


def test_what_the_dock_tells_of_one_matter_leaves_the_others(dock: AnnotateDock) -> None:
    owner = Owner(pid=1, created=0.0, host="microscope-pc", user="kim", since=0.0, token="t")
    dock._tell_shared(owner)
    dock.fixing.waiting_changed.emit("snap")
    assert "microscope-pc" in dock.banner.text()
    assert "like intensity" in dock.banner.text()
    dock.fixing.waiting_changed.emit("")
    assert "microscope-pc" in dock.banner.text()
    assert "like intensity" not in dock.banner.text()
    dock._tell_shared(None)
    assert not dock.banner.isVisible()


def test_samples_follow_each_other_without_warnings_and_under_their_names(viewer: Any, qtbot: Any) -> None:
    session = session_of(viewer)
    before = len(told())
    for name, first in (("organs", "subject01_z04"), ("stack", "nuclei3d"), ("organs", "subject01_z04")):
        viewer.open_sample("napari-attnseg", name)
        until(qtbot, lambda first=first: [layer.name for layer in viewer.layers] == [first, f"{first}_MASK"])
        qtbot.wait(50)  # napari compares the units of layers when it draws
    assert told()[before:] == []
    assert session.shown is not None


def test_an_axis_mistaken_for_channels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((MOST_CHANNELS + 1, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match=rf"stack.tif would have {MOST_CHANNELS + 1} channels, read as CYX"):
        image_layers(path, "CYX")
    assert len(image_layers(path, "ZYX")) == 1
