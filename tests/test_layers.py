"""What may be imported where: checked in a fresh interpreter, as a viewer or a command line would start it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import napari_attnseg

WITH_TORCH = {"napari_attnseg.data.augment"}
VIEWER_LIBRARIES = {"napari", "npe2", "qtpy", "superqt", "magicgui", "pyqtgraph", "PyQt5", "PyQt6", "PySide6"}


def modules() -> list[str]:
    """Return the names of all modules of the engine, without importing any."""
    names = []
    package = Path(napari_attnseg.__path__[0])
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] != "viewer" and parts[-1] not in {"__init__", "__main__"}:
            names.append(".".join(["napari_attnseg", *parts]))
    return names


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


def light_modules() -> list[str]:
    """Return the modules that the viewer's process and `--help` import."""
    names = [f"napari_attnseg.{name}" for name in ("settings", "events", "errors", "jobs")]
    return names + [name for name in modules() if ".data." in name or ".cli" in name if name not in WITH_TORCH]


def test_light_modules_leave_torch_out() -> None:
    assert not imported_by(light_modules()) & {"torch", "kornia"}


def test_engine_needs_no_viewer_library() -> None:
    assert not imported_by(modules()) & VIEWER_LIBRARIES
