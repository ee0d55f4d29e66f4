"""Shapes between two painted planes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_attnseg.annotation.corrections.interpolate import interpolate_planes, interpolate_stack
from napari_attnseg.errors import DataError


def disc(centre: tuple[float, float], radius: float, shape: tuple[int, int] = (80, 100)) -> np.ndarray:
    y, x = np.indices(shape)
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_cone_is_cut_into_discs() -> None:
    first, last = (disc((40, 50), radius).astype(np.uint8) for radius in (5, 25))
    planes = interpolate_planes(first, last, 3)
    assert len(planes) == 3
    for plane, radius in zip(planes, (10, 15, 20), strict=True):
        assert plane.dtype == np.uint8
        assert overlap(plane == 1, disc((40, 50), radius)) > 0.93


def test_bars_have_exactly_the_length_between() -> None:
    first, last = np.zeros((2, 7, 40), np.uint16)
    first[:, 10:14] = 700
    last[:, 10:26] = 700
    (middle,) = interpolate_planes(first, last, 1)
    assert np.flatnonzero(middle[3]).tolist() == list(range(10, 20))
    assert set(np.unique(middle)) == {0, 700}


def test_equal_planes_give_the_same_plane() -> None:
    plane = (disc((20, 20), 9) + 2 * disc((60, 70), 12)).astype(np.uint8)
    for between in interpolate_planes(plane, plane, 2):
        assert np.array_equal(between, plane)
    assert interpolate_planes(plane, plane, 0) == []
    full = np.ones((9, 9), np.uint8)
    assert np.array_equal(interpolate_planes(full, full, 1)[0], full)


@pytest.mark.parametrize("way", [6, 14, 60])
def test_a_shape_that_moves_keeps_its_size(way: int) -> None:
    first, last = disc((30, 15), 8).astype(np.uint8), disc((30, 15 + way), 8).astype(np.uint8)
    for number, plane in enumerate(interpolate_planes(first, last, 3), start=1):
        assert overlap(plane == 1, disc((30, 15 + way * number / 4), 8)) > 0.9


def test_each_of_many_regions_finds_its_own_partner() -> None:
    first = (disc((20, 20), 8) | disc((60, 30), 6) | disc((20, 80), 5)).astype(np.uint8)
    last = (disc((20, 24), 8) | disc((60, 44), 6)).astype(np.uint8)
    (middle,) = interpolate_planes(first, last, 1)
    assert overlap(middle == 1, disc((20, 22), 8) | disc((60, 37), 6)) > 0.9


def test_a_region_that_splits_is_one_shape_until_it_parts() -> None:
    first = disc((40, 50), 20).astype(np.uint8)
    last = (disc((40, 38), 8) | disc((40, 62), 8)).astype(np.uint8)
    planes = interpolate_planes(first, last, 9)
    sizes = [int(plane.sum()) for plane in planes]
    assert sizes == sorted(sizes, reverse=True)
    assert planes[0][40, 50] == 1
    assert planes[-1][40, 50] == 0


def test_values_are_interpolated_each_by_itself_and_do_not_overwrite_each_other() -> None:
    first, last = np.zeros((2, 20, 40), np.uint8)
    first[:, 5:15], first[:, 15:35] = 1, 2
    last[:, 5:25], last[:, 25:35] = 1, 2
    last[0, 39] = 3
    (middle,) = interpolate_planes(first, last, 1)
    assert (middle[:, 5:20] == 1).all()
    assert (middle[:, 20:35] == 2).all()
    assert not (middle == 3).any()
    (only,) = interpolate_planes(first, last, 1, value=2)
    assert set(np.unique(only)) == {0, 2}


def test_a_shape_at_the_border_of_the_plane_stays_there() -> None:
    first, last = (disc((0, 0), radius).astype(np.uint8) for radius in (10, 30))
    (middle,) = interpolate_planes(first, last, 1)
    assert middle[0, 0] == 1
    assert overlap(middle == 1, disc((0, 0), 20)) > 0.85


def test_input_stays_as_it_was() -> None:
    first, last = disc((30, 30), 9).astype(np.uint8), disc((40, 40), 9).astype(np.uint8)
    copies = first.copy(), last.copy()
    interpolate_planes(first, last, 2)
    assert np.array_equal(first, copies[0])
    assert np.array_equal(last, copies[1])


def test_a_value_in_one_plane_only_is_refused() -> None:
    first, last = disc((30, 30), 9).astype(np.uint8), np.zeros((80, 100), np.uint8)
    assert not interpolate_planes(first, last, 1)[0].any()
    with pytest.raises(DataError, match="Label 1 is not painted in both planes"):
        interpolate_planes(first, last, 1, value=1)
    with pytest.raises(DataError, match="Label 0 is the background"):
        interpolate_planes(first, first, 1, value=0)
    with pytest.raises(ValueError, match="Cannot interpolate"):
        interpolate_planes(first, last[:10], 1)


def painted_stack() -> np.ndarray:
    """Class 1 in planes 1, 5 and 8; class 2 in planes 3 and 8, right of it."""
    stack = np.zeros((10, 80, 100), np.uint8)
    for z in (1, 5, 8):
        stack[z][disc((40, 20), 10)] = 1
    for z in (3, 8):
        stack[z][disc((40, 30), 10)] = 2
    return stack


def test_a_gap_is_filled_without_touching_other_classes() -> None:
    stack = painted_stack()
    before = stack.copy()
    planes = interpolate_stack(stack, 2, 1)
    assert sorted(planes) == [2, 3, 4]
    assert np.array_equal(planes[2], stack[1])
    assert np.array_equal(planes[3] == 2, stack[3] == 2)
    assert np.array_equal(planes[3] == 1, disc((40, 20), 10) & (stack[3] == 0))
    assert np.array_equal(stack, before)


def test_a_painted_plane_is_the_end_of_its_gaps() -> None:
    stack = painted_stack()
    assert sorted(interpolate_stack(stack, 8, 1)) == [6, 7]
    assert sorted(interpolate_stack(stack, 5, 1)) == [2, 3, 4, 6, 7]


def test_all_classes_fill_their_own_gaps() -> None:
    stack = painted_stack()
    planes = interpolate_stack(stack, 7)
    assert sorted(planes) == [4, 5, 6, 7]
    assert set(np.unique(planes[4])) == {0, 2}
    assert np.array_equal(planes[5] == 1, stack[5] == 1)
    assert set(np.unique(planes[6])) == {0, 1, 2}
    assert planes[6].dtype == np.uint8


def test_where_there_is_no_gap_nothing_is_guessed() -> None:
    stack = painted_stack()
    for z, value in ((0, 1), (9, 1), (9, None), (4, 5)):
        with pytest.raises(DataError, match="with empty planes in between"):
            interpolate_stack(stack, z, value)
    with pytest.raises(DataError, match="Label 0 is the background"):
        interpolate_stack(stack, 4, 0)


def test_object_numbers_above_a_byte() -> None:
    stack = np.zeros((3, 80, 100), np.uint32)
    for z in (0, 2):
        stack[z][disc((40, 40), 7)] = 3_000_000_000
    planes = interpolate_stack(stack, 1)
    assert planes[1].dtype == np.uint32
    assert np.array_equal(planes[1], stack[0])
