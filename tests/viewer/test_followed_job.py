"""Jobs that a window follows: what cannot be told to them is said, and they end with the window."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject

from napari_attnseg.events import Event, Notice
from napari_attnseg.job_process import is_alive
from napari_attnseg.jobs import start
from napari_attnseg.viewer.predict.batch import Batch
from napari_attnseg.viewer.session.followed_job import FollowedJob
from napari_attnseg.viewer.session.session import session_of
from tests.viewer.canvas import until
from tests.viewer.docked import disc_folder

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_what_cannot_be_told_to_a_job_is_said(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    session, heard = session_of(viewer), list[Event]()
    followed = FollowedJob(session, QObject(session))
    followed.reported.connect(heard.append)
    followed.follow(lambda: start(SLEEP, folder=tmp_path / "run"))
    until(qtbot, lambda: followed.runs)
    shutil.rmtree(tmp_path / "run")
    followed.tell(lambda job: job.pause())
    until(qtbot, lambda: heard)
    assert isinstance(heard[0], Notice)
    assert "cannot be paused" in heard[0].message
    followed.end(0.0, 20.0)
    assert not followed.runs


def test_a_batch_ends_with_the_window(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    session, folder = session_of(viewer), disc_folder(tmp_path / "discs", 1)
    batch = Batch(session)
    batch.start(tmp_path / "model.safetensors", [folder / "disc00.tif"], folder)
    until(qtbot, lambda: batch._job.job is not None)
    job = batch._job.job
    assert job is not None
    session.closing.emit()  # as when the window closes
    assert not is_alive(job._process)
    assert job.state != "running"
