"""Undo and redo bring every pixel back, on every plane."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from napari_attnseg.annotation.masks.history import Change, History, changed_tiles, tiles_of

_numbers = count(1)


def paint(labels: np.ndarray, history: History, box: tuple[slice, ...], value: object) -> None:
    before = labels.copy()
    labels[box] = value
    history.record(changed_tiles(before, labels, (0,) * labels.ndim), next(_numbers))


def starts(changes: list[Change]) -> list[tuple[int, ...]]:
    return [tuple(part.start for part in change.box) for change in changes]


def test_tiles_of_a_box_lie_on_the_grid_of_the_mask():
    boxes = tiles_of((3, 600, 300), (slice(1, 3), slice(250, 513), slice(10, 20)))
    assert boxes == [
        (slice(z, z + 1), slice(y, min(y + 256, 600)), slice(0, 256)) for z in (1, 2) for y in (0, 256, 512)
    ]
    assert tiles_of((100, 100), (slice(-5, 3), slice(90, 400))) == [(slice(0, 100), slice(0, 100))]
    assert tiles_of((100, 100), (slice(5, 5), slice(0, 9))) == []


def test_changed_tiles_are_those_that_differ_and_copies():
    before = np.zeros((2, 300, 700), np.uint8)
    after = before.copy()
    after[1, 255:257, 511] = 3
    changes = changed_tiles(before, after, (0, 0, 0))
    assert starts(changes) == [(1, 0, 256), (1, 256, 256)]
    assert [change.after.shape for change in changes] == [(1, 256, 256), (1, 44, 256)]
    after[1, 255, 511] = 9
    before[:] = 9
    assert changes[0].after.max() == 3
    assert changes[0].before.max() == 0


def test_a_part_in_the_middle_is_cut_along_the_grid_of_the_whole():
    before = np.zeros((100, 20), np.uint16)
    after = before.copy()
    after[:, 0] = 700
    changes = changed_tiles(before, after, (200, 250))
    assert starts(changes) == [(200, 250), (256, 250)]
    assert [change.after.shape for change in changes] == [(56, 6), (44, 6)]
    whole = np.zeros((400, 400), np.uint16)
    for change in changes:
        whole[change.box] = change.after
    assert np.array_equal(whole[200:300, 250:270], after)


def test_parts_that_cannot_be_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        changed_tiles(np.zeros((2, 2)), np.zeros((2, 3)), (0, 0))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((300, 520), "u1"), ((4, 270, 300), "u2"), ((2, 3, 260, 130), "u4")], ids=str
)
def test_any_number_of_steps_on_any_planes_is_undone_and_done_again(shape, dtype):
    rng = np.random.default_rng(3)
    labels, history = np.zeros(shape, dtype), History()
    seen = [labels.copy()]
    for number in range(60):
        low = [int(rng.integers(0, length)) for length in shape]
        box = tuple(slice(at, at + int(rng.integers(1, 200))) for at in low)
        size = labels[box].shape
        value = rng.integers(0, 200, size) if number % 3 else number + 1
        paint(labels, history, box, value)
        seen.append(labels.copy())
    for expected in reversed(seen[:-1]):
        boxes = history.undo(labels)
        assert boxes
        assert np.array_equal(labels, expected)
    assert not history.can_undo
    assert history.undo(labels) == ()
    for expected in seen[1:]:
        assert history.redo(labels)
        assert np.array_equal(labels, expected)
    assert not history.can_redo
    assert history.redo(labels) == ()


def test_changes_of_one_step_that_overlap_are_undone_in_reverse():
    labels, history = np.zeros((4, 4), np.uint8), History()
    whole, corner = (slice(0, 4), slice(0, 4)), (slice(0, 2), slice(0, 2))
    first = Change(whole, np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8))
    second = Change(corner, np.ones((2, 2), np.uint8), np.full((2, 2), 2, np.uint8))
    history.record([first, second], 1)
    history.undo(labels)
    assert not labels.any()
    history.redo(labels)
    assert labels[0, 0] == 2
    assert labels[3, 3] == 1


def test_a_new_step_ends_what_can_be_done_again():
    labels, history = np.zeros((50, 50), np.uint8), History()
    for value in (1, 2):
        paint(labels, history, (slice(0, 9), slice(0, 9)), value)
    history.undo(labels)
    paint(labels, history, (slice(20, 30), slice(0, 9)), 5)
    assert not history.can_redo
    assert history.redo(labels) == ()
    for _ in range(2):
        history.undo(labels)
    assert not labels.any()


def test_recorded_arrays_may_change_afterwards():
    labels, history = np.zeros((10, 10), np.uint8), History()
    before, after = labels.copy(), np.ones_like(labels)
    history.record([Change((slice(0, 10), slice(0, 10)), before, after)], 1)
    before[:], after[:], labels[:] = 7, 7, 1
    history.undo(labels)
    assert not labels.any()


def test_nothing_painted_is_no_step():
    labels, history = np.zeros((50, 50), np.uint8), History()
    paint(labels, history, (slice(0, 9), slice(0, 9)), 1)
    history.undo(labels)
    paint(labels, history, (slice(0, 9), slice(0, 9)), 0)
    history.record([Change((slice(0, 2), slice(0, 2)), labels[:2, :2], labels[:2, :2])], 9)
    assert not history.can_undo
    assert history.can_redo


def test_the_oldest_steps_give_way_and_the_newest_never():
    rng = np.random.default_rng(0)
    labels, history = np.zeros((256, 256), np.uint8), History(limit_bytes=300_000)
    seen = [labels.copy()]
    for _ in range(8):
        paint(labels, history, (slice(0, 256), slice(0, 256)), rng.integers(0, 256, labels.shape))
        seen.append(labels.copy())
        assert history.stored_bytes <= 300_000
    undone = 0
    while history.undo(labels):
        undone += 1
        assert np.array_equal(labels, seen[-1 - undone])
    assert undone == 2  # noise of 64 KB before and after each
    small = History(limit_bytes=10)
    paint(labels, small, (slice(0, 256), slice(0, 256)), rng.integers(0, 256, labels.shape))
    assert small.can_undo
    small.clear()
    assert not small.can_undo
    assert small.stored_bytes == 0


def test_smooth_masks_take_little_memory():
    labels, history = np.zeros((2000, 2000), np.uint8), History()
    paint(labels, history, (slice(0, 2000), slice(0, 2000)), 1)
    assert history.stored_bytes < 50_000


def test_the_revision_is_the_old_one_again_after_undo_and_redo():
    labels, history = np.zeros((50, 50), np.uint8), History(revision=7)
    assert history.revision == 7
    for row, revision in enumerate((8, 9, 12)):
        before = labels.copy()
        labels[row] = 1
        history.record(changed_tiles(before, labels, (0, 0)), revision)
    assert history.revision == 12
    assert [history.undo(labels) and history.revision for _ in range(3)] == [9, 8, 7]
    assert [history.redo(labels) and history.revision for _ in range(2)] == [8, 9]


def test_without_its_oldest_steps_a_history_never_comes_to_the_first_revision():
    rng = np.random.default_rng(0)
    labels, history = np.zeros((256, 256), np.uint8), History(limit_bytes=300_000)
    for revision in range(1, 9):
        before = labels.copy()
        labels[:] = rng.integers(0, 256, labels.shape)
        history.record(changed_tiles(before, labels, (0, 0)), revision)
    while history.undo(labels):
        pass
    assert history.revision == 6  # two steps are kept
    history.clear()
    assert history.revision == 6


def test_undo_leaves_alone_what_no_step_has_changed():
    labels, history = np.zeros((50, 50), np.uint8), History()
    known = labels.copy()
    paint(labels, history, (slice(0, 9), slice(0, 9)), 1)
    known[:] = labels
    labels[20:30] = 2  # a stroke that is not finished
    history.undo(labels, known)
    assert not known.any()
    assert not labels[:20].any()
    assert (labels[20:30] == 2).all()
