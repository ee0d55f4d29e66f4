"""How unsure a model is, on probabilities made up so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_attnseg.prediction.uncertainty import image_uncertainty, uncertainty_map


def squares(*probabilities: float, side: int = 10, background: float = 0.02, blur: int = 0) -> np.ndarray:
    """Return a binary probability (1, 100, 100): squares in a row, with `blur` pixels of falling probability around."""
    plane = np.full((100, 100), background, np.float32)
    for number, probability in enumerate(probabilities):
        for step in range(blur, -1, -1):
            value = background + (probability - background) * (blur + 1 - step) / (blur + 1)
            left = 5 + 24 * number
            plane[20 - step : 20 + side + step, left - step : left + side + step] = value
    return plane[None]


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_map_of_two_classes(probability: float) -> None:
    found = uncertainty_map(np.full((1, 3, 4), probability, np.float32))
    expected = {0.0: 0, 0.25: 0.811278, 0.5: 1, 0.75: 0.811278, 1.0: 0}[probability]  # -p log2 p - (1-p) log2 (1-p)
    assert found.shape == (3, 4)
    assert found.dtype == np.float32
    assert found == pytest.approx(np.full((3, 4), expected), abs=1e-5)


def test_map_of_several_classes() -> None:
    columns = np.array([[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0]], np.float32).T
    assert uncertainty_map(columns[:, None])[0] == pytest.approx([1, 0, 0.5], abs=1e-5)


def test_image_worked_out_by_hand() -> None:
    plane = np.array([[[0.9, 0.6], [0.3, 0.1]]], np.float32)
    # doubt 0 (left out), 0.4, 0.3, 0 (left out); found are the first two, right 1 and 0.6
    assert image_uncertainty(plane) == pytest.approx(0.7 / (2 * 1.6 + 0.7 + 0.002 * 4), rel=1e-5)


def test_two_planes_say_what_one_says() -> None:
    plane = squares(0.95, 0.6)
    both = np.concatenate([1 - plane, plane])
    assert image_uncertainty(both) == pytest.approx(image_uncertainty(plane), rel=1e-5)
    assert uncertainty_map(both) == pytest.approx(uncertainty_map(plane), abs=1e-5)


def test_doubtful_objects_outweigh_long_sharp_borders() -> None:
    half_doubtful = image_uncertainty(squares(0.97, 0.97, 0.55, 0.55))
    crisp = image_uncertainty(squares(0.97, 0.97, 0.97, 0.97, side=20, blur=1))
    assert half_doubtful > 1.5 * crisp
    assert crisp > image_uncertainty(squares(0.97, 0.97, 0.97, 0.97, side=20))


def test_the_more_objects_are_doubtful_the_higher() -> None:
    found = [image_uncertainty(squares(*[0.97] * (4 - n), *[0.6] * n)) for n in range(5)]
    assert found == sorted(found)
    assert found[4] - found[0] > 0.15


def test_objects_that_were_nearly_found_count() -> None:
    assert image_uncertainty(squares(0.97, 0.97, 0.4, 0.4)) > image_uncertainty(squares(0.97, 0.97)) + 0.1


@pytest.mark.parametrize("background", [0.0, 0.03, 0.14])
def test_a_confidently_empty_image_is_sure(background: float) -> None:
    assert image_uncertainty(squares(background=background)) == 0


def test_a_few_doubtful_pixels_do_not_make_an_empty_image_unsure() -> None:
    plane = squares()
    plane[0, 50, 50:53] = 0.4
    assert image_uncertainty(plane) < 0.1


def test_nothing_found_anywhere_but_doubt_everywhere_is_unsure() -> None:
    assert image_uncertainty(np.full((1, 50, 50), 0.45, np.float32)) > 0.9


def test_no_pixels() -> None:
    assert image_uncertainty(np.zeros((1, 0, 5), np.float32)) == 0
