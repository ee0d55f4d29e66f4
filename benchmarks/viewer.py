"""What a user of the viewer waits for, measured in real windows; called by `python -m benchmarks.run viewer`.

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

from benchmarks import viewer_data as make

IMAGES, SIDE, LARGE, PLANES, LEARNT = 670, 1024, 20_000, 200, 40


def measure(data: Path | None, rounds: int) -> None:
    """Print what was measured as rows of a table.

    Parameters
    ----------
    data
        A folder of annotated images to list under 670 names; None for images made here.
    rounds
        How often what happens once in a process is measured.
    """
    if not (find_spec("napari") and (os.environ.get("DISPLAY") or shutil.which("xvfb-run"))):
        print("viewer: napari, and a screen or xvfb-run, are needed")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _print_opening(folder, data, rounds)
        _print_leafing(folder)
        _print_brush(folder)
        _print_large(folder)
        _print_planes(folder)


def measure_learning(data: Path | None, rounds: int) -> None:
    """Print what is waited for around a training, as rows of a table; see `measure`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = []
        for number in range(rounds):
            make.folder_of(data, folder / f"learn{number}", LEARNT)
            found.append(_run("learning", folder / f"learn{number}", folder))
        torch = "torch imported" if any(one["torch"] for one in found) else "no torch"
        _row(f"from the click on Train to the first progress ({torch})", [one["started"] for one in found])
        _row("a move of the brush while a training runs", [t for one in found for t in one["training"]])
        _row("a move of the brush while it is paused", [t for one in found for t in one["paused"]])
        _row("from the click on Stop to saved and ended", [one["stopped"] for one in found])
        _row("first prediction after a training, drawn", [one["first"] for one in found])
        _row("further predictions, drawn", [t for one in found for t in one["others"]])


def _print_opening(folder: Path, data: Path | None, rounds: int) -> None:
    make.folder_of(data, folder / "list", IMAGES)
    _run("dock", folder / "list", folder)  # the first run compiles
    docks = [_run("dock", folder / "list", folder) for _ in range(rounds)]
    lists = [_run("listing", folder / "list", folder) for _ in range(rounds)]
    torch = "torch imported" if any(found["torch"] for found in docks) else "no torch"
    _row(f"the dock opens ({torch})", [found["made"] for found in docks])
    _row(f"{IMAGES} images are listed", [found["listed"] for found in lists])
    _row("and the first of them is drawn", [found["shown"] for found in lists])


def _print_leafing(folder: Path) -> None:
    for kind, rgb in (("RGB", True), ("16 bits", False)):
        make.planes_of(folder / kind, 20, SIDE, rgb=rgb)
        found = _run("leafing", folder / kind, folder)
        _row(f"next image, {SIDE} x {SIDE} {kind}, after a second's look", found["looked"])
        _row(f"next image, {SIDE} x {SIDE} {kind}, at once", found["hurried"])


def _print_brush(folder: Path) -> None:
    make.planes_of(folder / "brush", 3, SIDE, rgb=False, masks=False)
    found = _run("brush", folder / "brush", folder)
    _row("a move of the brush, with the dock", found["ours"])
    _row("a move of the brush, napari alone", found["plain"])


def _print_large(folder: Path) -> None:
    for kind, rgb in (("8 bits", False), ("RGB", True)):
        place = folder / f"large {kind}"
        make.large_image(place, LARGE, rgb=rgb)
        found = _run("large", place, folder)
        size = f"{LARGE} x {LARGE} {kind}"
        _row(f"{size}: first drawn", [found["shown"]])
        _row(f"{size}: drawn at another place", found["pans"])
        _row(f"{size}: a move of the brush", found["times"])
        print(f"| {size}: {found['painted']} pixels painted, saved in {found['saved']:.2f} s | {_peak(found)} | |")
        shutil.rmtree(place)


def _print_planes(folder: Path) -> None:
    make.stack_of(folder / "stack", PLANES, SIDE)
    found = _run("planes", folder / "stack", folder)
    size = f"{PLANES} planes of {SIDE} x {SIDE}, 16 bits"
    _row(f"{size}: first drawn", [found["shown"]])
    _row(f"{size}: another plane", found["planes"])
    print(f"| {size}: of the file read until drawn | {found['opened']:.0%} | |")
    print(f"| {size}: of the file read for 20 other planes | {found['leafed']:.0%} | |")
    print(f"| {size}: saved in {found['saved']:.2f} s | {_peak(found)} | |")


def _run(part: str, images: Path, scratch: Path) -> dict[str, Any]:
    """Measure one part; compiled files are kept, as they are for an installed plugin.

    Each has a user folder of its own: strokes that one leaves unsaved would be offered to the next, in a dialog.
    """
    settings = {
        "NAPARI_ATTNSEG_DATA": tempfile.mkdtemp(prefix="user-", dir=scratch),
        "NAPARI_CONFIG": str(scratch / "napari.yaml"),
        "PYTHONPYCACHEPREFIX": str(scratch / "compiled"),
    }
    environment = {**os.environ, **settings}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    screen = [] if os.environ.get("DISPLAY") else ["xvfb-run", "-a", "-s", "-screen 0 1400x900x24"]
    command = [*screen, sys.executable, "-m", "benchmarks.viewer_parts", part, str(images)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(what: str, seconds: Sequence[float]) -> None:
    median, late = np.percentile(seconds, [50, 99])
    print(f"| {what} | {median:.3f} s | {late:.3f} s |", flush=True)


def _peak(found: dict[str, Any]) -> str:
    return f"peak memory {found['peak']:.2f} GB"
