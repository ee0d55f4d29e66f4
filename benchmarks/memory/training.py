"""The peak memory of a training."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.asked import Asked
from benchmarks.peak import peak_of_command
from benchmarks.peers.known import WIDTHS
from benchmarks.tables import columns, row, title

_IMAGES, _SIDE, _PATCH = 3, 512, 256
_TO_REACH = 4.0


def measure(asked: Asked) -> None:
    """Print the rows: the default network 32 to 512 wide, two sizes of batches."""
    title("Peak memory of training")
    columns("training 32 to 512, patches of 256", "peak, GB", "to stay under, GB")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        _write_images(folder)
        for batch in (4, 16):
            run = Path(name) / f"run{batch}"
            sizes = ("--patch-size", _PATCH, "--batch-size", batch, "--epochs", 1, "--steps-per-epoch", 3)
            peak = peak_of_command("train", folder, "--run", run, "--widths", *WIDTHS, *sizes)
            row(f"batch of {batch}", f"{peak:.2f}", f"{_TO_REACH:g}{'' if peak < _TO_REACH else ': **missed**'}")


def _write_images(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(_IMAGES):
        image = rng.integers(0, 255, (_SIDE, _SIDE, 3), np.uint8)
        mask = np.where(image[..., 0] > 127, 255, 0).astype(np.uint8)
        tifffile.imwrite(folder / f"image{number}.tif", image, photometric="rgb")
        tifffile.imwrite(folder / f"image{number}_MASK.tif", mask)
