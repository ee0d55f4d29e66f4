"""Touching objects of a known number: cut apart, while what is one stays one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_attnseg.errors import Stopped
from napari_attnseg.objects.separate import separate
from napari_attnseg.settings import ObjectSettings
from tests.objects.drawn import ellipsoid, turned_ellipse, two_discs

ANGLES = np.linspace(0, np.pi, 7, endpoint=False)


@pytest.mark.parametrize(
    ("radius", "overlap"), [(4, 1.8), (6, 1.8), (6, 1.5), (10, 1.8), (10, 1.4), (20, 1.8), (20, 1.2)]
)
def test_discs_that_overlap_are_two(radius: float, overlap: float) -> None:
    """`overlap` is the distance of the centres in radii: 2 touch only, 1 are half in each other."""
    for angle in ANGLES:
        mask = two_discs(radius, overlap * radius, angle)
        found = separate(mask)
        assert found.count == 2, f"at {angle:.2f}"
        assert np.array_equal(found.labels > 0, mask)
        sizes = np.bincount(found.labels.ravel())[1:]
        assert sizes.min() > 0.8 * sizes.max(), "cut through the neck"


@pytest.mark.parametrize(("short", "ratio"), [(3, 1), (3, 3), (5, 2), (5, 4), (8, 3), (12, 3)])
def test_an_elongated_object_is_one(short: float, ratio: float) -> None:
    for angle in ANGLES:
        assert separate(turned_ellipse(100, short * ratio, short, angle)).count == 1, f"at {angle:.2f}"


def test_large_and_small_objects_are_judged_alike() -> None:
    mask = np.zeros((200, 200), bool)
    mask[:100, :100] = two_discs(24, 34, 0.4)
    mask[100:, 100:] = two_discs(6, 9, 1.3)
    mask[110:115, 10:90] = True  # a rod
    assert separate(mask).count == 5


def test_a_dip_of_the_probability_cuts_where_the_shape_does_not() -> None:
    mask = ellipsoid((60, 80), (30, 40), (12, 30))
    probability = np.where(mask, 0.95, 0.02)
    probability[:, 38:43] *= 0.6
    assert separate(mask).count == 1
    found = separate(mask, {1: probability})
    assert found.count == 2
    assert found.labels[30, 20] != found.labels[30, 60]


@pytest.mark.parametrize("painted", [False, True])
def test_where_the_probability_is_not_known_the_shape_decides(painted: bool) -> None:
    """A part of an image that could not be read has none; it is empty there, unless it was painted by hand."""
    mask = two_discs(12, 20, 0.3)
    if not painted:
        mask[:48, :48] = False
    probability = np.ones(mask.shape)
    expected = separate(mask, {1: probability})
    assert expected.count == 2
    probability[:48, :48] = np.nan
    assert np.array_equal(separate(mask, {1: probability}).labels, expected.labels)


def test_classes_stay_apart() -> None:
    classes = np.zeros((40, 60), np.uint8)
    classes[10:30, 10:30] = 1
    classes[10:30, 30:50] = 3  # they touch
    found = separate(classes)
    assert found.count == 2
    assert found.labels.dtype == np.uint16
    assert np.array_equal(found.classes[found.labels], classes)


def test_settings_drop_and_join() -> None:
    mask = two_discs(10, 15, 0.2)
    mask[2:4, 2:4] = True
    assert separate(mask).count == 3
    assert separate(mask, settings=ObjectSettings(min_size=5)).count == 2
    assert separate(mask, settings=ObjectSettings(min_size=5, min_distance=18)).count == 1
    assert separate(mask, settings=ObjectSettings(min_size=5, neck=0.6)).count == 1
    assert separate(mask, settings=ObjectSettings(min_size=5, split=False)).count == 1
    physical = ObjectSettings(unit="physical", min_size=1.1, min_distance=0)
    assert separate(mask, spacing=(0.5, 0.5), settings=physical).count == 2, "4 pixels are 1 unit"


def test_what_meets_at_a_corner_touches_unless_sides_are_asked_for() -> None:
    mask = np.zeros((8, 8), bool)
    mask[:4, :4] = mask[4:, 4:] = True
    for split in (False, True):
        assert separate(mask, settings=ObjectSettings(split=split, connectivity="sides")).count == 2
    assert separate(mask, settings=ObjectSettings(split=False)).count == 1


def test_nothing_and_everything() -> None:
    assert separate(np.zeros((5, 7), np.uint8)).count == 0
    assert separate(np.ones((5, 7), np.uint8)).count == 1
    assert separate(np.ones((1, 1), np.uint8)).count == 1
    line = np.zeros((30, 30), bool)
    line[15] = True
    assert separate(line).count == 1


def test_a_volume_is_cut_by_its_real_shape() -> None:
    spacing = (3.0, 1.0, 1.0)
    shape = (24, 40, 40)
    one = ellipsoid(shape, (36, 20, 20), (11, 11, 11), spacing)
    above = ellipsoid(shape, (27, 20, 20), (10, 10, 10), spacing) | ellipsoid(
        shape, (44, 20, 20), (10, 10, 10), spacing
    )
    beside = ellipsoid(shape, (36, 20, 11), (9, 9, 9), spacing) | ellipsoid(shape, (36, 20, 26), (9, 9, 9), spacing)
    assert separate(one, spacing=spacing).count == 1
    assert separate(above, spacing=spacing).count == 2
    assert separate(beside, spacing=spacing).count == 2


def test_numbers_follow_the_pixels() -> None:
    mask = np.zeros((40, 40), bool)
    for y, x in ((5, 30), (5, 5), (30, 20)):
        mask |= ellipsoid((40, 40), (y, x), (4, 4))
    labels = separate(mask).labels
    assert [labels[1:, :].ravel()[labels[1:, :].ravel() > 0][0]] == [1]
    assert labels[30, 20] == 3


def test_it_stops_between_its_steps() -> None:
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(0)
        return len(asked) == 4

    with pytest.raises(Stopped):
        separate(two_discs(10, 15, 0.2), should_stop=should_stop)
    assert len(asked) == 4


def test_where_all_is_object_the_probability_alone_decides() -> None:
    rows, columns = np.indices((60, 80))
    probability = np.maximum(*(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 400) for y, x in ((20, 18), (40, 60))))
    whole = np.ones((60, 80), np.uint8)
    sizes = []
    for turned in (probability, probability[::-1], probability[:, ::-1]):
        found = separate(whole, {1: turned})
        assert found.count == 2
        sizes.append(np.bincount(found.labels.ravel())[1:].min())
    assert max(sizes) - min(sizes) <= 2, "cut at the same place, whichever way it is turned"
