"""Corrections of hand-drawn planes whose answers are known; other classes are never touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_attnseg.annotation.corrections import scope as corrections_scope
from napari_attnseg.annotation.corrections.planes import (
    Scope,
    copy_plane,
    fill_holes,
    grow,
    keep_largest,
    remove_small,
    shrink,
    smooth,
)
from napari_attnseg.errors import DataError

PLANE = Scope("plane")
ONE = Scope("class", 1)

Correction = Callable[[np.ndarray, Scope], np.ndarray]
ALL: list[Any] = [
    pytest.param(fill_holes, id="fill_holes"),
    pytest.param(lambda labels, where: remove_small(labels, where, 5), id="remove_small"),
    pytest.param(keep_largest, id="keep_largest"),
    pytest.param(lambda labels, where: grow(labels, where, 2), id="grow"),
    pytest.param(lambda labels, where: shrink(labels, where, 1), id="shrink"),
    pytest.param(lambda labels, where: smooth(labels, where, 2), id="smooth"),
]


def drawn(*rows: str, dtype: type = np.uint8) -> np.ndarray:
    """Turn rows of digits, '.' for background, into labels."""
    return np.array([[0 if sign == "." else int(sign) for sign in row] for row in rows], dtype)


def disc(shape: tuple[int, int], centre: tuple[int, int], radius: float) -> np.ndarray:
    y, x = np.indices(shape)
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def scattered(dtype: type = np.uint8) -> np.ndarray:
    """Objects of three values with holes, contacts, specks and rough outlines."""
    rng = np.random.default_rng(5)
    labels: np.ndarray = np.zeros((90, 110), dtype)
    for number in range(14):
        y, x, radius = int(rng.integers(5, 85)), int(rng.integers(5, 105)), int(rng.integers(3, 12))
        labels[disc(labels.shape, (y, x), radius)] = number % 3 + 1
    labels[rng.random(labels.shape) < 0.05] = 0
    specks = rng.random(labels.shape) < 0.01
    labels[specks] = rng.integers(1, 4, int(specks.sum()))
    return labels


def test_a_hole_is_filled_and_an_object_in_it_stays() -> None:
    labels = drawn(
        ".1111111..",
        ".1.....1..",
        ".1.222.1.1",
        ".1.2.2.11.",
        ".1.222.1.1",
        ".1.....1..",
        ".1111111..",
    )
    only_one = labels.copy()
    only_one[1:6, 2:7][labels[1:6, 2:7] == 0] = 1
    only_one[3, 4] = 0
    assert fill_holes(labels, ONE).tolist() == only_one.tolist()
    both = only_one.copy()
    both[3, 4] = 2
    assert fill_holes(labels, PLANE).tolist() == both.tolist()
    assert fill_holes(labels, Scope("class", 2)).tolist() == np.where(both == only_one, labels, both).tolist()


def test_background_at_the_border_or_between_two_classes_is_no_hole() -> None:
    labels = drawn(
        "1.1..111..",
        "111..1.2..",
        ".....122..",
        "......1...",
        ".....1.1..",
        "......1...",
    )
    filled = labels.copy()
    filled[4, 6] = 1  # enclosed by pixels that touch at their corners only
    assert fill_holes(labels, PLANE).tolist() == filled.tolist()


def test_small_regions_go_and_corners_connect() -> None:
    labels = drawn(
        "1...33",
        ".1....",
        "2.1..1",
        "2....1",
    )
    assert remove_small(labels, PLANE, 3).tolist() == np.where(np.eye(4, 6) * (labels == 1) > 0, 1, 0).tolist()
    without_one = labels.copy()
    without_one[2:, 5] = 0
    assert remove_small(labels, ONE, 3).tolist() == without_one.tolist()
    without_three = np.where(labels == 3, 0, labels)
    assert remove_small(labels, Scope("region", position=(0, 4)), 3).tolist() == without_three.tolist()
    assert np.array_equal(remove_small(labels, Scope("region", position=(0, 4)), 2), labels)


def test_the_largest_region_of_each_value_is_kept() -> None:
    labels = drawn(
        "11..22.",
        "11...2.",
        ".......",
        "2.1.111",
        "..1.111",
    )
    kept = drawn(
        "....22.",
        ".....2.",
        ".......",
        "....111",
        "....111",
    )
    assert keep_largest(labels, PLANE).tolist() == kept.tolist()
    assert keep_largest(labels, ONE).tolist() == np.where(labels == 2, 2, kept).tolist()


def test_of_one_region_the_others_of_its_value_go() -> None:
    labels = drawn("11.2.1", "11.2.1", "......", "1...2.")
    kept = drawn("...2.1", "...2.1", "......", "....2.")
    assert keep_largest(labels, Scope("region", position=(1, 5))).tolist() == kept.tolist()


def test_growing_makes_a_disc_and_stops_at_other_classes() -> None:
    labels = np.zeros((21, 21), np.uint8)
    labels[10, 10] = 1
    labels[:, 13] = 2
    grown = grow(labels, ONE, 4)
    expected = labels.copy()
    expected[disc(labels.shape, (10, 10), 4) & (labels == 0)] = 1
    assert grown.tolist() == expected.tolist()


def test_two_objects_that_grow_meet_in_the_middle() -> None:
    labels = np.zeros((3, 12), np.uint16)
    labels[:, 1], labels[:, 10] = 7, 300
    grown = grow(labels, PLANE, 6)
    assert grown.tolist() == [[7] * 6 + [300] * 6] * 3


def test_only_the_region_under_the_cursor_grows() -> None:
    labels = drawn(".......", ".1...1.", ".......")
    assert grow(labels, Scope("region", position=(1, 1)), 1).tolist() == drawn(".1.....", "111..1.", ".1.....").tolist()


def test_shrinking_undoes_growing_and_spares_the_border_of_the_plane() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[disc(labels.shape, (20, 20), 9)] = 1
    assert np.array_equal(shrink(grow(labels, ONE, 3), ONE, 3) == 1, labels == 1)
    labels[:] = 0
    labels[:, :10] = 2
    assert np.flatnonzero(shrink(labels, PLANE, 3)[0]).tolist() == list(range(7))
    assert (shrink(np.ones((5, 5), np.uint8), PLANE, 2) == 1).all()


def test_touching_numbers_shrink_from_each_other() -> None:
    labels = np.repeat(np.array([[4] * 6 + [9] * 6], np.uint32), 5, axis=0)
    assert shrink(labels, PLANE, 1).tolist() == [[4] * 5 + [0, 0] + [9] * 5] * 5


def test_smoothing_fills_notches_and_takes_spurs() -> None:
    clean = np.zeros((60, 60), np.uint8)
    clean[:30] = 1
    rough = clean.copy()
    rough[29, 20] = 0
    rough[30, 40] = 1
    assert np.array_equal(smooth(rough, ONE, 3), clean)


def test_smoothing_leaves_shared_outlines_and_small_objects() -> None:
    labels = np.ones((40, 40), np.uint8)
    labels[:, 20:] = 2
    labels[10, 20] = 1
    assert np.array_equal(smooth(labels, PLANE, 4), labels)
    dot = np.zeros((30, 30), np.uint8)
    dot[15, 15:17] = 3
    assert np.array_equal(smooth(dot, PLANE, 5), dot)


@pytest.mark.parametrize("correct", ALL)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_input_and_dtype_stay_and_values_work_alike(correct: Correction, dtype: type) -> None:
    labels = scattered(dtype)
    before = labels.copy()
    corrected = correct(labels, PLANE)
    assert np.array_equal(labels, before)
    assert corrected.dtype == dtype
    assert corrected is not labels
    assert not np.array_equal(corrected, labels)
    assert np.array_equal(corrected, correct(scattered(), PLANE))


@pytest.mark.parametrize("correct", ALL)
def test_no_correction_turns_one_class_into_another(correct: Correction) -> None:
    labels = scattered()
    for where in (PLANE, ONE, Scope("region", position=tuple(np.argwhere(labels == 2)[0]))):
        corrected = correct(labels, where)
        changed = corrected != labels
        assert (corrected[changed & (labels > 0)] == 0).all()
        if where is ONE:
            assert np.array_equal(corrected[labels > 1], labels[labels > 1])
            assert set(np.unique(corrected[changed])) <= {0, 1}


@pytest.mark.parametrize("correct", ALL)
def test_a_class_that_is_not_there_changes_nothing(correct: Correction) -> None:
    labels = scattered()
    assert np.array_equal(correct(labels, Scope("class", 9)), labels)
    assert not correct(np.zeros((4, 4), np.uint8), PLANE).any()


@pytest.mark.parametrize("correct", ALL)
def test_pieces_of_a_large_plane_give_what_the_whole_gives(
    correct: Correction, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = scattered()
    whole = [correct(labels, where) for where in (PLANE, ONE)]
    monkeypatch.setattr(corrections_scope, "TILE", 8)
    monkeypatch.setattr(corrections_scope, "FIRST_REACH", 2)
    monkeypatch.setattr("napari_attnseg.annotation.corrections.outline.SQUARE", 16)
    for where, expected in zip((PLANE, ONE), whole, strict=True):
        assert np.array_equal(correct(labels, where), expected)


def test_a_region_larger_than_the_first_look_is_found_whole() -> None:
    labels = np.zeros((40, 1500), np.uint8)
    labels[20, 5:1495] = 1
    labels[30, 700] = 1
    box, meant = corrections_scope.chosen_pixels(labels, Scope("region", position=(20, 700)), margin=2)
    assert box == (slice(18, 23), slice(3, 1497))
    assert meant.sum() == 1490
    assert meant[2, 2:-2].all()


def test_numbers_in_the_billions_are_corrected() -> None:
    labels = np.zeros((6, 6), np.uint32)
    labels[1:4, 1:4] = 4_000_000_000
    labels[2, 2] = 0
    labels[5, 5] = 4_000_000_001
    filled = fill_holes(labels, PLANE)
    assert filled[2, 2] == 4_000_000_000
    assert keep_largest(labels, Scope("class", 4_000_000_001))[5, 5] == 4_000_000_001


@pytest.mark.parametrize("correct", ALL)
@pytest.mark.parametrize("position", [(0, 0), (-1, 3), (3, 99)])
def test_no_object_under_the_cursor(correct: Correction, position: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"^There is no object under the cursor"):
        correct(drawn("..1", "..1"), Scope("region", position=position))


def test_the_background_cannot_be_corrected() -> None:
    with pytest.raises(DataError, match="Label 0 is the background"):
        grow(drawn("1."), Scope("class", 0), 1)
    with pytest.raises(DataError, match="Label 0 is the background"):
        copy_plane(drawn("1."), drawn(".1"), 0)


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match="needs its value"):
        Scope("class")
    with pytest.raises(ValueError, match="needs a position"):
        Scope("region")
    with pytest.raises(ValueError, match="negative"):
        smooth(drawn("1."), PLANE, -1)
    with pytest.raises(ValueError, match="differ in size"):
        copy_plane(drawn("1."), drawn("1"))


def test_a_radius_of_nothing_changes_nothing() -> None:
    labels = scattered()
    for correct in (grow, shrink, smooth):
        assert np.array_equal(correct(labels, PLANE, 0), labels)


def test_copying_a_plane_replaces_all_or_one_class() -> None:
    source, target = drawn("1122", "1..2"), drawn("..31", "31.1")
    assert copy_plane(source, target).tolist() == source.tolist()
    assert copy_plane(source, target) is not source
    assert copy_plane(source, target, 1).tolist() == drawn("113.", "3...").tolist()
    assert copy_plane(source, target.astype(np.uint16), 2).dtype == np.uint16
    assert target.tolist() == drawn("..31", "31.1").tolist()
