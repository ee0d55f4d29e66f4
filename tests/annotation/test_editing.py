"""Strokes become undo steps and a journal; undone back to what is saved, a mask has neither edits nor a journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.folder.class_edits import with_new_class
from napari_attnseg.annotation.folder.entries import FolderChoices
from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.annotation.masks.abandoned import find_abandoned
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.journal_file import apply, create, encode_tile, read
from napari_attnseg.annotation.masks.recovery import find_recoverable, new_journal, restore
from napari_attnseg.data.convention import MaskConvention
from tests.conftest import MakeFolder

WHOLE = (slice(0, 48), slice(0, 40))


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that stands in for the user's own, where the journals are."""
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(tmp_path / "user-data"))
    return tmp_path / "user-data"


@pytest.fixture
def folder(make_folder: MakeFolder) -> Path:
    return make_folder(1)


@pytest.fixture
def editing(folder: Path) -> Iterator[Editing]:
    document = open_folder(folder).document(folder / "cell00.tif")
    editing = Editing(document, new_journal(document))
    yield editing
    editing.journal.close()


def paint(editing: Editing, row: int) -> None:
    """Draw a line where there was none."""
    editing.labels[row] = 1 - editing.labels[row]
    assert editing.note([WHOLE])


def in_journal(editing: Editing) -> np.ndarray:
    """Return the mask as a crash would leave it: the file on disk with what its journal holds."""
    assert editing.journal.flush()
    document = editing.document
    folder = open_folder(document.image.parent)
    labels = folder.document(document.image).labels
    if editing.journal.path.exists():
        apply(read(editing.journal.path), labels)
    return labels


def save(editing: Editing) -> None:
    mark = editing.begin_save()
    editing.document.save()
    editing.end_save(mark, written=True)


def test_all_undone_nothing_is_modified_and_there_is_no_journal(editing: Editing) -> None:
    before = editing.labels.copy()
    for row in (3, 9):
        paint(editing, row)
    assert editing.journal.flush()
    assert editing.journal.path.exists()
    editing.undo()
    assert editing.document.is_modified
    editing.undo()
    assert not editing.document.is_modified
    np.testing.assert_array_equal(editing.labels, before)
    assert editing.journal.flush()
    assert not editing.journal.path.exists()
    editing.redo()
    assert editing.document.is_modified
    np.testing.assert_array_equal(in_journal(editing), editing.labels)


def test_redone_to_what_was_saved_nothing_is_modified(editing: Editing) -> None:
    paint(editing, 3)
    save(editing)
    assert not editing.document.is_modified
    editing.undo()
    assert editing.document.is_modified
    np.testing.assert_array_equal(in_journal(editing), editing.labels)
    editing.redo()
    assert not editing.document.is_modified
    assert editing.journal.flush()
    assert not editing.journal.path.exists()
    paint(editing, 5)
    editing.undo()
    assert not editing.document.is_modified
    paint(editing, 7)
    assert editing.document.is_modified, "another content than the one that was undone"


@pytest.mark.parametrize("written", [True, False])
def test_what_is_undone_while_it_is_saved_is_in_the_journal(editing: Editing, written: bool) -> None:
    paint(editing, 3)
    mark, painted = editing.begin_save(), editing.labels.copy()
    editing.undo()
    assert not editing.document.is_modified, "as the file is until it is written"
    assert editing.journal.flush()
    assert editing.journal.path.exists(), "it is not known yet what the file will be"
    if written:
        editing.document.save(painted)
    editing.end_save(mark, written=written)
    assert editing.document.is_modified == written
    np.testing.assert_array_equal(in_journal(editing), editing.labels)
    assert editing.journal.path.exists() == written
    if written:
        editing.redo()
        assert not editing.document.is_modified


def test_a_stroke_that_is_not_finished_outlives_an_undo(editing: Editing) -> None:
    before = editing.labels.copy()
    paint(editing, 3)
    editing.labels[20:23] = 1 - editing.labels[20:23]
    editing.note_unfinished(WHOLE)
    editing.undo()
    assert (editing.labels[20:23] != before[20:23]).all()
    np.testing.assert_array_equal(in_journal(editing), editing.labels)
    assert editing.note([WHOLE]), "it becomes a step of its own"
    assert editing.document.is_modified
    editing.undo()
    np.testing.assert_array_equal(editing.labels, before)
    assert not editing.document.is_modified


def test_a_part_of_a_stroke_that_was_saved_is_not_undone_unnoticed(editing: Editing) -> None:
    editing.labels[20:23] = 1 - editing.labels[20:23]
    editing.note_unfinished(WHOLE)
    save(editing)
    editing.labels[24] = 1 - editing.labels[24]
    assert editing.note([WHOLE])
    assert editing.document.is_modified
    editing.undo()
    assert editing.document.is_modified, "the file has the part that was painted when it was saved"
    np.testing.assert_array_equal(in_journal(editing), editing.labels)
    save(editing)
    assert not editing.document.is_modified
    assert editing.journal.flush()
    assert not editing.journal.path.exists()


