"""Accepting predictions: hand-drawn planes whose answers are known, and one undo step each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_attnseg.annotation.corrections.accept import (
    Offer,
    Planes,
    accept_all,
    accept_object,
    accept_region,
    accept_where_empty,
    class_mapping,
    classes_kept,
    mapping_problem,
)
from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.recovery import new_journal
from napari_attnseg.errors import DataError
from tests.conftest import MakeFolder

Array = np.ndarray[Any, Any]


def drawn(*rows: str, dtype: type = np.uint8) -> Array:
    """Turn rows of hexadecimal digits, '.' for background, into labels."""
    return np.array([[0 if sign == "." else int(sign, 16) for sign in row] for row in rows], dtype)


def only(planes: Planes) -> Array:
    """Return the one plane that changed."""
    assert list(planes) == [()]
    return planes[()]


MASK = drawn(
    "22......",
    "22......",
    ".......1",
    "........",
)
PREDICTED = drawn(
    ".11..111",
    ".11..111",
    "........",
    "........",
)


def test_all_makes_the_mask_the_prediction() -> None:
    assert np.array_equal(only(accept_all(Offer(MASK, PREDICTED))), PREDICTED)


def test_classes_that_the_model_does_not_know_stay() -> None:
    found = only(accept_all(Offer(MASK, PREDICTED, kept=frozenset([2]))))
    assert np.array_equal(found, drawn("221..111", "221..111", "........", "........"))


def test_the_given_arrays_are_left_alone() -> None:
    mask, predicted = MASK.copy(), PREDICTED.copy()
    accept_all(Offer(mask, predicted, kept=frozenset([2])))
    accept_object(Offer(mask, predicted), (0, 6), replace=True)
    accept_where_empty(Offer(mask.astype(np.uint16), predicted, counts_objects=True))
    assert np.array_equal(mask, MASK)
    assert np.array_equal(predicted, PREDICTED)


@pytest.mark.parametrize("counts", [False, True])
def test_nothing_predicted_is_nothing_to_accept(counts: bool) -> None:
    offer = Offer(MASK, np.zeros_like(MASK), counts_objects=counts)
    assert accept_all(offer) == {}
    assert accept_where_empty(offer) == {}
    assert accept_object(offer, (0, 0)) == {}
    assert accept_region(offer, (3, 3)) == {}


@pytest.mark.parametrize("at", [(-1, 0), (0, -1), (4, 0), (0, 8)])
def test_outside_of_the_image_is_nothing_to_accept(at: tuple[int, int]) -> None:
    assert accept_object(Offer(MASK, PREDICTED), at) == {}
    assert accept_region(Offer(MASK, PREDICTED), at) == {}


def test_what_is_so_already_is_no_change() -> None:
    assert accept_all(Offer(PREDICTED, PREDICTED)) == {}


def test_where_empty_takes_only_background() -> None:
    found = only(accept_where_empty(Offer(MASK, PREDICTED)))
    assert np.array_equal(found, drawn("221..111", "221..111", ".......1", "........"))


def test_an_object_takes_its_pixels_whatever_is_there_and_no_others() -> None:
    found = only(accept_object(Offer(MASK, PREDICTED), (0, 1)))
    assert np.array_equal(found, drawn("211.....", "211.....", ".......1", "........"))


def test_an_object_without_replacing_only_adds() -> None:
    found = only(accept_object(Offer(MASK, PREDICTED), (1, 6)))
    assert np.array_equal(found, drawn("22...111", "22...111", ".......1", "........"))


def test_replacing_ends_the_object_where_the_prediction_does() -> None:
    mask = drawn("1111.11", ".......", "22.....")
    predicted = drawn(".11.1..", ".......", ".......")
    found = only(accept_object(Offer(mask, predicted), (0, 1), replace=True))
    assert np.array_equal(found, drawn(".11..11", ".......", "22....."))


def test_replacing_spares_what_was_predicted_of_a_neighbour() -> None:
    mask = drawn("111111111", ".........")
    predicted = drawn(".11...11.", ".........")
    found = only(accept_object(Offer(mask, predicted), (0, 1), replace=True))
    assert np.array_equal(found, drawn(".11...11.", "........."))


def test_replacing_leaves_another_object_of_the_class() -> None:
    mask = drawn("11..11", "......")
    found = only(accept_object(Offer(mask, drawn(".1....", "......")), (0, 1), replace=True))
    assert np.array_equal(found, drawn(".1..11", "......"))


def test_diagonal_pixels_are_one_object() -> None:
    predicted = drawn("1...", ".1..", "...1")
    found = only(accept_object(Offer(np.zeros_like(predicted), predicted), (0, 0)))
    assert np.array_equal(found, drawn("1...", ".1..", "...."))


def test_a_region_becomes_what_was_predicted_there_and_nothing_else_changes() -> None:
    mask = drawn("11...22.", "11......", "......11")
    predicted = drawn(".111....", "........", "......1.")
    found = only(accept_region(Offer(mask, predicted), (1, 0)))
    assert np.array_equal(found, drawn(".111.22.", "........", "......11"))
    removed = only(accept_region(Offer(mask, predicted), (0, 6)))
    assert np.array_equal(removed, drawn("11......", "11......", "......11"))
    assert np.array_equal(only(accept_region(Offer(mask, predicted, kept=frozenset([1])), (0, 6))), removed)
    assert accept_region(Offer(mask, predicted, kept=frozenset([2])), (0, 6)) == {}


# Planes of a stack


def stack() -> tuple[Array, Array]:
    labels, predicted = np.zeros((2, 3, 4, 6), np.uint8), np.zeros((2, 3, 4, 6), np.uint8)
    labels[0, 1, 0, 0] = labels[1, 2, 3, 3] = 1
    predicted[0, 1, 1:3, 1:3] = predicted[1, 0, 0, 0] = 1
    return labels, predicted


def test_all_planes_on_which_anything_was_predicted_change() -> None:
    labels, predicted = stack()
    found = accept_all(Offer(labels, predicted))
    assert set(found) == {(0, 1), (1, 0)}
    assert np.array_equal(found[0, 1], predicted[0, 1])
    assert np.array_equal(accept_where_empty(Offer(labels, predicted))[0, 1], predicted[0, 1] | labels[0, 1])


def test_one_plane_of_a_stack() -> None:
    labels, predicted = stack()
    for offered in (predicted, predicted[0, 1]):
        offer = Offer(labels, offered, plane=(0, 1))
        assert list(accept_all(offer)) == [(0, 1)]
        assert list(accept_object(offer, (1, 1))) == [(0, 1)]


@pytest.mark.parametrize("plane", [None, (0,), (0, 1, 0)])
def test_a_prediction_of_one_plane_needs_to_say_which(plane: tuple[int, ...] | None) -> None:
    labels, predicted = stack()
    with pytest.raises(ValueError, match="does not fit"):
        Offer(labels, predicted[0, 1], plane=plane)


def test_the_cursor_needs_a_plane() -> None:
    with pytest.raises(ValueError, match="which plane"):
        accept_object(Offer(*stack()), (0, 0))


# Numbered objects


def test_the_same_object_keeps_its_number_and_others_get_new_ones() -> None:
    mask = drawn("777...44", "777.....", "........", dtype=np.uint16)
    shifted = drawn(".111....", ".111....", ".....1.1")  # 4 pixels shared of the 8 that both cover: another object
    found = only(accept_all(Offer(mask, shifted, counts_objects=True)))
    assert np.array_equal(found, drawn(".888....", ".888....", ".....9.a", dtype=np.uint16))
    larger = drawn("1111....", "111.....", "........")
    found = only(accept_all(Offer(mask, larger, counts_objects=True)))
    assert np.array_equal(found, drawn("7777....", "777.....", "........", dtype=np.uint16))


def test_two_objects_under_one_number_come_apart() -> None:
    mask = drawn("33333333", dtype=np.uint16)
    predicted = drawn("111..111")
    assert np.array_equal(only(accept_all(Offer(mask, predicted, counts_objects=True))), drawn("444..555"))
    found = only(accept_object(Offer(mask, predicted, counts_objects=True), (0, 0)))
    assert np.array_equal(found, drawn("44433333"))


def test_a_numbered_object_under_the_cursor() -> None:
    mask = drawn("6666...5", "........", dtype=np.uint32)
    predicted = drawn(".111....", "....1111")  # one object, for diagonal neighbours belong together
    offer = Offer(mask, predicted & drawn("ffffffff", "........"), counts_objects=True)
    assert accept_object(offer, (0, 1)) == {}  # it is object 6, which is there already
    assert np.array_equal(only(accept_object(offer, (0, 1), replace=True)), drawn(".666...5", "........"))
    found = only(accept_object(Offer(mask, predicted, counts_objects=True), (0, 1)))
    assert np.array_equal(found, drawn("6777...5", "....7777"))


def test_a_region_of_numbered_objects() -> None:
    mask = drawn("22..3", "22...", dtype=np.uint16)
    predicted = drawn("1..1.", "1....")
    found = only(accept_region(Offer(mask, predicted, counts_objects=True), (0, 1)))
    assert np.array_equal(found, drawn("4...3", "4...."))  # 2 of 4 pixels are not more than half
    predicted = drawn("11...", "1....")
    found = only(accept_region(Offer(mask, predicted, counts_objects=True), (0, 1)))
    assert np.array_equal(found, drawn("22..3", "2...."))


def test_where_empty_lets_numbered_objects_grow_and_adds_those_that_are_new() -> None:
    mask = drawn("2....3..", "........", dtype=np.uint16)
    predicted = drawn("111111..", ".......1")
    found = only(accept_where_empty(Offer(mask, predicted, counts_objects=True)))
    assert np.array_equal(found, drawn("222333..", ".......4"))


def test_numbers_are_new_in_the_whole_stack_and_go_through_planes_on_request() -> None:
    labels = np.zeros((3, 2, 4), np.uint16)
    labels[2, 1, 3] = 9
    predicted = np.zeros((3, 2, 4), np.uint8)
    predicted[:2, 0, :2] = 1
    apart = accept_all(Offer(labels, predicted, counts_objects=True))
    assert [apart[index][0, 0] for index in ((0,), (1,))] == [10, 11]
    through = accept_all(Offer(labels, predicted, counts_objects=True, through_planes=True))
    assert [through[index][0, 0] for index in ((0,), (1,))] == [10, 10]
    assert set(apart) == set(through) == {(0,), (1,)}


def test_a_number_that_goes_on_in_other_planes_is_kept_on_each() -> None:
    labels = np.zeros((3, 2, 4), np.uint16)
    labels[:, 0, :2] = 5
    predicted = np.zeros((3, 2, 4), np.uint8)
    predicted[:, 0, :3] = 1
    for through in (False, True):
        found = accept_all(Offer(labels, predicted, counts_objects=True, through_planes=through))
        assert [set(np.unique(plane)) for plane in found.values()] == [{0, 5}] * 3


def test_numbers_that_were_given_up_are_used_when_there_are_no_larger_ones() -> None:
    mask = np.zeros((1, 8), np.uint16)
    mask[0, 0], mask[0, 1] = 65535, 1
    found = only(accept_where_empty(Offer(mask, drawn("...1.1.1"), counts_objects=True)))
    assert found.tolist() == [[65535, 1, 0, 2, 0, 3, 0, 4]]


def test_a_mask_without_free_numbers_says_so() -> None:
    mask = np.arange(1, 65537, dtype=np.uint32).reshape(256, 256).clip(max=65535).astype(np.uint16)
    mask[255, 254:] = 0
    predicted = np.zeros(mask.shape, np.uint8)
    predicted[255, 255] = predicted[10, 10] = 1
    with pytest.raises(DataError, match="none left"):
        accept_all(Offer(np.where(mask == 0, 65535, mask).astype(np.uint16), 1 - predicted, counts_objects=True))


# Classes of model and folder


def test_a_single_class_is_the_same_whatever_its_name() -> None:
    assert class_mapping(("background", "foreground"), ("background", "nucleus")) == {0: 0, 1: 1}


def test_several_classes_go_by_name() -> None:
    folder = ("background", "Kidney", "liver ", "spleen")
    assert class_mapping(("background", "Liver", "kidney"), folder) == {0: 0, 1: 2, 2: 1}
    assert mapping_problem(("background", "Liver", "kidney"), folder) is None
    assert classes_kept({0: 0, 1: 2, 2: 1}, 4) == {3}


def test_a_class_that_the_folder_lacks_is_said() -> None:
    model, folder = ("background", "liver", "heart", "lung"), ("background", "liver", "spleen")
    assert class_mapping(model, folder) is None
    sentence = mapping_problem(model, folder)
    assert sentence is not None
    assert "'heart', 'lung'" in sentence
    assert "liver, spleen" in sentence


# As a step of editing


def test_accepting_is_one_undo_step(make_folder: MakeFolder) -> None:
    root: Path = make_folder(1, planes=3)
    document = open_folder(root).document(root / "cell00.tif")
    before = document.labels.copy()
    editing = Editing(document, new_journal(document, lambda _: None))
    try:
        predicted = np.roll(document.labels, 3, axis=-1)
        assert editing.apply(accept_all(Offer(document.labels, predicted)))
        assert np.array_equal(document.labels, predicted)
        editing.undo()
        assert np.array_equal(document.labels, before)
        assert not editing.history.can_undo
        assert not editing.apply({})
    finally:
        editing.journal.close()
