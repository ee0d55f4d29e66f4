"""`python -m benchmarks.run [PART ...]`: network, help, memory, feeding, viewer, learning, quality, warm, fine-tune,
large.

Measures and prints a table. `network` needs MONAI (`pip install -c constraints.txt monai`). `quality` needs a folder
with `train` and `val`, such as the 2018 Data Science Bowl's nuclei as pairs; `warm` needs a model file, and images of
its kind, and so does `large` (RGB, 8 bits); `fine-tune` needs `train` and `valid` with nuclei of several kinds.
`make bench` measures all that can be.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch

from napari_attnseg.models.device import choose_compute

PARTS = ("network", "help", "memory", "feeding", "viewer", "learning", "quality", "warm", "fine-tune", "large")
MEMORY_PROBE = (
    "import resource, sys; from napari_attnseg.cli import main; code = main(sys.argv[1:]);"
    "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20); sys.exit(code)"
)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what to measure (default all that can be)")
    parser.add_argument(
        "--data", type=Path, help="for quality: a folder with the sub-folders train and val; for viewer: what to list"
    )
    parser.add_argument(
        "--model",
        type=Path,
        help="for warm: a model file, and --data are images for it; for fine-tune: what to start from",
    )
    parser.add_argument("--other", type=Path, help="for quality: further annotated images to score on")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 3.0])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    both = options.data and options.model
    needs = {"quality": options.data, "fine-tune": options.data, "warm": both, "large": both}
    parts = options.parts or [part for part in PARTS if needs.get(part, True)]
    print(
        f"{_processor()}, {torch.get_num_threads()} threads; {choose_compute().description}; torch {torch.__version__}"
    )
    for part in parts:
        measured = {"network": _network, "help": _help, "memory": _memory, "viewer": _viewer}
        measured |= {"learning": _learning, "feeding": _feeding, "large": _large}
        (measured | {"quality": _quality, "fine-tune": _fine_tune, "warm": _warm})[part](options)


def _network(options: argparse.Namespace) -> None:
    try:
        from benchmarks.networks import compare
    except ImportError:
        print("network: MONAI is not installed (pip install -c constraints.txt monai)")
        return
    print("| attention_se_unet 32-512 against MONAI AttentionUnet | ours, s an image | MONAI | times faster |")
    for size, batch in ((128, 8), (256, 4)):
        for name, pair in zip(("training step", "inference"), compare(size, batch, options.rounds), strict=True):
            print(f"| {name}, {batch} x {size} x {size} RGB | {pair.ours:.4f} | {pair.peer:.4f} | {pair.ratio:.2f} |")


def _help(options: argparse.Namespace) -> None:
    for command in ("train", "predict", "evaluate", "check", "demo"):
        times = [_timed([sys.executable, "-m", "napari_attnseg", command, "--help"]) for _ in range(options.rounds)]
        print(f"| {command} --help | median {sorted(times)[len(times) // 2]:.2f} s |")


def _memory(options: argparse.Namespace) -> None:
    """Peak memory of a training of the default widths on patches of 256 pixels."""
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for number in range(3):
            image = rng.integers(0, 255, (512, 512, 3), np.uint8)
            tifffile.imwrite(Path(folder) / f"a{number}.tif", image, photometric="rgb")
            tifffile.imwrite(
                Path(folder) / f"a{number}_MASK.tif", np.where(image[..., 0] > 127, 255, 0).astype(np.uint8)
            )
        for batch in (4, 16):
            command = [
                "train",
                folder,
                "--run",
                f"{folder}/run{batch}",
                "--patch-size",
                "256",
                "--batch-size",
                str(batch),
            ]
            command += ["--epochs", "1", "--steps-per-epoch", "3"]
            done = subprocess.run(
                [sys.executable, "-c", MEMORY_PROBE, *command], capture_output=True, text=True, check=True
            )
            peak = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("peak"))
            print(f"| peak memory of training 32-512, patch 256, batch {batch} | {float(peak):.2f} GB |")


def _feeding(options: argparse.Namespace) -> None:
    """How long a training waits for patches, of images in memory and of images that are left in their files."""
    from benchmarks.feeding import measure

    print("| patches of | waited for, share of the time | patches/s |")
    for name, waiting, speed in measure(options.rounds):
        print(f"| {name} | {waiting:.2%} | {speed:.1f} |")


def _viewer(options: argparse.Namespace) -> None:
    """What a user of the viewer waits for; see `benchmarks.viewer`."""
    from benchmarks.viewer import measure

    print("| in the viewer | median | 99 of 100 are faster than |")
    measure(options.data, options.rounds)


def _learning(options: argparse.Namespace) -> None:
    """What a user of the viewer waits for around a training; see `benchmarks.viewer_learning`."""
    from benchmarks.viewer import measure_learning

    print("| around a training | median | 99 of 100 are faster than |")
    measure_learning(options.data, max(1, options.rounds // 3))


def _warm(options: argparse.Namespace) -> None:
    """What a user waits for a prediction; see `benchmarks.warm`."""
    if options.data is None or options.model is None:
        print("warm: give --model and --data")
        return
    from benchmarks.warm import measure

    measure(options.model, options.data, options.rounds)


def _large(options: argparse.Namespace) -> None:
    """Seams, speed and memory of images that are predicted tile by tile; see `benchmarks.large`."""
    if options.data is None or options.model is None:
        print("large: give --model and --data")
        return
    from benchmarks.large import measure

    measure(options.model, options.data, min(options.rounds, 3))


def _quality(options: argparse.Namespace) -> None:
    """F1 after some minutes of training, on images that were neither trained on nor used to choose the model."""
    if options.data is None:
        print("quality: give --data")
        return
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            run = Path(folder) / f"run{minutes:g}"
            subprocess.run(_us("train", options.data / "train", "--run", run, "--max-minutes", minutes), check=True)
            for data in filter(None, (options.data / "val", options.other)):
                scores = Path(folder) / "scores.json"
                subprocess.run(_us("evaluate", run / "best.safetensors", data, "--json", scores), check=True)
                found = json.loads(scores.read_text())
                print(
                    f"| {minutes:g} min, {found['images']} images of {data.name} | mean F1 {found['mean']['f1']:.4f} |"
                )


def _fine_tune(options: argparse.Namespace) -> None:
    """Five images of a new kind; see `benchmarks.fine_tune`."""
    if options.data is None:
        print("fine-tune: give --data, a folder with train and valid")
        return
    from benchmarks.fine_tune import measure

    gain = measure(options.data, options.model, max(options.minutes))
    soon = "never" if gain.seconds is None else f"after {gain.seconds:.0f} s"
    print(
        f"| fine-tuned on 5 images of a new kind | better on held-out ones {soon}, all in {gain.total_seconds:.0f} s |"
    )
    print(f"| F1 on the new kind | {gain.new_before:.3f} before, {gain.new_after:.3f} after |")
    print(f"| F1 on the old kind | {gain.old_before:.3f} before, {gain.old_after:.3f} after |")


def _us(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "napari_attnseg", *map(str, arguments)]


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
