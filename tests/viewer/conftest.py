"""A real viewer for each test, which writes nowhere but in the test's folder.

Without napari and a Qt binding these tests are left out, because the engine is tested without them too. The binding is
the one that pytest-qt runs on: PYTEST_QT_API names it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("napari") and find_spec("pytestqt"):
    from pytestqt.qt_compat import qt_api

    chosen = getattr(qt_api, "pytest_qt_api", None)  # None as long as pytest is being configured
    if chosen is not None:
        os.environ["QT_API"] = chosen
    elif "QT_API" in os.environ:
        os.environ.setdefault("PYTEST_QT_API", os.environ["QT_API"])
else:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that stands in for the user's own: journals, samples and what is remembered go there."""
    folder = tmp_path / "user-data"
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(folder))
    return folder


@pytest.fixture(autouse=True)
def napari_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give napari settings of its own for the test, read from nowhere and saved in the test's folder."""
    from napari import settings

    fresh = settings.NapariSettings(tmp_path / "napari.yaml")
    monkeypatch.setattr(settings, "_SETTINGS", fresh)
    return fresh


@pytest.fixture(autouse=True)
def close_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer "close without saving" when a test's window closes with unsaved masks; nobody else would answer."""
    monkeypatch.setattr("napari_attnseg.viewer.closing.ask_close", lambda parent, names: "keep")


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    """Return a napari viewer with its window shown, as a user has it; it is closed after the test."""
    return make_napari_viewer(show=True)
