"""A real viewer for each test, which writes nowhere but in the test's folder.

Without napari and a Qt binding these tests are left out, because the engine is tested without them too. The binding is
the one that pytest-qt runs on: PYTEST_QT_API names it.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import tifffile

from tests.conftest import blobs

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
def napari_settings(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give napari settings of its own for the test, read from nowhere and saved nowhere."""
    from napari import settings

    fresh = settings.NapariSettings(None)
    monkeypatch.setattr(settings, "_SETTINGS", fresh)
    return fresh


@pytest.fixture(autouse=True)
def close_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer "close without saving" when a test's window closes with unsaved work; nobody else would answer."""
    monkeypatch.setattr("napari_attnseg.viewer.session.closing.ask_close", lambda parent, names: "keep")
    monkeypatch.setattr("napari_attnseg.viewer.session.closing.ask_lose_objects", lambda parent, names: True)


@pytest.fixture(autouse=True)
def stop_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer "stop and keep" when a test's window closes while a training is running; nobody else would answer."""
    monkeypatch.setattr("napari_attnseg.viewer.session.closing.ask_training", lambda parent: "stop")


@pytest.fixture(autouse=True)
def no_child_stays() -> Iterator[None]:
    """Make sure that no training and no prediction process outlives its test; one that does is killed."""
    before = {child.pid for child in psutil.Process().children()}
    yield
    children = [child for child in psutil.Process().children() if child.pid not in before]
    _, left = psutil.wait_procs(children, timeout=10)
    for child in left:
        child.kill()
    psutil.wait_procs(left, timeout=10)
    assert not left, f"{len(left)} processes were still running after the test"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Let trainings and predictions compute in one thread: several children share the cores with the window."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model file that finds bright discs; a child makes it, for a viewer's process never loads PyTorch."""
    folder = tmp_path_factory.mktemp("trained")
    for number in range(5):
        image, mask = blobs(900 + number)
        tifffile.imwrite(folder / f"disc{number}.tif", image)
        tifffile.imwrite(folder / f"disc{number}_MASK.tif", mask * 255)
    options = "--widths 8 16 16 --patch-size 32 --batch-size 4 --steps-per-epoch 12 --epochs 3 --device cpu"
    command = [sys.executable, "-m", "napari_attnseg", "train", str(folder), "--run", str(folder / "run")]
    subprocess.run([*command, *options.split()], check=True, capture_output=True, timeout=100)
    return folder / "run" / "best.safetensors"


@pytest.fixture(scope="session")
def loaded() -> Iterator[None]:
    """Do once what napari does anew for each viewer, or what would make each viewer slower than those of a user.

    napari is loaded, and its modules are spared from the search for garbage before and after each viewer; what a test
    leaves behind is found as before. The manifests of the installed plugins are read: none are installed meanwhile.
    """
    import dask.array  # noqa: F401
    import napari._qt.qt_main_window  # noqa: F401
    import pandas  # noqa: F401
    from npe2 import PluginManifest

    import napari_attnseg.viewer.annotate.dock  # noqa: F401

    found = list(PluginManifest.discover())
    gc.collect()
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManifest, "discover", lambda paths=(): iter(found))
        yield
    gc.unfreeze()


@pytest.fixture
def viewer(loaded: None, make_napari_viewer: Callable[..., Any]) -> Any:
    """Return a napari viewer with its window shown, as a user has it; it is closed after the test."""
    return make_napari_viewer(show=True)
