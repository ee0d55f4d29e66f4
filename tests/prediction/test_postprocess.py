"""Small objects go, holes close, classes stay apart."""

from __future__ import annotations

import numpy as np

from napari_attnseg.prediction.postprocess import tidy


def test_small_objects_become_background() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[1:4, 1:4] = 1
    labels[7, 7] = 2
    labels[8, 8] = 2
    assert tidy(labels, min_size=3).tolist() == np.where(labels == 1, 1, 0).tolist()
    assert np.array_equal(tidy(labels, min_size=2), labels)


def test_holes_take_the_class_around_them_and_other_classes_stay() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[1:8, 1:8] = 2
    labels[3:6, 3:6] = 0
    labels[4, 4] = 1
    filled = tidy(labels, fill_holes=True)
    assert filled[3, 3] == 2
    assert filled[4, 4] == 1
    assert filled[0, 0] == 0


def test_the_input_is_not_changed() -> None:
    labels = np.eye(4, dtype=np.uint8)
    tidy(labels, min_size=9, fill_holes=True)
    assert np.array_equal(labels, np.eye(4))
