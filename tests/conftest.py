"""Small folders of pairs that a small network learns in seconds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # tests share their cores; read when torch is loaded

MakeFolder = Callable[..., Path]

TINY = {"widths": (8, 16), "patch_size": 32, "batch_size": 4, "steps_per_epoch": 3, "epochs": 2, "device": "cpu"}


def blobs(seed: int, size: tuple[int, int] = (48, 40), classes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return an image uint8 (y, x) and class ids (y, x): bright discs, brighter for each further class, and noise."""
    rng = np.random.default_rng(seed)
    yy, xx = np.indices(size)
    labels = np.zeros(size, np.uint8)
    for number in range(2 * classes):
        y, x, radius = rng.integers(8, size[0] - 8), rng.integers(8, size[1] - 8), rng.integers(4, 8)
        labels[(yy - y) ** 2 + (xx - x) ** 2 < radius**2] = number % classes + 1
    levels = 60 + 180 * labels.astype(float) / max(classes, 1)
    return np.clip(levels + rng.normal(0, 12, size), 0, 255).astype(np.uint8), labels


def damage_tile(image: Path, number: int) -> None:
    """Spoil a tile of a compressed TIFF, so that it cannot be decoded."""
    with tifffile.TiffFile(image) as tif:
        offset, size = tif.pages[0].dataoffsets[number], tif.pages[0].databytecounts[number]
    data = bytearray(image.read_bytes())
    data[offset : offset + size] = b"\xff" * size
    image.write_bytes(data)


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Return a function that fills a folder with pairs: binary 0/255 masks, or class ids with `classes` above 1."""

    def make(
        count: int = 4,
        name: str = "data",
        *,
        classes: int = 1,
        channels: int = 1,
        planes: int = 0,
        suffix: str = "_MASK",
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for number in range(count):
            drawn = [blobs(100 * number + z, classes=classes) for z in range(max(planes, 1))]
            image, mask = (np.stack(part) for part in zip(*drawn, strict=True))
            mask = mask if classes > 1 else mask * 255
            axes = "ZYX" if planes else "YX"
            if not planes:
                image, mask = image[0], mask[0]
            if channels == 3:
                image = np.repeat(image[..., None], 3, axis=-1)
                axes = "YXS"
            metadata = {"axes": axes} if channels != 3 else None
            tifffile.imwrite(folder / f"cell{number:02d}.tif", image, imagej=bool(planes), metadata=metadata)
            tifffile.imwrite(
                folder / f"cell{number:02d}{suffix}.tif",
                mask,
                imagej=bool(planes),
                metadata=metadata if planes else None,
            )
        return folder

    return make
