"""Which folder keeps how unsure a model is of its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.viewer.session.session import session_of
from tests.viewer.canvas import until
from tests.viewer.docked import disc_folder


def test_what_was_found_out_is_kept_in_its_folder_when_another_one_opens(
    viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = disc_folder(tmp_path / "first", 2), disc_folder(tmp_path / "second", 1)
    session, model = session_of(viewer), tmp_path / "model.safetensors"
    model.write_bytes(b"a model")
    ranking, predicting = session.learning.ranking, session.learning.predicting
    monkeypatch.setattr(predicting, "measure", lambda model, image: None)  # the answer is given here
    session.open_folder(first)
    until(qtbot, lambda: session.shown == first / "disc00.tif")
    ranking.start(model)
    predicting.measured.emit(first / "disc00.tif", model, 0.25)
    session.open_folder(second)
    until(qtbot, lambda: session.shown == second / "disc00.tif")
    assert not ranking.is_active
    until(qtbot, lambda: [value for value, _ in open_folder(first).uncertainty.values()] == [0.25])
