"""How the peak memory of a prediction grows with the image, from one that fits into memory to one that does not."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.asked import Asked
from benchmarks.images import segments, write_mosaic
from benchmarks.model_file import write_fresh_model
from benchmarks.peak import peak_of_command
from benchmarks.tables import columns, row, title
from napari_attnseg.settings import ModelSettings

_SIDES = (8_000, 40_000)
_NETWORK = ModelSettings(in_channels=3, widths=(4, 8))
_EVERYTHING = ("--probability", "--attention")
_AS_BEFORE = 1.1


def measure(asked: Asked) -> None:
    """Print the rows: the command `predict` with a narrow network, in a process of its own for each image."""
    title("Peak memory of predict as the image grows")
    columns("image", "written", "minutes", "peak, GB", f"times that of {_SIDES[0]:,}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_fresh_model(folder / "model.safetensors", _NETWORK)
        first: dict[tuple[str, ...], float] = {}
        for side in _SIDES:
            image = folder / f"{side}.tif"
            write_mosaic(image, side, segments(asked.train))
            for parts in ((), _EVERYTHING):
                peak, minutes = _predicted(folder, image, parts)
                times = peak / first.setdefault(parts, peak)
                written = "masks, probability and attention" if parts else "masks"
                verdict = f"{times:.2f}{'' if times <= _AS_BEFORE else ': **missed**'}"
                row(f"{side:,} x {side:,} RGB", written, f"{minutes:.1f}", f"{peak:.2f}", verdict)
            image.unlink()


def _predicted(folder: Path, image: Path, parts: tuple[str, ...]) -> tuple[float, float]:
    """Return the peak, and the minutes it took."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = ("predict", folder / "model.safetensors", image, "--out", out, "--tile-by-tile", "always")
        peak = peak_of_command(*command, *parts)
    return peak, (time.perf_counter() - began) / 60