def test_a_stroke_that_an_undo_took_back_leaves_no_edits(editing: Editing) -> None:
    paint(editing, 3)
    editing.labels[3, 5:9] = 1 - editing.labels[3, 5:9]
    editing.note_unfinished(WHOLE)
    editing.undo()
    assert not editing.note([WHOLE])
    save(editing)
    assert not editing.document.is_modified
    assert editing.journal.flush()
    assert not editing.journal.path.exists()


def test_a_first_mask_that_was_undone_is_no_mask(folder: Path) -> None:
    (folder / "cell00_MASK.tif").unlink()
    document = open_folder(folder).document(folder / "cell00.tif")
    editing = Editing(document, new_journal(document))
    paint(editing, 3)
    editing.undo()
    editing.journal.close()
    assert not document.is_modified
    assert not document.has_mask
    assert not editing.journal.path.exists()


def test_undone_strokes_are_not_offered_after_a_crash(editing: Editing, monkeypatch: pytest.MonkeyPatch) -> None:
    # all processes seem gone, this one too
    monkeypatch.setattr("napari_attnseg.annotation.masks.abandoned.find_process", lambda pid, started: None)
    paint(editing, 3)
    assert editing.journal.flush()
    assert [item.pixels for item in find_recoverable()] == [40]
    editing.undo()
    editing.document.mask_path.touch()  # from now on any journal would hold something else than the disk
    assert editing.journal.flush()
    assert find_recoverable() == []
    assert find_abandoned(editing.journal.path.parent) == []


@pytest.mark.parametrize("painted_before", [True, False])
def test_a_new_class_comes_back_after_a_crash(
    editing: Editing, monkeypatch: pytest.MonkeyPatch, painted_before: bool
) -> None:
    monkeypatch.setattr("napari_attnseg.annotation.masks.abandoned.find_process", lambda pid, started: None)
    if painted_before:
        paint(editing, 3)
        assert editing.journal.flush()
    editing.with_classes(with_new_class(open_folder(editing.document.image.parent).classes))
    editing.labels[20:23] = 2
    assert editing.note([WHOLE])
    assert editing.journal.flush()
    [found] = find_recoverable()
    restored = restore(found)
    np.testing.assert_array_equal(restored.labels, editing.labels)
    restored.document.save()
    assert set(np.unique(tifffile.imread(restored.document.mask_path)[20:23])) == {2}
    restored.journal.close()


def test_what_masks_mean_by_now_is_in_the_journal(folder: Path) -> None:
    (folder / "cell00_MASK.tif").unlink()
    document = open_folder(folder).document(folder / "cell00.tif")
    editing = Editing(document, new_journal(document))
    paint(editing, 3)
    assert editing.journal.flush()
    greys = MaskConvention("classes", {0: 0, 90: 1, 180: 2}, ("background", "one", "two"))
    editing.with_convention(greys)
    assert editing.journal.close()
    assert read(editing.journal.path).header.convention == greys.to_dict()
    document.save()
    assert tifffile.imread(document.mask_path).max() == 90
    editing.with_convention(MaskConvention("binary", {0: 0, 255: 1}, ("background", "foreground")))
    assert document.convention == greys, "the mask on disk has its values"


@pytest.mark.parametrize("has_mask", [True, False])
def test_strokes_on_an_image_read_by_axes_of_the_user_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_mask: bool
) -> None:
    monkeypatch.setattr("napari_attnseg.annotation.masks.abandoned.find_process", lambda pid, started: None)
    image = tmp_path / "data" / "stack.tif"
    image.parent.mkdir()
    tifffile.imwrite(image, np.zeros((3, 48, 40), np.uint8), photometric="minisblack")
    if has_mask:
        tifffile.imwrite(image.with_name("stack_MASK.tif"), np.zeros((3, 48, 40), np.uint8), photometric="minisblack")
    folder = open_folder(image.parent)
    assert folder.document(image).labels.shape == (48, 40), "three planes may well be channels"
    folder.set_choices(FolderChoices(axes="ZYX"))
    document = folder.document(image)
    editing = Editing(document, new_journal(document))
    assert editing.apply({(2,): np.ones((48, 40), np.uint8)})
    assert editing.journal.flush()
    [found] = find_recoverable()
    assert found.problem is None
    restored = restore(found)
    np.testing.assert_array_equal(restored.labels, editing.labels)
    assert restored.journal.flush()
    assert read(restored.journal.path).header.axes == "ZYX", "it may crash again"
    restored.document.save()
    assert np.count_nonzero(tifffile.imread(document.mask_path)[2]) == 48 * 40
    restored.journal.close()
    editing.journal.close()


def test_strokes_of_another_computer_are_offered_and_never_put_away_unasked(editing: Editing) -> None:
    paint(editing, 3)
    assert editing.journal.flush()
    content = read(editing.journal.path)
    tiles = [encode_tile(item.start, item.pixels, item.when) for item in content.tiles]
    far = editing.journal.path.with_name("far.journal")
    create(far, replace(content.header, host="another-computer"), tiles)
    [found] = find_recoverable()
    assert found.abandoned.path == far
    assert found.abandoned.elsewhere == "another-computer"
    assert found.pixels == 40
    save(editing)  # what it holds is on the disk; whoever has it open there may paint on
    assert find_recoverable() == []
    assert far.exists()
