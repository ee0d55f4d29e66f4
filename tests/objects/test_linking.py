"""Regions through the planes of a stack: numbered as scikit-image numbers the whole."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label

from napari_attnseg.objects.linking import Linker


def volume(shape: tuple[int, ...], seed: int, classes: int = 1, density: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.integers(1, classes + 1, shape) * (rng.random(shape) < density)).astype(np.uint8)


def linked(
    classes: np.ndarray, through: tuple[bool, ...] | None = None, connectivity: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Hand over a stack plane by plane; return the number of each pixel, and the class of each number."""
    stack = classes.shape[:-2]
    through = (True,) * len(stack) if through is None else through
    linker = Linker(stack, through, connectivity if connectivity is not None else sum(through) + 2)
    provisional = [linker.add(classes[index]) for index in np.ndindex(*stack)]
    numbers, of_class = linker.final()
    return numbers[np.stack(provisional)].reshape(classes.shape), of_class


@pytest.mark.parametrize(("connectivity", "classes"), list(product((1, 2, 3), (1, 3))))
def test_a_volume_is_numbered_as_a_whole(connectivity: int, classes: int) -> None:
    for seed, density in enumerate((0.05, 0.15, 0.3, 0.6)):
        data = volume((7, 19, 23), seed, classes, density)
        numbers, of_class = linked(data, connectivity=connectivity)
        assert np.array_equal(numbers, label(data, background=0, connectivity=connectivity))
        assert np.array_equal(of_class[numbers], data)


@pytest.mark.parametrize("connectivity", [1, 2, 3, 4])
def test_time_is_one_more_axis(connectivity: int) -> None:
    for shape in ((4, 3, 12, 10), (3, 1, 12, 10), (1, 5, 9, 9), (2, 2, 1, 7)):
        data = volume(shape, 1, 2, 0.1)
        numbers, of_class = linked(data, connectivity=connectivity)
        assert np.array_equal(of_class[numbers], data)
        for value in (1, 2):
            structure = ndimage.generate_binary_structure(4, connectivity)
            expected, count = ndimage.label(data == value, structure)  # scikit-image knows three axes at most
            pairs = {(int(a), int(b)) for a, b in zip(numbers[data == value], expected[data == value], strict=True)}
            assert len(pairs) == count == (of_class == value).sum()


@pytest.mark.parametrize("through", [(False, True), (True, False), (False, False)])
def test_regions_end_along_the_axes_they_cannot_go_through(through: tuple[bool, bool]) -> None:
    data = volume((3, 4, 11, 13), 5, 2)
    numbers, _ = linked(data, through)
    expected = np.zeros(data.shape, int)
    count = 0
    kept = [range(length) if not on else [slice(None)] for length, on in zip(data.shape[:2], through, strict=True)]
    for place in product(*kept):
        part = label(data[place], background=0)
        expected[place] = np.where(part > 0, part + count, 0)
        count += part.max()
    assert numbers.max() == count
    pairs = np.unique(np.stack([numbers.ravel(), expected.ravel()]), axis=1)
    assert len(pairs[0]) == count + 1  # the same regions, by whatever numbers


def test_a_long_stack_needs_the_memory_of_the_planes_that_touch() -> None:
    linker = Linker((200,), (True,), 3)
    for plane in volume((200, 8, 8), 3):
        linker.add(plane)
        assert len(linker._recent) == 1


def test_a_snake_that_closes_late_is_one_region() -> None:
    data = np.zeros((6, 5, 9), np.uint8)
    data[:, 2, ::2] = 1  # five columns apart
    data[5, 2, :] = 1  # joined on the last plane
    numbers, of_class = linked(data)
    assert numbers.max() == 1
    assert list(of_class) == [0, 1]


def test_planes_without_anything_give_no_region() -> None:
    numbers, of_class = linked(np.zeros((3, 4, 5), np.uint8))
    assert not numbers.any()
    assert list(of_class) == [0]
