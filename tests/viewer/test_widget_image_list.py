"""The image list: order, filter, search, what is current, and what it asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from qtpy.QtCore import Qt

from napari_attnseg.annotation.folder.entries import ImageEntry, ImageState
from napari_attnseg.viewer.widgets.image_list import NO_FOLDER, NO_MATCH, NO_STATE, ImageList
from napari_attnseg.viewer.widgets.image_row import elided
from napari_attnseg.viewer.widgets.image_table import ENTRY_ROLE, NOTE, SortBy, natural_key

ROOT = Path("/data")


def entry(name: str, state: ImageState = ImageState.NO_MASK, modified: float | None = None, note: str = ""):
    mask = None if state is ImageState.NO_MASK else ROOT / f"{name}_MASK"
    return ImageEntry(ROOT / name, mask, name, state, modified, note)


ENTRIES = [
    entry("img10.tif", ImageState.HAS_MASK, 30.0, "unsure 9%"),
    entry("img2.tif", note="unsure 62%"),
    entry("b/Zoé 1.tif", ImageState.UNSAVED, 40.0),
    entry("IMG1.tif", ImageState.EDITED, 20.0),
    entry("img3.tif"),
]


@pytest.fixture
def images(qtbot):
    widget = ImageList()
    qtbot.addWidget(widget)
    widget.resize(340, 400)
    widget.show()
    widget.setEntries(ENTRIES)
    return widget


@pytest.fixture
def opened(images):
    paths: list[str] = []
    images.opened.connect(lambda path: paths.append(path.relative_to(ROOT).as_posix()))
    return paths


def shown(images: ImageList) -> list[str]:
    return [item.name for item in images.entries_shown()]


def test_natural_order():
    names = ["img10", "img2", "IMG1", "img2b", "2", "10", "", "a/2", "a b/1", "é", "e\u0301"]
    assert sorted(names, key=natural_key) == ["", "2", "10", "a/2", "a b/1", "IMG1", "img2", "img2b", "img10", "é", "e\u0301"]  # fmt: skip  # noqa: E501


def test_orders(images):
    images.setEntries([*ENTRIES, entry("a.tif", ImageState.HAS_MASK, 10.0)])
    by_name = ["a.tif", "b/Zoé 1.tif", "IMG1.tif", "img2.tif", "img3.tif", "img10.tif"]
    assert shown(images) == by_name
    for order, expected in (
        (SortBy.STATE, ["b/Zoé 1.tif", "IMG1.tif", "img2.tif", "img3.tif", "a.tif", "img10.tif"]),
        (SortBy.MODIFIED, ["b/Zoé 1.tif", "img10.tif", "IMG1.tif", "a.tif", "img2.tif", "img3.tif"]),
        (SortBy.NOTE, ["img2.tif", "img10.tif", "a.tif", "b/Zoé 1.tif", "IMG1.tif", "img3.tif"]),
        (SortBy.NAME, by_name),
    ):
        images.choosers.setOrder(order)
        assert images.choosers.order() is order
        assert shown(images) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (ImageState.NO_MASK, ["img2.tif", "img3.tif"]),
        (ImageState.HAS_MASK, ["img10.tif"]),
        (ImageState.UNSAVED, ["b/Zoé 1.tif"]),
        (ImageState.EDITED, ["IMG1.tif"]),
    ],
)
def test_filter(images, state, expected):
    images.choosers.setState(state)
    assert images.choosers.state() is state
    assert shown(images) == expected
    images.choosers.setState(None)
    assert len(shown(images)) == len(ENTRIES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("IMG1", ["IMG1.tif", "img10.tif"]), ("zoe\u0301", ["b/Zoé 1.tif"]), (" B/ ", ["b/Zoé 1.tif"]), ("(", [])],
)
def test_search(images, text, expected):
    images.choosers.search_field.setText(text)
    assert images.choosers.text() == text
    assert shown(images) == expected
    assert images.pages.currentWidget() is (images.view if expected else images.message)


def test_reasons_for_an_empty_list(images):
    images.choosers.setText("nothing")
    assert images.message.text() == NO_MATCH
    images.choosers.setText("")
    images.setEntries([entry("a.tif")])
    images.choosers.setState(ImageState.EDITED)
    assert images.message.text() == NO_STATE
    images.setEntries([])
    assert images.message.text() == NO_FOLDER
    assert images.message.isVisible()
    assert not images.progress.isVisible()
    assert not images.next_button.isEnabled()
    assert not images.unmasked_button.isEnabled()


def test_progress(images):
    assert images.progress.text() == "3 of 5 have a mask · 1 not saved"
    images.updateEntry(replace(ENTRIES[2], state=ImageState.HAS_MASK))
    assert images.progress.text() == "3 of 5 have a mask"
    images.setEntries([ENTRIES[0]])
    assert images.progress.text() == "1 of 1 has a mask"


def test_what_the_user_picks_is_opened_once(images, opened, qtbot):
    rect = images.view.visualRect(images.table.index(2, 0))
    for _ in range(2):
        qtbot.mouseClick(images.view.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert opened == ["img2.tif"]
    assert images.current() == ROOT / "img2.tif"
    qtbot.keyClick(images.view, Qt.Key.Key_Down)
    assert opened == ["img2.tif", "img3.tif"]


def test_setting_the_current_image_opens_nothing(images, opened):
    images.setCurrent(ROOT / "img3.tif")
    assert images.current() == ROOT / "img3.tif"
    assert images.view.currentIndex().data(ENTRY_ROLE).name == "img3.tif"
    images.setCurrent(ROOT / "elsewhere.tif")
    assert images.current() is None
    assert not images.view.selectionModel().hasSelection()
    assert opened == []


def test_steps(images, opened, qtbot):
    images.step(1)
    assert opened == ["b/Zoé 1.tif"]
    assert not images.previous_button.isEnabled()
    qtbot.mouseClick(images.next_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(images.previous_button, Qt.MouseButton.LeftButton)
    assert opened == ["b/Zoé 1.tif", "IMG1.tif", "b/Zoé 1.tif"]
    images.step(-1)
    assert len(opened) == 3
    images.setCurrent(ROOT / "img10.tif")
    assert not images.next_button.isEnabled()
    images.step(1)
    assert len(opened) == 3


def test_next_without_a_mask_wraps_around_in_the_order_shown(images, opened):
    images.setCurrent(ROOT / "IMG1.tif")
    for _ in range(3):
        images.nextWithoutMask()
    assert opened == ["img2.tif", "img3.tif", "img2.tif"]
    images.choosers.setText("img2")
    assert not images.unmasked_button.isEnabled()  # the only one is the current one
    images.nextWithoutMask()
    assert len(opened) == 3


def test_an_edited_image_keeps_its_place_until_it_is_left(images, opened, qtbot):
    images.choosers.setState(ImageState.NO_MASK)
    images.setCurrent(ROOT / "img2.tif")
    images.updateEntry(replace(ENTRIES[1], state=ImageState.UNSAVED))
    assert shown(images) == ["img2.tif", "img3.tif"]
    images.step(1)
    assert opened == ["img3.tif"]
    qtbot.waitUntil(lambda: shown(images) == ["img3.tif"])
    assert opened == ["img3.tif"]
    assert images.current() == ROOT / "img3.tif"


def test_other_images_are_sorted_in_after_a_change(images, qtbot):
    images.setCurrent(ROOT / "img3.tif")
    images.choosers.setState(ImageState.EDITED)
    images.updateEntry(replace(ENTRIES[0], state=ImageState.EDITED))
    qtbot.waitUntil(lambda: shown(images) == ["IMG1.tif", "img3.tif", "img10.tif"])


def test_one_entry_changes_without_a_reset(images):
    images.choosers.setOrder(SortBy.MODIFIED)
    resets: list[bool] = []
    images.table.modelReset.connect(lambda: resets.append(True))
    images.updateEntry(replace(ENTRIES[4], note="unsure 1%", state=ImageState.EDITED))
    images.updateEntry(entry("unknown.tif"))
    assert resets == []
    assert images.entries()[4].note == "unsure 1%"
    assert images.table.index(4, NOTE).data() == "unsure 1%"
    assert len(images.entries()) == len(ENTRIES)


def test_a_search_that_hides_the_current_image_opens_no_other(images, opened):
    images.setCurrent(ROOT / "img3.tif")
    images.choosers.setText("img10")
    assert shown(images) == ["img10.tif"]
    assert images.current() == ROOT / "img3.tif"
    images.choosers.setText("")
    assert images.view.currentIndex().data(ENTRY_ROLE).name == "img3.tif"
    assert opened == []


def test_the_current_image_stays_when_the_folder_is_listed_again(images, opened):
    images.setCurrent(ROOT / "img3.tif")
    images.setEntries([*ENTRIES, entry("a.tif")])
    assert images.current() == ROOT / "img3.tif"
    assert images.view.currentIndex().data(ENTRY_ROLE).name == "img3.tif"
    images.setEntries(ENTRIES[:2])
    assert images.current() is None
    assert opened == []


def test_notes_are_shown_while_there_are_any(images):
    assert not images.view.isColumnHidden(NOTE)
    assert images.choosers.sort_box.findText(SortBy.NOTE.value) >= 0
    images.choosers.setOrder(SortBy.NOTE)
    images.setEntries([replace(item, note="") for item in ENTRIES])
    assert images.view.isColumnHidden(NOTE)
    assert images.choosers.order() is not SortBy.NOTE
    assert shown(images)[0] == "b/Zoé 1.tif"


def test_ten_thousand_images(images):
    images.setEntries([entry(f"plate {n % 7}/img{n}.tif") for n in range(10_000)])
    images.choosers.setText("plate 3/")
    names = shown(images)
    assert names[:2] == ["plate 3/img3.tif", "plate 3/img10.tif"]
    assert len(names) == len(range(3, 10_000, 7))
    assert images.view.verticalHeader().sectionSize(0) == images.view.verticalHeader().sectionSize(1000)


def in_sight(images):
    """Whether the marked row can be seen as a whole."""
    return images.view.viewport().rect().contains(images.view.visualRect(images.view.currentIndex()))


@pytest.mark.parametrize("row", [0, 40, 99])
def test_the_current_image_stays_in_sight_when_there_is_less_room(images, qtbot, row):
    images.setEntries([entry(f"{number:03d}.tif") for number in range(100)])
    images.resize(340, 700)
    images.setCurrent(ROOT / f"{row:03d}.tif")
    qtbot.waitUntil(lambda: in_sight(images))
    for height in (400, 230, 180):
        images.resize(340, height)
        qtbot.waitUntil(lambda height=height: images.height() == height)
        assert in_sight(images)


def test_who_has_scrolled_away_from_the_current_image_stays_there(images, qtbot):
    images.setEntries([entry(f"{number:03d}.tif") for number in range(100)])
    images.setCurrent(ROOT / "000.tif")
    images.view.scrollToBottom()
    images.resize(340, 300)
    qtbot.waitUntil(lambda: images.height() == 300)
    assert not in_sight(images)


def test_long_paths_lose_their_folders_first(images):
    metrics = images.fontMetrics()
    text = "a folder with a long name/more of it/cell.tif"
    folders = text.rfind("/") + 1
    assert elided(metrics, text, folders, 10_000) == (text[:folders], "cell.tif")
    width = metrics.horizontalAdvance("cell.tif") + metrics.horizontalAdvance("a folder of it/")
    head, tail = elided(metrics, text, folders, width)
    assert tail == "cell.tif"
    assert "…" in head
    assert head.endswith("/")
    assert metrics.horizontalAdvance(head + tail) <= width
    head, tail = elided(metrics, text, folders, metrics.horizontalAdvance("cell.t"))
    assert head == ""
    assert "…" in tail


def test_rows_are_drawn_with_their_state(images):
    """A dot in the state's colour stands before each name."""
    images.choosers.setText("img")
    picture = images.view.grab().toImage()
    colours = [picture.pixelColor(x, y).getRgb()[:3] for x in range(20) for y in range(picture.height())]

    def has(*colour: int) -> bool:
        """Whether a pixel is nearly so; a display may have as few as 5 bits a colour."""
        return any(max(abs(a - b) for a, b in zip(colour, pixel, strict=True)) <= 8 for pixel in colours)

    assert has(0x2F, 0x9E, 0x6E)
    assert has(0x3D, 0x8B, 0xD4)
    assert not has(0xE0, 0x8A, 0x1E)  # the one that is not saved is not listed
