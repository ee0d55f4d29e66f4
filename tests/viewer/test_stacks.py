"""Stacks of planes: predictions that follow the axes, and work on many planes that does not hold up the window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.viewer.annotate import fixing
from napari_attnseg.viewer.layers.mask_layer import NO_PLANE
from napari_attnseg.viewer.layers.roles import role_of
from napari_attnseg.viewer.predict.accepting import Accepting
from napari_attnseg.viewer.predict.predicted_image import PredictedImage
from napari_attnseg.viewer.session.session import Session, session_of
from napari_attnseg.viewer.widgets.fix_panel import FixOptions
from tests.viewer.canvas import until
from tests.viewer.docked import told

PLANES, SIDE = 4, 32
BY_HALF = {"threshold": 0.5, "min_size": 0, "fill_holes": False}


@pytest.fixture
def session(viewer: Any, qtbot: Any, tmp_path: Path) -> Session:
    """Return a session with a stack that has no mask yet."""
    image, session = tmp_path / "stack.tif", session_of(viewer)
    grey = np.arange(PLANES * SIDE * SIDE, dtype=np.uint16).reshape(PLANES, SIDE, SIDE)
    tifffile.imwrite(image, grey, metadata={"axes": "ZYX"}, imagej=True)
    session.use_dock()
    session.open_folder(tmp_path)
    until(qtbot, lambda: session.mask is not None)
    return session


def made_up(image: Path) -> PredictedImage:
    """Return a prediction of all planes: left half 0.9, right half 0.6."""
    probability = np.full((PLANES, 1, SIDE, SIDE), 0.9, np.float32)
    probability[..., SIDE // 2 :] = 0.6
    found = PredictedImage(image, Path("model"), (PLANES,), ("background", "foreground"), probability)
    found.take(None, probability, None)
    return found


def test_a_plane_is_decided_once_until_something_changes() -> None:
    found = made_up(Path("stack.tif"))
    planes = sorted(found.planes)
    found.decide(planes, **BY_HALF)
    assert found.labels.all()
    found.labels[0] = 7  # to see whether it is made anew
    found.decide(planes, **BY_HALF)
    assert (found.labels[0] == 7).all()
    found.decide(planes, **{**BY_HALF, "threshold": 0.8})
    assert not found.labels[..., SIDE // 2 :].any()
    assert found.labels[..., : SIDE // 2].all()
    found.decide(planes, **BY_HALF)
    found.take((1,), np.zeros((1, 1, SIDE, SIDE), np.float32), None)
    found.class_ids = found.class_ids + 1
    assert found.undecided(**BY_HALF) == planes
    found.decide(planes, **BY_HALF)
    assert np.unique(found.labels[0]).tolist() == [2]
    assert np.unique(found.labels[1]).tolist() == [1], "the prediction that came later"


def test_all_planes_follow_the_threshold_and_none_outlives_the_axes(session: Session, qtbot: Any) -> None:
    proposals, image = session.learning.proposals, session.shown
    assert image is not None
    session.viewer.dims.set_current_step(0, 0)
    found = made_up(image)
    proposals.show(found)
    assert proposals.current is found
    assert found.labels.all()
    proposals.set_options(replace(proposals.options, threshold=0.8))
    assert [bool(plane[:, -1].any()) for plane in found.labels] == [False, True, True, True]
    assert proposals.fit_classes() == ""  # whoever accepts does not wait
    assert not found.labels[..., -1].any()
    proposals.set_options(replace(proposals.options, threshold=0.5))
    until(qtbot, found.labels.all)

    folder = session.folder
    assert folder is not None
    session.set_choices(replace(folder.choices, axes="CYX"))
    until(qtbot, lambda: session.mask is not None and session.mask.editing.labels.ndim == 2)
    assert proposals.current is None


@pytest.mark.parametrize("view", ["3D", "cut across"])
def test_nothing_is_changed_while_no_plane_is_seen(session: Session, view: str) -> None:
    mask, learning, dims = session.mask, session.learning, session.viewer.dims
    assert mask is not None
    assert session.shown is not None
    dims.set_current_step(0, 3)
    found = made_up(session.shown)
    found.planes = {(3,)}
    learning.proposals.set_options(replace(learning.proposals.options, contours=False))  # napari has none in 3D
    learning.proposals.show(found)
    if view == "3D":
        dims.ndisplay = 3
    else:
        dims.order = (1, 0, 2)
    accepting = Accepting(session, learning.proposals)
    assert not accepting.accept("all")
    assert not accepting.accept("object", (2, 2))
    for operation in ("copy_next", "fill_holes"):
        fixing.Fixing(session).fix(operation, FixOptions(scope="plane"))
    assert not mask.editing.labels.any()
    assert told()[-1] == NO_PLANE
    dims.ndisplay, dims.order = 2, (0, 1, 2)
    assert accepting.accept("all")
    assert [bool(plane.any()) for plane in mask.editing.labels] == [False, False, False, True]


def test_previews_do_not_take_the_place_of_what_was_asked_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposals, image = session.learning.proposals, session.shown
    assert image is not None

    def preview() -> PredictedImage:
        found = made_up(image)
        found.is_preview = True
        return found

    asked, first, second = made_up(image), preview(), preview()
    proposals.show(asked)
    proposals.show(preview())
    assert proposals.current is asked
    proposals.let_previews_in()  # a training begins
    proposals.show(first)
    assert proposals.current is first
    (layer,) = [layer for layer in session.viewer.layers if role_of(layer) == "prediction"]
    assert layer.name == "stack preview"
    assert not layer.editable
    proposals.show(second)
    assert proposals.current is second
    accepting, models = Accepting(session, proposals), session.learning.training.models
    with monkeypatch.context() as patch:
        patch.setattr(session.learning.training, "models", replace(models, in_use=Path("model")))
        assert not accepting.accept("all"), "there is a model that has learnt to its end"
    assert accepting.accept("all")
    proposals.show(asked)
    proposals.show(preview())
    assert proposals.current is asked
    assert layer.name == "stack prediction"
    layer.mode = "paint"
    assert layer.mode == "pan_zoom", "strokes on a prediction would be lost with the next one"


def test_planes_are_filled_in_beside_the_window(session: Session, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = session.mask
    assert mask is not None
    square = np.zeros((SIDE, SIDE), np.uint8)
    square[8:20, 8:20] = 1
    mask.apply({(0,): square, (PLANES - 1,): square})
    session.viewer.dims.set_current_step(0, 1)
    monkeypatch.setattr(fixing, "LARGE", SIDE * SIDE)  # a plane is not large, but all of them are
    fixing.Fixing(session).fix("interpolate", FixOptions(scope="plane"))
    labels = mask.editing.labels
    assert not labels[1].any(), "it is not computed in the window's thread"
    until(qtbot, lambda: (labels == square).all())
