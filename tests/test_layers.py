"""What may be imported where: checked in a fresh interpreter, as a viewer or a command line would start it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import napari_attnseg

WITH_TORCH = {"napari_attnseg.data.augment"}
VIEWER_LIBRARIES = {"napari", "npe2", "qtpy", "superqt", "magicgui", "pyqtgraph", "PyQt5", "PyQt6", "PySide6"}


PACKAGE = Path(napari_attnseg.__path__[0])


def all_modules() -> list[str]:
    """Return the names of all modules, without importing any."""
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] not in {"__init__", "__main__"}:
            names.append(".".join(["napari_attnseg", *parts]))
    return names


def modules() -> list[str]:
    """Return the names of the modules that know no window."""
    return [name for name in all_modules() if not name.startswith("napari_attnseg.viewer.")]


def imported_by(names: list[str]) -> set[str]:
    """Import modules in a fresh interpreter and return the top-level packages that are loaded afterwards."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


LIGHT = ("settings", "events", "errors", "jobs", "warm", "warm_child", "warm_messages")


def light_modules() -> list[str]:
    """Return the modules that the viewer's process and `--help` import."""
    names = [f"napari_attnseg.{name}" for name in LIGHT]
    light = (".annotation.", ".data.", ".objects.", ".cli")
    return names + [name for name in modules() if any(part in name for part in light) and name not in WITH_TORCH]


def test_light_modules_leave_torch_out() -> None:
    assert not imported_by(light_modules()) & {"torch", "kornia"}


def test_engine_needs_no_viewer_library() -> None:
    assert not imported_by(modules()) & VIEWER_LIBRARIES


@pytest.mark.skipif(find_spec("napari") is None, reason="napari is not installed")
def test_viewer_leaves_torch_out() -> None:
    names = [name for name in all_modules() if name not in modules()]
    assert names
    loaded = imported_by(names)
    assert "napari" in loaded
    assert not loaded & {"torch", "kornia"}


def test_all_packages_are_installed() -> None:
    project = PACKAGE.parent / "pyproject.toml"
    if not project.is_file():
        pytest.skip("the tests run without the source tree")
    listed = tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")}
    assert set(listed) == {".".join(folder.parts) for folder in folders} | {"napari_attnseg.sample_data"}
