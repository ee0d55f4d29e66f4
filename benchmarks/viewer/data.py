"""Images to measure the viewer with: a folder like a real one, planes, and files too large to read whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_attnseg.data.pairs import find_pairs, stem_of

Array = np.ndarray[Any, Any]
TILE = 512


def folder_of(data: Path | None, target: Path, images: int) -> None:
    """Fill a folder with so many images and masks: those of `data` under several names, else ones made here."""
    target.mkdir(parents=True)
    pairs = find_pairs(data).annotated if data is not None else ()
    for number in range(images):
        name = f"image{number:04d}"
        if pairs:
            pair = pairs[number % len(pairs)]
            _link(pair.image, target / f"{name}_{stem_of(pair.image)}.tif")
            if pair.mask is not None:
                _link(pair.mask, target / f"{name}_{stem_of(pair.image)}_MASK.tif")
        else:
            image = texture(256, number)
            tifffile.imwrite(target / f"{name}.tif", image, compression="deflate")
            mask = np.where(image > 150, 255, 0).astype(np.uint8)
            tifffile.imwrite(target / f"{name}_MASK.tif", mask, compression="deflate")


def planes_of(target: Path, images: int, side: int, *, rgb: bool, masks: bool = True) -> None:
    """Write images of `side` x `side` pixels, RGB or of 16 bits, compressed with deflate, with masks."""
    target.mkdir(parents=True)
    for number in range(images):
        grey = texture(side, number)
        path = target / f"plane{number:02d}.tif"
        if rgb:
            colours = np.stack([grey, np.roll(grey, 40, 0), np.roll(grey, 80, 1)], axis=-1)
            tifffile.imwrite(path, colours, photometric="rgb", compression="deflate")
        else:
            tifffile.imwrite(path, grey.astype(np.uint16) * 200, compression="deflate")
        if masks:
            mask = np.where(grey > 150, 255, 0).astype(np.uint8)
            tifffile.imwrite(target / f"plane{number:02d}_MASK.tif", mask, compression="deflate")


def large_image(target: Path, side: int, *, rgb: bool) -> None:
    """Write one tiled image of `side` x `side` pixels without coarser levels, as a BigTIFF with deflate."""
    target.mkdir(parents=True)
    shape = (side, side, 3) if rgb else (side, side)
    pool = [texture(TILE, number) for number in range(12)]
    tiles = [np.stack([tile, tile.T, tile[::-1]], axis=-1) if rgb else tile for tile in pool]
    across = -(-side // TILE)

    def all_tiles() -> Iterator[Array]:
        for number in range(across * across):
            yield tiles[(number * 7) % len(tiles)]

    tifffile.imwrite(
        target / "slide.tif", all_tiles(), shape=shape, dtype=np.uint8, bigtiff=True, tile=(TILE, TILE),
        photometric="rgb" if rgb else "minisblack", compression="deflate",
    )  # fmt: skip


def stack_of(target: Path, planes: int, side: int) -> None:
    """Write a stack of planes of 16 bits with deflate, as ImageJ names its axes."""
    target.mkdir(parents=True)
    pool = [texture(side, number).astype(np.uint16) * 200 for number in range(8)]
    with tifffile.TiffWriter(target / "stack.ome.tif", ome=True) as writer:
        writer.write(
            (pool[number % len(pool)] for number in range(planes)),
            shape=(planes, side, side), dtype=np.uint16, compression="deflate", metadata={"axes": "ZYX"},
        )  # fmt: skip


def texture(side: int, seed: int) -> Array:
    """Return blobs with noise, (y, x) uint8, which deflate compresses about as well as a microscope's image."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 200, (side // 32 + 2, side // 32 + 2))
    blobs = np.kron(coarse, np.ones((32, 32), np.int64))[:side, :side]
    return np.asarray((blobs + rng.integers(0, 24, (side, side))).clip(0, 255).astype(np.uint8))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copyfile(source, target)
