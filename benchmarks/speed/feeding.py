"""How long a training waits for its patches: the device is fed as long as that is next to nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import tifffile

from benchmarks.asked import Asked
from benchmarks.tables import columns, row, title
from napari_attnseg.engine import fit
from napari_attnseg.events import Event, Progress

_SIDE, _IMAGES, _STEPS = 1024, 4, 10


def measure(asked: Asked) -> None:
    """Print the rows: trainings on images in memory and on images in files, in turns."""
    title("Waiting for patches")
    with tempfile.TemporaryDirectory() as folder:
        _write_images(Path(folder) / "images")
        kinds = {"images in memory": None, "tiled files, nothing kept in memory": 0.0}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
        for number in range(asked.rounds):
            for name, memory in kinds.items():
                run = Path(folder) / f"run{number}{memory}"
                found[name].append(_trained(Path(folder) / "images", run, memory))
    columns("patches of", "waited for, share of the time", "patches/s")
    for name, values in found.items():
        row(name, f"{median(one for one, _ in values):.2%}", f"{median(other for _, other in values):.1f}")


def _trained(images: Path, run: Path, memory: float | None) -> tuple[float, float]:
    speeds: list[float] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Progress) and event.images_per_second:
            speeds.append(event.images_per_second)

    result = fit(images, run, epochs=1, steps_per_epoch=_STEPS, val_fraction=0, image_memory=memory, on_event=on_event)
    return result.waiting or 0.0, speeds[-1] if speeds else 0.0


def _write_images(folder: Path) -> None:
    """Write tiled, compressed RGB images with masks of their bright parts."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(_IMAGES):
        coarse = rng.integers(0, 255, (_SIDE // 32, _SIDE // 32, 3), np.uint8)
        image = coarse.repeat(32, 0).repeat(32, 1) // 2 + rng.integers(0, 127, (_SIDE, _SIDE, 3), np.uint8)
        mask = np.where(image[..., 0] > 127, 255, 0).astype(np.uint8)
        name, tile = f"image{number}", (256, 256)
        tifffile.imwrite(folder / f"{name}.tif", image, photometric="rgb", tile=tile, compression="zlib")
        tifffile.imwrite(folder / f"{name}_MASK.tif", mask, tile=tile, compression="zlib")
