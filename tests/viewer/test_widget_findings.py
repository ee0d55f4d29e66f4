"""The findings of a check: counted, unfolded, linked, and the question of how masks are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt, QUrl

from napari_attnseg.data.check import check
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.report import Finding
from napari_attnseg.viewer.widgets.findings import Findings
from napari_attnseg.viewer.widgets.findings_text import FOLD_FROM, findings_html, grouped, path_of_link

ROOT = Path("/data/a b")
BINARY = MaskConvention("binary", {0: 0, 255: 1}, ("background", "nucleus"))
SHAPE = Finding("error", ROOT / "x&y <1>_MASK.tif", "shape-mismatch", "x&y <1>_MASK.tif has another shape.")
KIND = Finding("note", ROOT, "mask-kind", "2 masks are read as binary: 0 is background.")
RIDDLE = Finding("error", ROOT, "mask-values", "a_MASK.tif holds only 3 and b_MASK.tif only 7.")


def empty_masks(count: int) -> list[Finding]:
    return [
        Finding("note", ROOT / f"é{n}_MASK.tif", "empty-mask", f"é{n}_MASK.tif is empty: fine?") for n in range(count)
    ]


@pytest.fixture
def findings(qtbot):
    widget = Findings()
    qtbot.addWidget(widget)
    widget.resize(320, 500)
    widget.show()
    return widget


def click_link(widget: Findings, words: str) -> None:
    """Follow the link with these words, as a click on it does."""
    block = widget.text.document().begin()
    while block.isValid():
        fragments = block.begin()
        while not fragments.atEnd():
            fragment = fragments.fragment()
            if fragment.text() == words and fragment.charFormat().anchorHref():
                widget.text.anchorClicked.emit(QUrl(fragment.charFormat().anchorHref()))
                return
            fragments += 1
        block = block.next()
    raise AssertionError(f"There is no link '{words}'.")


def test_nothing_checked_and_nothing_found(findings):
    assert findings.label.text() == "Not checked yet"
    assert not findings.show_button.isVisible()
    findings.setFindings([], None)
    assert findings.label.text() == "Nothing to report in this folder"
    assert not findings.icon.isVisible()
    findings.setExpanded(True)
    assert findings.again_button.isVisible()
    assert not findings.text.isVisible()


def test_one_line_until_it_is_unfolded(findings, qtbot):
    findings.setFindings([SHAPE, *empty_masks(2), KIND], BINARY)
    assert findings.label.text() == "1 problem, 3 notes"
    assert findings.icon.isVisible()
    assert not findings.text.isVisible()
    assert not findings.mode_box.isVisible()
    qtbot.mouseClick(findings.show_button, Qt.MouseButton.LeftButton)
    assert findings.text.isVisible()
    assert findings.show_button.text() == "Hide"
    text = findings.text.toPlainText()
    assert "x&y <1>_MASK.tif has another shape." in text
    assert "é1_MASK.tif is empty: fine?" in text
    assert KIND.message not in text  # it stands beside the chooser
    assert findings.mode_text.text() == KIND.message
    assert findings.findings() == (SHAPE, *empty_masks(2), KIND)


def test_links_open_files_of_any_name(findings):
    opened: list[Path] = []
    findings.opened.connect(opened.append)
    percent = Finding("warning", ROOT / "50%25 #1?.tif", "constant", "50%25 #1?.tif is blank.")
    findings.setFindings([SHAPE, percent, *empty_masks(1)], BINARY)
    findings.setExpanded(True)
    for item in (SHAPE, percent, *empty_masks(1)):
        click_link(findings, item.path.name)
        assert opened[-1] == item.path
    assert len(opened) == 3


def test_many_of_a_kind_are_folded(findings):
    masks = empty_masks(FOLD_FROM)
    assert [len(group) for group in grouped([SHAPE, *masks])] == [1, FOLD_FROM]
    assert [len(group) for group in grouped(masks[1:])] == [1] * (FOLD_FROM - 1)
    findings.setFindings([SHAPE, *masks], BINARY)
    findings.setExpanded(True)
    assert f"{FOLD_FROM} masks are empty" in findings.text.toPlainText()
    assert masks[0].path.name not in findings.text.toPlainText()
    height = findings.text.height()
    click_link(findings, "show names")
    assert all(item.path.name in findings.text.toPlainText() for item in masks)
    assert findings.text.height() > height
    click_link(findings, "hide names")
    assert masks[0].path.name not in findings.text.toPlainText()


def test_a_kind_without_a_sentence_of_its_own_shows_its_first():
    unknown = [Finding("note", ROOT / f"{n}.tif", "brand-new", f"{n}.tif is {{odd}}.") for n in range(FOLD_FROM)]
    assert f"{FOLD_FROM} files: 0.tif is {{odd}}." in findings_html(unknown, (), {"link": "#ffffff"})
    assert path_of_link("fold:brand-new") is None


def test_while_it_is_checked(findings):
    findings.setFindings([SHAPE], BINARY)
    findings.setExpanded(True)
    findings.setBusy(120, 670)
    assert "120 of 670" in findings.label.text()
    assert (findings.progress.value(), findings.progress.maximum()) == (120, 670)
    assert findings.progress.isVisible()
    assert not findings.again_button.isEnabled()
    findings.setFindings([SHAPE], BINARY)
    assert not findings.progress.isVisible()
    assert findings.again_button.isEnabled()
    findings.clear()
    assert findings.findings() == ()
    assert findings.label.text() == "Not checked yet"


def test_modes_round_trip(findings):
    chosen: list[str] = []
    findings.modeChosen.connect(chosen.append)
    for mode in ("binary", "classes", "instances", "auto"):
        findings.setMode(mode)
        assert findings.mode() == mode
    assert chosen == []


def test_an_ambiguous_folder_asks_without_being_unfolded(findings, qtbot):
    chosen: list[str] = []
    findings.modeChosen.connect(chosen.append)
    findings.setFindings([RIDDLE], None)
    assert findings.mode_box.isVisible()
    assert findings.mode_text.text() == RIDDLE.message
    findings.mode_box.setFocus()
    qtbot.keyClick(findings.mode_box, Qt.Key.Key_Down)
    assert chosen == ["binary"]
    findings.setFindings([KIND], BINARY)
    assert not findings.mode_box.isVisible()
    assert findings.mode_box.itemText(0) == "as found: one class"


def test_check_again(findings, qtbot):
    asked: list[bool] = []
    findings.checkAsked.connect(lambda: asked.append(True))
    findings.setFindings([SHAPE], BINARY)
    findings.setExpanded(True)
    qtbot.mouseClick(findings.again_button, Qt.MouseButton.LeftButton)
    assert asked == [True]


def test_what_a_real_check_finds(findings, tmp_path):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"c{number}.tif", np.arange(number, 400 + number, dtype=np.uint16).reshape(20, 20))
    tifffile.imwrite(tmp_path / "c0_MASK.tif", np.eye(20, dtype=np.uint8))
    tifffile.imwrite(tmp_path / "c1_MASK.tif", np.eye(30, dtype=np.uint8))
    opened: list[Path] = []
    findings.opened.connect(opened.append)
    report = check(tmp_path)
    findings.setFindings(report.findings, report.convention)
    findings.setExpanded(True)
    assert findings.label.text().startswith("1 problem")
    click_link(findings, "c1_MASK.tif")
    assert opened == [tmp_path / "c1_MASK.tif"]
    assert "read as binary" in findings.mode_text.text()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_links_are_readable_in_both_themes(viewer, qtbot, theme):
    widget = Findings()
    viewer.theme = "light" if theme == "dark" else "dark"
    viewer.window.add_dock_widget(widget, name="Findings")
    widget.setFindings([SHAPE], BINARY)
    widget.setExpanded(True)
    viewer.theme = theme

    def lightness() -> int:
        link = widget.text.document().firstBlock().next().begin().fragment().charFormat()
        assert link.anchorHref()
        return link.foreground().color().lightness()

    qtbot.waitUntil(lambda: lightness() > 180 if theme == "dark" else lightness() < 80)
