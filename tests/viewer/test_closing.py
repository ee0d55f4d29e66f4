"""Closing the window: what is not saved is asked about, and nothing is lost whatever the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialog, QMessageBox

from napari_attnseg.annotation.masks.document import Document
from napari_attnseg.annotation.masks.recovery import find_recoverable
from napari_attnseg.annotation.predictions.effort import PredictedMasks, corrections
from napari_attnseg.errors import SaveError
from napari_attnseg.viewer import questions
from napari_attnseg.viewer.annotate.dock import AnnotateDock
from napari_attnseg.viewer.session import closing
from tests.conftest import MakeFolder
from tests.viewer.canvas import drag, until
from tests.viewer.docked import answer, labels, make_dock, opened, paint, save, told


class Answers:
    """Stands in for the question; keeps what was asked."""

    def __init__(self) -> None:
        self.given = "keep"
        self.asked: list[list[str]] = []

    def __call__(self, parent: Any, names: list[str]) -> str:
        self.asked.append(list(names))
        return self.given


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    answers = Answers()
    monkeypatch.setattr(closing, "ask_close", answers)
    return answers


@pytest.fixture
def dock(viewer: Any, qtbot: Any, answers: Answers) -> AnnotateDock:
    return make_dock(viewer, qtbot)


def _journals(data_folder: Path) -> list[Path]:
    return [path for path in (data_folder / "journals").glob("*") if path.is_file()]


def _close(dock: AnnotateDock) -> bool:
    """Close the window as its frame's button does; return whether it is closed.

    Qt keeps the closed window, because the fixture that has made the viewer closes it too.
    """
    window, delete = dock.session.viewer.window._qt_window, Qt.WidgetAttribute.WA_DeleteOnClose
    window.setAttribute(delete, False)
    closed = bool(window.close())
    window.setAttribute(delete, True)
    return closed


def test_closing_without_edits_asks_nothing(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, answers: Answers
) -> None:
    folder = make_folder(2)
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    save(dock, qtbot)
    ended: list[bool] = []
    dock.session.closing.connect(lambda: ended.append(True))
    assert _close(dock)
    assert answers.asked == []
    assert ended == [True]
    assert not (folder / ".attnseg" / "open.json").exists(), "the folder is free for others"


@pytest.mark.parametrize("stay", [False, True], ids=["close", "stay"])
def test_napari_may_ask_too(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, stay: bool
) -> None:
    folder = make_folder(2)
    opened(dock, qtbot, folder)
    ended: list[bool] = []
    dock.session.closing.connect(lambda: ended.append(True))
    window = dock.session.viewer.window._qt_window
    asked: list[str] = []
    usual = type(window).closeEvent

    def ask_first(self: Any, event: Any) -> None:  # as napari does only when the button of the frame was pressed
        if ConfirmCloseDialog(self, close_app=False).exec_() == QDialog.DialogCode.Accepted:
            usual(self, event)
        else:
            event.ignore()

    def answer_napari() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, QDialog)
        asked.append(type(dialog).__name__)
        dialog.reject() if stay else dialog.accept()

    with monkeypatch.context() as patch:
        patch.setattr(type(window), "closeEvent", ask_first)
        QTimer.singleShot(300, answer_napari)
        assert _close(dock) != stay
    assert asked == ["ConfirmCloseDialog"]
    assert ended == ([] if stay else [True])
    assert window.isVisible() == stay
    assert (folder / ".attnseg" / "open.json").exists() == stay, "the folder is free for others once it is closed"
    assert dock.session.is_closing is not stay


def test_objects_corrected_by_hand_are_asked_about(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "ask_lose_objects", questions.ask_lose_objects)
    opened(dock, qtbot, make_folder(1))
    dock.session.at_risk.append(lambda: ["cell00.tif"])
    seen = answer(QMessageBox, lambda box: box.reject())
    assert not _close(dock)
    assert "cell00.tif" in seen[0].informativeText()
    assert not dock.session.is_closing
    answer(QMessageBox, lambda box: next(b for b in box.buttons() if b.text() == "Close without them").click())
    assert _close(dock)


def test_a_removed_mask_comes_back_by_a_click_on_its_row(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder
) -> None:
    folder = make_folder(1)
    session = opened(dock, qtbot, folder).session
    paint(dock, qtbot)
    painted = labels(dock).copy()
    session.viewer.layers.remove("cell00_MASK")
    assert session.mask is None
    view = dock.images.view
    place = view.visualRect(dock.images.table.index(0, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    until(qtbot, lambda: session.mask is not None)
    np.testing.assert_array_equal(labels(dock), painted)
    before = session.mask
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.wait(100)
    assert session.mask is before, "what is there stays as it is"


def test_cancel_keeps_the_window_and_the_work(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, answers: Answers
) -> None:
    folder = make_folder(2)
    before = (folder / "cell00_MASK.tif").read_bytes()
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    answers.given = "cancel"
    assert not _close(dock)
    qtbot.wait(50)
    window = dock.session.viewer.window._qt_window
    assert window.isVisible()
    assert answers.asked == [["cell00_MASK.tif"]]
    assert (folder / "cell00_MASK.tif").read_bytes() == before
    assert not dock.session.is_closing
    paint(dock, qtbot, [(30.0, 5.0), (30.0, 20.0)])  # it goes on
    assert labels(dock)[30, 12] == 1
    save(dock, qtbot)
    assert not dock.session.unsaved


def test_save_writes_all_masks_and_closes(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, answers: Answers, data_folder: Path
) -> None:
    folder = make_folder(3)
    opened(dock, qtbot, folder)
    shown, nothing = PredictedMasks(folder), np.zeros((48, 40), np.uint8)
    for number in range(2):
        shown.keep(f"cell0{number}.tif", nothing, "model", 1.0)
    assert dock.session.learning.effort.corrections == []
    paint(dock, qtbot)
    first = labels(dock).copy()
    dock.images.step(1)
    until(qtbot, lambda: dock.session.shown == folder / "cell01.tif")
    paint(dock, qtbot, [(30.0, 5.0), (30.0, 20.0)])
    second = labels(dock).copy()
    answers.given = "save"
    assert _close(dock)
    assert answers.asked == [["cell00_MASK.tif", "cell01_MASK.tif"]]
    np.testing.assert_array_equal(tifffile.imread(folder / "cell00_MASK.tif") > 0, first > 0)
    np.testing.assert_array_equal(tifffile.imread(folder / "cell01_MASK.tif") > 0, second > 0)
    assert _journals(data_folder) == []
    noted = corrections(folder)
    assert sorted(item.image for item in noted) == ["cell00.tif", "cell01.tif"], "the one on no layer too"


def test_a_stroke_under_way_is_asked_about(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, answers: Answers
) -> None:
    folder = make_folder(1)
    opened(dock, qtbot, folder)
    drag(qtbot, dock.session.viewer, [(5.0, 5.0), (5.0, 15.0)])
    painted = labels(dock).copy()
    answers.given = "save"
    assert _close(dock)
    assert answers.asked == [["cell00_MASK.tif"]]
    np.testing.assert_array_equal(tifffile.imread(folder / "cell00_MASK.tif") > 0, painted > 0)


def test_close_without_saving_keeps_the_journal(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, data_folder: Path
) -> None:
    folder = make_folder(1)
    before = (folder / "cell00_MASK.tif").read_bytes()
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    assert _close(dock)  # at once: the stroke is younger than the journal's delay
    assert (folder / "cell00_MASK.tif").read_bytes() == before
    assert len(_journals(data_folder)) == 1
    (found,) = find_recoverable()  # as the next viewer does, which may be of this very process
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels, painted)


def test_a_save_that_fails_keeps_the_window(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(dock, qtbot, make_folder(1))
    paint(dock, qtbot)

    def full(*args: Any, **options: Any) -> None:
        raise SaveError("cell00_MASK.tif cannot be written: the disk is full.")

    answers.given = "save"
    with monkeypatch.context() as patch:
        patch.setattr(Document, "save", full)
        assert not _close(dock)
    assert dock.session.viewer.window._qt_window.isVisible()
    assert len(dock.session.unsaved) == 1
    assert any("the disk is full. Your strokes are kept" in text for text in told())
    assert _close(dock), "with room on the disk it saves and closes"
    assert len(answers.asked) == 2


def test_strokes_of_a_removed_layer_are_asked_about(
    dock: AnnotateDock, qtbot: Any, make_folder: MakeFolder, answers: Answers
) -> None:
    folder = make_folder(1)
    opened(dock, qtbot, folder)
    paint(dock, qtbot)
    painted = labels(dock).copy()
    dock.session.viewer.layers.remove("cell00_MASK")
    answers.given = "save"
    assert _close(dock)
    assert answers.asked == [["cell00_MASK.tif"]]
    np.testing.assert_array_equal(tifffile.imread(folder / "cell00_MASK.tif") > 0, painted > 0)


# The questions themselves; `ask_close` is kept here because the tests' viewers have another one put in its place


def _click(text: str, seen: list[str]) -> Callable[[QMessageBox], None]:
    def act(box: QMessageBox) -> None:
        seen.extend([box.text(), box.informativeText()])
        button = next(button for button in box.buttons() if button.text().replace("&", "") == text)
        button.click()

    return act


@pytest.mark.parametrize(
    ("names", "button", "expected"),
    [
        (["a_MASK.tif"], "Save", "save"),
        (["a_MASK.tif"], "Close without saving", "keep"),
        (["a_MASK.tif", "b_MASK.tif"], "Save all", "save"),
        (["a_MASK.tif"], "Cancel", "cancel"),
    ],
)
def test_the_question_before_closing(qtbot: Any, names: list[str], button: str, expected: str) -> None:
    seen: list[str] = []
    answer(QMessageBox, _click(button, seen))
    assert questions.ask_close(None, names) == expected
    assert seen[0] == ("One mask is not saved." if len(names) == 1 else "2 masks are not saved.")
    assert all(name in seen[1] for name in names)


def test_many_masks_are_counted_not_listed(qtbot: Any) -> None:
    seen: list[str] = []
    answer(QMessageBox, _click("Cancel", seen))
    questions.ask_close(None, [f"m{number:02d}_MASK.tif" for number in range(20)])
    assert seen[0] == "20 masks are not saved."
    assert "m07_MASK.tif\nand 12 more" in seen[1]
    assert "m08" not in seen[1]


@pytest.mark.parametrize("ask", ["close", "overwrite"])
def test_escape_decides_nothing(qtbot: Any, ask: str) -> None:
    answer(QMessageBox, lambda box: box.reject())
    result = questions.ask_close(None, ["a"]) if ask == "close" else questions.ask_overwrite(None, "It was changed.")
    assert result == "cancel"


@pytest.mark.parametrize(
    ("button", "expected"),
    [("Keep mine", "overwrite"), ("Take the one on disk", "reload"), ("Decide later", "cancel")],
)
def test_the_question_before_overwriting(qtbot: Any, button: str, expected: str) -> None:
    seen: list[str] = []
    answer(QMessageBox, _click(button, seen))
    assert questions.ask_overwrite(None, "a_MASK.tif was changed by another program.") == expected
    assert seen[0] == "a_MASK.tif was changed by another program."
