"""Take the pictures of the docks from the running program, in napari's dark or light theme.

They are pictures of the screen, so it needs one of 1280 x 800 pixels with nothing else on it: `make screenshots`. The
models in them are trained on the spot, which takes a few minutes on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import screenshots_annotate as annotating
import screenshots_learning as learning
from screenshots_loop import FRAMES, write_loop
from screenshots_stage import Places, Stage

SCENES: dict[str, Callable[[Stage], None]] = {
    "nuclei": annotating.nuclei,
    "classes": annotating.classes,
    "correct": annotating.correct,
    "findings": annotating.findings,
    "stack": annotating.stack,
    "restore": annotating.restore,
    "train": learning.train,
    "predict": learning.predict,
    "tune": learning.tune,
    "unsure": learning.unsure,
}


def main() -> None:
    """Write the pictures, and loop.gif once all its frames are there, into a folder."""
    options = _parser().parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    shelf = options.shelf / options.theme
    processes = get_context("spawn")  # a window a process, as a user has it
    for scene in options.only:
        with tempfile.TemporaryDirectory() as scratch:
            places = Places(Path(scratch), options.out, shelf)
            arguments = (scene, options.theme, options.minutes, places)
            process = processes.Process(target=_play, args=arguments)
            process.start()
            process.join()
        if process.exitcode:
            sys.exit(f"The scene '{scene}' failed: the program ended with {process.exitcode}.")
        print(scene, flush=True)
    if all((shelf / "frames" / f"{name}.png").exists() for name, _, _ in FRAMES):
        write_loop(shelf / "frames", options.out / "loop.gif")
        print("loop.gif")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--shelf", type=Path, default=Path("build/pictures"), help="what scenes leave for others")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long the training takes")
    parser.add_argument("--only", nargs="+", choices=list(SCENES), default=list(SCENES))
    return parser


def _play(scene: str, theme: str, minutes: float, places: Places) -> None:
    os.environ["NAPARI_ATTNSEG_DATA"] = str(places.scratch / "data")
    os.environ["NAPARI_CONFIG"] = str(places.scratch / "napari.yaml")
    stage = Stage(places, theme, minutes)
    try:
        SCENES[scene](stage)
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)  # closing would ask about the strokes that are not saved


if __name__ == "__main__":
    main()
