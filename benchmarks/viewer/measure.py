"""What a user of the viewer waits for, measured in real windows; for `python -m benchmarks.run`.

Each part runs in a process of its own: with DISPLAY on that screen, without it on one that `xvfb-run` makes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.asked import Asked
from benchmarks.tables import columns, note, row, title
from benchmarks.viewer import data as make

IMAGES, SIDE, LARGE, PLANES, LEARNT = 670, 1024, 20_000, 200, 40


def measure(asked: Asked) -> None:
    """Print the rows: `asked.data` is listed under 670 names; what happens once in a process is measured again."""
    title("The viewer")
    if not can_open_windows():
        return
    columns("in the viewer", "median", "99 of 100 are below")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _print_opening(folder, asked)
        _print_leafing(folder)
        _print_brush(folder)
        _print_large(folder)
        _print_planes(folder)


def measure_around_training(asked: Asked) -> None:
    """Print the rows: what is waited for around a training."""
    title("Around a training")
    if not can_open_windows():
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = []
        for number in range(max(1, asked.rounds // 3)):
            make.folder_of(asked.data, folder / f"learn{number}", LEARNT)
            found.append(run_part("learning", folder / f"learn{number}", folder))
    columns("around a training", "median", "99 of 100 are below")
    _row(f"from the click on Train to the first progress ({_torch(found)})", [one["started"] for one in found])
    _row("a move of the brush while a training runs", [t for one in found for t in one["training"]])
    _row("a move of the brush while it is paused", [t for one in found for t in one["paused"]])
    _row("from the click on Stop to saved and ended", [one["stopped"] for one in found])
    _row("first prediction after a training, drawn", [one["first"] for one in found])
    _row("further predictions, drawn", [t for one in found for t in one["others"]])


def print_docks(folder: Path, rounds: int) -> None:
    """Print how long the dock takes to open in a fresh program."""
    (folder / "empty").mkdir(exist_ok=True)
    run_part("dock", folder / "empty", folder)  # the first run compiles
    docks = [run_part("dock", folder / "empty", folder) for _ in range(rounds)]
    _row(f"the dock opens ({_torch(docks)})", [found["made"] for found in docks])
    _row("and is drawn", [found["drawn"] for found in docks])


def can_open_windows() -> bool:
    """Whether there are napari and a screen; says what is missing."""
    if find_spec("napari") and (os.environ.get("DISPLAY") or shutil.which("xvfb-run")):
        return True
    note("napari, and a screen or xvfb-run, are needed for windows; they are left out.")
    return False


def _print_opening(folder: Path, asked: Asked) -> None:
    make.folder_of(asked.data, folder / "list", IMAGES)
    print_docks(folder, asked.rounds)
    lists = [run_part("listing", folder / "list", folder) for _ in range(asked.rounds)]
    _row(f"{IMAGES} images are listed", [found["listed"] for found in lists])
    _row("and the first of them is drawn", [found["shown"] for found in lists])


def _print_leafing(folder: Path) -> None:
    for kind, rgb in (("RGB", True), ("16 bits", False)):
        make.planes_of(folder / kind, 20, SIDE, rgb=rgb)
        found = run_part("leafing", folder / kind, folder)
        _row(f"next image, {SIDE} x {SIDE} {kind}, after a second's look", found["looked"])
        _row(f"next image, {SIDE} x {SIDE} {kind}, at once", found["hurried"])


def _print_brush(folder: Path) -> None:
    make.planes_of(folder / "brush", 3, SIDE, rgb=False, masks=False)
    found = run_part("brush", folder / "brush", folder)
    _row("a move of the brush, with the dock", found["ours"])
    _row("a move of the brush, napari alone", found["plain"])


def _print_large(folder: Path) -> None:
    for kind, rgb in (("8 bits", False), ("RGB", True)):
        place = folder / f"large {kind}"
        make.large_image(place, LARGE, rgb=rgb)
        found = run_part("large", place, folder)
        size = f"{LARGE} x {LARGE} {kind}"
        _row(f"{size}: first drawn", [found["shown"]])
        _row(f"{size}: drawn at another place", found["pans"])
        _row(f"{size}: a move of the brush", found["times"])
        row(f"{size}: {found['painted']} pixels painted, saved in {found['saved']:.2f} s", _peak(found), "")
        shutil.rmtree(place)


def _print_planes(folder: Path) -> None:
    make.stack_of(folder / "stack", PLANES, SIDE)
    found = run_part("planes", folder / "stack", folder)
    size = f"{PLANES} planes of {SIDE} x {SIDE}, 16 bits"
    _row(f"{size}: first drawn", [found["shown"]])
    _row(f"{size}: another plane", found["planes"])
    row(f"{size}: of the file read until drawn", f"{found['opened']:.0%}", "")
    row(f"{size}: of the file read for 20 other planes", f"{found['leafed']:.0%}", "")
    row(f"{size}: saved in {found['saved']:.2f} s", _peak(found), "")


def run_part(part: str, images: Path, scratch: Path) -> dict[str, Any]:
    """Measure one part; compiled files are kept, as they are for an installed plugin.

    Each has a user folder of its own: strokes that one leaves unsaved would be offered to the next, in a dialog.

    Raises
    ------
    subprocess.CalledProcessError
        The window's process ended badly.
    """
    settings = {
        "NAPARI_ATTNSEG_DATA": tempfile.mkdtemp(prefix="user-", dir=scratch),
        "NAPARI_CONFIG": str(scratch / "napari.yaml"),
        "PYTHONPYCACHEPREFIX": str(scratch / "compiled"),
    }
    environment = {**os.environ, **settings}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    screen = [] if os.environ.get("DISPLAY") else ["xvfb-run", "-a", "-s", "-screen 0 1400x900x24"]
    command = [*screen, sys.executable, "-m", "benchmarks.viewer.parts", part, str(images)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(what: str, seconds: Sequence[float]) -> None:
    median, late = np.percentile(seconds, [50, 99])
    row(what, f"{median:.3f} s", f"{late:.3f} s")


def _peak(found: dict[str, Any]) -> str:
    return f"peak memory {found['peak']:.2f} GB"


def _torch(found: Sequence[dict[str, Any]]) -> str:
    return "torch imported" if any(one["torch"] for one in found) else "no torch"
