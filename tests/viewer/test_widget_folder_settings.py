"""How a folder is read: valid choices are told, wrong ones explained."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_attnseg.annotation.folder.entries import FolderChoices
from napari_attnseg.viewer.widgets.folder_settings import FolderSettings, ViewOptions


@pytest.fixture
def form(qtbot):
    widget = FolderSettings()
    qtbot.addWidget(widget)
    widget.show()
    return widget


@pytest.fixture
def changes(form):
    found: list[FolderChoices] = []
    form.changed.connect(found.append)
    return found


def enter(qtbot, field, text: str) -> None:
    field.setFocus()
    field.selectAll()
    if text:
        qtbot.keyClicks(field, text)
    else:
        qtbot.keyClick(field, Qt.Key.Key_Delete)
    qtbot.keyClick(field, Qt.Key.Key_Return)


@pytest.mark.parametrize(
    "choices",
    [FolderChoices(), FolderChoices("ZYX", "_seg", "instances"), FolderChoices("XYZ"), FolderChoices(None, "-mask")],
)
def test_round_trip(form, changes, choices):
    form.setValue(FolderChoices("TZCYX", "_other", "binary"))
    form.setValue(choices)
    assert form.value() == choices
    form._take()  # what is shown means the same
    assert form.value() == choices
    assert changes == []


def test_view_options_round_trip(form):
    found: list[ViewOptions] = []
    form.viewChanged.connect(found.append)
    for options in (ViewOptions(True, False), ViewOptions(False, True), ViewOptions()):
        form.setViewOptions(options)
        assert form.viewOptions() == options
    assert found == []
    form.zoom_box.click()
    form.contrast_box.click()
    assert found == [ViewOptions(True, False), ViewOptions(True, True)]


def test_own_reader(form):
    found: list[bool] = []
    form.ownReaderToggled.connect(found.append)
    form.setOwnReader(True)
    assert form.ownReader()
    assert found == []
    form.reader_box.click()
    assert found == [False]


def test_axes_by_hand(form, changes, qtbot):
    enter(qtbot, form.axes_box.lineEdit(), "xyz")
    assert changes == [FolderChoices("XYZ")]
    enter(qtbot, form.axes_box.lineEdit(), "")
    assert changes[-1] == FolderChoices()
    assert form.axes_box.currentText().startswith("as the file says")


def test_axes_from_the_list(form, changes, qtbot):
    form.axes_box.setFocus()
    qtbot.keyClick(form.axes_box, Qt.Key.Key_Down)
    assert changes == [FolderChoices("YX")]
    qtbot.keyClick(form.axes_box, Qt.Key.Key_Up)
    assert changes[-1] == FolderChoices()


@pytest.mark.parametrize("text", ["ZZYX", "ZX", "QYX", "8"])
def test_wrong_axes_are_explained_and_change_nothing(form, changes, qtbot, text):
    enter(qtbot, form.axes_box.lineEdit(), text)
    assert f"'{text}' does not name axes" in form.problem.text()
    assert form.problem.isVisible()
    assert changes == []
    enter(qtbot, form.axes_box.lineEdit(), "TYX")
    assert not form.problem.isVisible()
    assert changes == [FolderChoices("TYX")]


def test_the_detected_axes_are_named(form, changes, qtbot):
    form.setDetected("ZCYX")
    assert form.axes_box.currentText() == "as the file says (ZCYX)"
    form._take()
    assert form.value().axes is None
    form.setValue(FolderChoices("TYX"))
    form.setDetected("YX")
    assert form.axes_box.currentText() == "TYX"
    form.setDetected(None)
    form.setValue(FolderChoices())
    assert form.axes_box.currentText() == "as the file says"
    assert changes == []


def test_suffix(form, changes, qtbot):
    form.setValue(FolderChoices("ZYX", "_MASK", "classes"))
    enter(qtbot, form.suffix_field, "_labels ")
    assert changes == [FolderChoices("ZYX", "_labels", "classes")]
    for text, words in (("", "need a suffix"), ("a/b", "part of a file name"), ("what?", "part of a file name")):
        enter(qtbot, form.suffix_field, text)
        assert words in form.problem.text()
    assert len(changes) == 1
    assert form.value().mask_suffix == "_labels"
