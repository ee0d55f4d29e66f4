"""Large results as one TIFF: BigTIFF in compressed tiles, the coarser levels of the pyramid in SubIFDs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_attnseg.data.ome_zarr import Layout
from napari_attnseg.data.tiff_note import replacing_with_note
from napari_attnseg.data.write import SOFTWARE, description_options, write_image

TILE = 512
_MOST_THREADS = 8
_BUFFER = 32 << 20  # bytes of tiles that wait to be compressed; tifffile's own are half a gigabyte

Array = np.ndarray[Any, Any]


def write_pyramid(
    path: Path,
    levels: list[Any],
    layout: Layout,
    on_share: Callable[[float], None] = lambda share: None,
    note: str = "",
    workplace: Path | None = None,
) -> None:
    """Write an image with its coarser levels, tile by tile, replacing `path` at once.

    Parameters
    ----------
    levels
        Arrays with the axes of `layout`, finest first.
    on_share
        Called with the share that is written; where it raises, `path` is unchanged.
    note
        For programs, in ASCII; see `tiff_note`.
    workplace
        For the temporary file, see `atomic.replacing`.

    Raises
    ------
    SaveError
        The file cannot be written; what was in `path` is unchanged.
    """
    info = layout.info
    several = layout.channels > 1
    axes = f"{info.stack_axes}{'C' * several}YX"
    outer = (*info.stack_shape, *((layout.channels,) * several))
    if info.width == 1:  # tifffile takes the last axis for samples then; it is a small image
        pages = np.stack([np.asarray(levels[0][(*place, slice(None), slice(None))]) for place in layout.places()])
        write_image(path, pages.reshape((*outer, info.height, 1)), axes, like=info, note=note)
        return
    total = sum(_tiles_in(level.shape) for level in levels)
    done = 0

    def tiles_of(level: Any) -> Iterator[Array]:
        nonlocal done
        for tile in _tiles(level, layout):
            done += 1
            on_share(done / total)
            yield tile

    described = description_options(path, axes, info, layout.channel_names or ())
    is_ome = described.pop("ome")
    with (
        replacing_with_note(path, note, workplace) as (temporary, tags),
        tifffile.TiffWriter(temporary, bigtiff=True, ome=is_ome) as writer,
    ):
        for number, level in enumerate(levels):
            # outside OME-TIFF each level says its own axes
            coarser = {"subfiletype": 1, "metadata": None if is_ome else {"axes": axes}}
            more = coarser if number else {"subifds": len(levels) - 1, "extratags": tags, **described}
            writer.write(tiles_of(level), shape=(*outer, *level.shape[-2:]), **_options(layout), **more)


def _options(layout: Layout) -> dict[str, Any]:
    is_real = np.dtype(layout.dtype).kind == "f"
    return {
        "tile": (TILE, TILE),
        "photometric": "minisblack",
        "compression": "zlib",
        "compressionargs": {"level": 1} if is_real else None,  # in half the time, and a twelfth larger
        "predictor": is_real,  # real numbers hardly shrink without
        "dtype": layout.dtype,
        "software": SOFTWARE,
        "maxworkers": _threads(),
        "buffersize": _BUFFER,
    }


def _threads() -> int:
    """Return how many compress: as many as this process may compute on, of a machine that others share too."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(allowed or 1, _MOST_THREADS)


def _tiles(level: Any, layout: Layout) -> Iterator[Array]:
    height, width = level.shape[-2:]
    for place in layout.places():
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                part = np.asarray(level[(*place, slice(top, top + TILE), slice(left, left + TILE))])
                missing = (TILE - part.shape[0], TILE - part.shape[1])
                yield np.pad(part, ((0, missing[0]), (0, missing[1]))) if any(missing) else part


def _tiles_in(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape[:-2], dtype=np.int64)) * -(-shape[-2] // TILE) * -(-shape[-1] // TILE)
