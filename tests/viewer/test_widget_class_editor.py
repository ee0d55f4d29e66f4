"""Choosing, naming, colouring and adding classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog

from napari_attnseg.annotation.folder.class_edits import with_new_class, without_last_class
from napari_attnseg.data.classes import MOST_CLASSES, ClassEntry, Classes, make_classes
from napari_attnseg.errors import DataError
from napari_attnseg.viewer.widgets.class_editor import ClassEditor

FILE = Path("classes.json")
CLASSES = make_classes(
    [
        ClassEntry(1, "nucleus", "#aa0000", 63),
        ClassEntry(2, "border", "#00aa00", 126),
        ClassEntry(3, "x", "#0000aa", 189),
    ],
    FILE,
)


@pytest.fixture
def editor(qtbot):
    widget = ClassEditor()
    qtbot.addWidget(widget)
    widget.resize(320, 300)
    widget.show()
    widget.setValue(CLASSES)
    return widget


@pytest.fixture
def changes(editor):
    found: list[Classes] = []
    editor.changed.connect(found.append)
    return found


def type_name(qtbot, editor, class_id: int, text: str) -> None:
    field = editor._rows[class_id - 1].name_field
    field.setFocus()
    field.selectAll()
    if text:
        qtbot.keyClicks(field, text)
    else:
        qtbot.keyClick(field, Qt.Key.Key_Delete)
    qtbot.keyClick(field, Qt.Key.Key_Return)


def test_round_trip(editor, changes):
    assert editor.value() == CLASSES
    fewer = make_classes([ClassEntry(1, "a", "#123456", 255)], FILE)
    for classes in (fewer, CLASSES, fewer):
        editor.setValue(classes)
        assert editor.value() == classes
        assert [row.name_field.text() for row in editor._rows] == list(classes.names[1:])
    assert changes == []


def test_choosing(editor, qtbot):
    found: list[int] = []
    editor.chosen.connect(found.append)
    assert editor.chosenId() == 1
    qtbot.mouseClick(editor._rows[1].radio, Qt.MouseButton.LeftButton, pos=editor._rows[1].radio.rect().center())
    assert (editor.chosenId(), found) == (2, [2])
    editor.setChosen(3)
    assert (editor.chosenId(), found) == (3, [2])
    assert [row.radio.isChecked() for row in editor._rows] == [False, False, True]
    editor.setChosen(0)
    assert editor.chosenId() == 0
    assert not any(row.radio.isChecked() for row in editor._rows)
    editor.setChosen(3)
    editor.setValue(make_classes([ClassEntry(1, "a", "#123456", 1)], FILE))
    assert editor.chosenId() == 1


def test_renaming(editor, changes, qtbot):
    type_name(qtbot, editor, 2, "  cell wall ")
    assert [item.names for item in changes] == [("background", "nucleus", "cell wall", "x")]
    assert editor.value().entries[2] == ClassEntry(2, "cell wall", "#00aa00", 126)
    assert editor._rows[1].name_field.text() == "cell wall"


@pytest.mark.parametrize(("text", "words"), [("", "needs a name"), ("NUCLEUS", "Class 1"), ("background", "Class 0")])
def test_a_wrong_name_is_refused_in_a_sentence(editor, changes, qtbot, text, words):
    type_name(qtbot, editor, 2, text)
    assert changes == []
    assert words in editor.problem.text()
    assert "'border'" in editor.problem.text()
    assert editor.problem.isVisible()
    assert editor._rows[1].name_field.displayText() == "border"
    type_name(qtbot, editor, 2, "rim")
    assert not editor.problem.isVisible()
    assert editor.value().names[2] == "rim"


def test_recolouring(editor, changes, qtbot, monkeypatch):
    asked: list[str] = []

    def choose(colour, *_):
        asked.append(colour.name())
        return QColor("#ABCDEF") if len(asked) == 1 else QColor()

    monkeypatch.setattr(QColorDialog, "getColor", choose)
    qtbot.mouseClick(editor._rows[2].swatch, Qt.MouseButton.LeftButton)
    assert editor.value().colours[3] == "#abcdef"
    picture = editor._rows[2].swatch.icon().pixmap(18, 18).toImage()
    assert picture.pixelColor(picture.width() // 2, picture.height() // 2).name() == "#abcdef"
    qtbot.mouseClick(editor._rows[2].swatch, Qt.MouseButton.LeftButton)  # cancelled
    assert asked == ["#0000aa", "#abcdef"]
    assert len(changes) == 1


def test_adding(editor, changes, qtbot):
    chosen: list[int] = []
    editor.chosen.connect(chosen.append)
    qtbot.mouseClick(editor.add_button, Qt.MouseButton.LeftButton)
    added = editor.value().entries[4]
    assert (added.id, added.name, added.value) == (4, "class 4", 252)
    assert added.colour not in CLASSES.colours
    assert changes == [editor.value()]
    assert chosen == [4]
    assert editor._rows[3].name_field.selectedText() == "class 4"


def test_removing_the_last_class_is_asked_for(editor, changes, qtbot):
    asked: list[int] = []
    editor.removeAsked.connect(asked.append)
    qtbot.mouseClick(editor.remove_button, Qt.MouseButton.LeftButton)
    assert asked == [3]
    assert editor.value() == CLASSES
    assert changes == []
    editor.setValue(without_last_class(without_last_class(CLASSES)))
    assert not editor.remove_button.isEnabled()


def test_values_of_new_classes():
    binary = make_classes([ClassEntry(1, "a", "#123456", 255)], FILE)
    assert with_new_class(binary).entries[2].value == 2
    ids = make_classes([ClassEntry(1, "a", "#123456", 1), ClassEntry(2, "b", "#123456", 2)], FILE)
    assert with_new_class(ids).entries[3].value == 3
    odd = make_classes([ClassEntry(1, "a", "#123456", 3), ClassEntry(2, "class 3", "#123456", 5)], FILE)
    assert (with_new_class(odd).entries[3].value, with_new_class(odd).entries[3].name) == (4, "class 4")
    with pytest.raises(DataError, match="only class"):
        without_last_class(binary)


def test_as_many_classes_as_possible(editor):
    classes = CLASSES
    while len(classes) < MOST_CLASSES:
        classes = with_new_class(classes)
    make_classes(list(classes.entries), FILE)  # ids, names and values are each there once
    with pytest.raises(DataError, match="254 classes"):
        with_new_class(classes)
    editor.setValue(classes)
    assert not editor.add_button.isEnabled()
    assert editor.height() < 500


def test_numbered_objects(editor, qtbot):
    asked: list[bool] = []
    editor.newObjectAsked.connect(lambda: asked.append(True))
    assert not editor.object_button.isVisible()
    editor.setObjects(True)
    editor.setObjectNumber(12)
    assert editor.object_button.isVisible()
    assert not editor.add_button.isVisible()
    assert "12" in editor._object_label.text()
    qtbot.mouseClick(editor.object_button, Qt.MouseButton.LeftButton)
    assert asked == [True]
    editor.setObjects(False)
    assert editor.add_button.isVisible()


def test_keys_are_named_in_tooltips(editor):
    editor.setShortcuts({2: "Alt+2"})
    assert "Alt+2" in editor._rows[1].radio.toolTip()
    assert "key" not in editor._rows[0].radio.toolTip()
