"""Pictures show what they say: outlines in their colour, classes in theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from napari_attnseg.prediction.figures import (
    PREDICTED,
    TRUTH,
    Example,
    draw_attention,
    draw_overlays,
    outlined,
    painted,
)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("classes", [1, 4])
def test_pictures_are_written(tmp_path: Path, channels: int, classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes + 1, (20, 30)).astype(np.uint8)
    image = rng.random((channels, 20, 30), np.float32)
    example = Example("a", image, labels, np.zeros_like(labels), 0.5, rng.random((3, 20, 30), np.float32))
    draw_overlays(tmp_path / "o.png", [example, example], "title")
    draw_attention(tmp_path / "a.png", [example], "title")
    assert imread(tmp_path / "o.png").std() > 0.01
    assert imread(tmp_path / "a.png").std() > 0.01


def test_outlines_and_classes_have_their_colours() -> None:
    picture = np.zeros((9, 9, 3), np.float32)
    labels = np.zeros((9, 9), np.uint8)
    labels[2:7, 2:7] = 1
    assert outlined(picture, labels, TRUTH)[2, 2] == pytest.approx(TRUTH)
    assert outlined(picture, labels, PREDICTED)[4, 4] == pytest.approx(0)
    labels[4, 4] = 2
    shown = painted(picture, labels)
    assert not np.allclose(shown[2, 2], shown[4, 4])
    assert shown[0, 0] == pytest.approx(0)
