"""Large results as multiscale OME-Zarr (version 0.5, Zarr 3): made empty, filled part by part, given coarser levels.

Axes are always in the order T, C, Z, Y, X, as far as an image has them; that is what OME-Zarr wants.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.pyramid import LARGEST_WITHOUT_OVERVIEW
from napari_attnseg.data.spacing import MICROMETRE

CHUNK = 512
NOTE = "napari_attnseg"
"""Name of the attribute of an image that says what it was made of."""
_COARSEST = 1024
UNITS = {
    "pm": "picometer", "Å": "angstrom", "nm": "nanometer", MICROMETRE: "micrometer", "mm": "millimeter",
    "cm": "centimeter", "m": "meter", "in": "inch", "inch": "inch",
}  # fmt: skip
_TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Layout:
    """What is stored of an image: a plane for each of its planes, or some channels for each."""

    info: ImageInfo
    dtype: str
    channel_names: tuple[str, ...] | None = None
    """None: no axis C."""

    @property
    def axes(self) -> str:
        """Out of TCZYX."""
        return "".join(
            a for a in "TCZYX" if a in f"{self.info.stack_axes}{'' if self.channel_names is None else 'C'}YX"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of `axes`."""
        lengths = dict(zip(self.info.stack_axes, self.info.stack_shape, strict=True))
        lengths |= {"C": len(self.channel_names or ()), "Y": self.info.height, "X": self.info.width}
        return tuple(lengths[axis] for axis in self.axes)

    @property
    def channels(self) -> int:
        """How many channels each plane has; 1 if there is no axis C."""
        return 1 if self.channel_names is None else len(self.channel_names)

    def place(self, plane: int, channel: int = 0) -> tuple[int, ...]:
        """Return the indices of a plane and channel along the axes before Y."""
        info = self.info
        indices = np.unravel_index(plane, info.stack_shape) if info.stack_shape else ()
        by_axis = dict(zip(info.stack_axes, map(int, indices), strict=True)) | {"C": channel}
        return tuple(by_axis[axis] for axis in self.axes[:-2])

    def places(self) -> Iterator[tuple[int, ...]]:
        """Yield the places of all planes in the image's order, channels within a plane."""
        for plane in range(self.info.n_planes):
            for channel in range(self.channels):
                yield self.place(plane, channel)

    @property
    def level_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of all levels, finest first: halved until 1024 pixels are left; one level if the image is small.

        A side is never halved to a single pixel, which tifffile would take for samples of a pixel.
        """
        shapes = [self.shape]
        if max(self.shape[-2:]) > LARGEST_WITHOUT_OVERVIEW:
            while max(shapes[-1][-2:]) > _COARSEST and min(shapes[-1][-2:]) > 2:
                shapes.append((*self.shape[:-2], *(-(-side // 2) for side in shapes[-1][-2:])))
        return shapes


def make_levels(folder: Path, layout: Layout, note: dict[str, Any] | None = None) -> None:
    """Make an empty multiscale image in `folder`, all levels 0, with a note on what it is made of."""
    import zarr  # slow to import, and needed for large images only
    from zarr.codecs import BloscCodec, BloscShuffle

    group = zarr.open_group(folder, mode="w", zarr_format=3)
    for number, shape in enumerate(layout.level_shapes):
        chunks = (*(1 for _ in shape[:-2]), *(min(CHUNK, side) for side in shape[-2:]))
        is_real = np.dtype(layout.dtype).kind == "f"
        codec = BloscCodec(cname="zstd", clevel=1, shuffle=BloscShuffle.shuffle if is_real else BloscShuffle.noshuffle)
        group.create_array(
            str(number),
            shape=shape,
            chunks=chunks,
            dtype=layout.dtype,
            compressors=codec,
            fill_value=0,
            dimension_names=[axis.lower() for axis in layout.axes],
        )
    group.attrs.update({"ome": _metadata(layout)} | ({NOTE: note} if note else {}))


def open_levels(folder: Path, *, writable: bool = False) -> list[Any]:
    """Open the levels of a multiscale image, finest first, as arrays that are read when they are indexed.

    Raises
    ------
    OSError, KeyError, ValueError
        There is no such image.
    """
    import zarr  # slow to import, and needed for large images only

    group = zarr.open_group(folder, mode="r+" if writable else "r")
    found: Any = group.attrs["ome"]
    paths = [dataset["path"] for dataset in found["multiscales"][0]["datasets"]]
    levels: list[Any] = [group[path] for path in paths]
    if writable and levels[0].dtype.kind == "f":
        # Chunks of real numbers are hardly ever all 0, and looking for that takes a quarter of the time of writing one.
        with zarr.config.set({"array.write_empty_chunks": True}):
            levels = [group[path] for path in paths]
    return levels


def read_metadata(folder: Path) -> dict[str, Any]:
    """Return what a multiscale image says of its axes and levels.

    Raises
    ------
    OSError, KeyError, ValueError
        There is no such image.
    """
    values = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = values["attributes"]["ome"]["multiscales"][0]
    return found


def fill_levels(levels: list[Any], layout: Layout, *, mean: bool) -> Iterator[float]:
    """Fill the coarser levels from the finest one, block by block; yield the share that is done.

    Parameters
    ----------
    mean
        Whether four pixels become their mean, which real numbers want; else the first of them, which labels want.
    """
    total = sum(len(list(layout.places())) * len(list(_blocks(level.shape))) for level in levels[1:])
    done = 0
    for finer, coarser in pairwise(levels):
        for place in layout.places():
            for block in _blocks(coarser.shape):
                _fill_block(finer, coarser, place, block, mean=mean)
                done += 1
                yield done / total


def fill_rows(levels: list[Any], layout: Layout, plane: int, rows: slice, *, mean: bool) -> None:
    """Fill of the coarser levels what depends on some rows of a plane of the finest one; see `fill_levels`."""
    for finer, coarser in pairwise(levels):
        rows = slice(rows.start // 2, min(-(-rows.stop // 2), coarser.shape[-2]))
        for channel in range(layout.channels):
            for block in _blocks(coarser.shape, rows):
                _fill_block(finer, coarser, layout.place(plane, channel), block, mean=mean)


def from_whole_chunks(rows: slice, height: int, *, to_the_end: bool) -> slice:
    """Return rows from where a chunk of the first coarser level begins, up to where one ends or where `rows` end.

    A part of a chunk has it read, decoded, and compressed again.
    """
    step = 2 * CHUNK
    stop = rows.stop if to_the_end or rows.stop == height else rows.stop - rows.stop % step
    return slice(min(rows.start - rows.start % step, stop), stop)


def _blocks(shape: tuple[int, ...], rows: slice | None = None) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of the chunks of a plane, cut to some of its rows."""
    height, width = shape[-2:]
    first, last = (rows.start, rows.stop) if rows is not None else (0, height)
    for top in range(first - first % CHUNK, last, CHUNK):
        for left in range(0, width, CHUNK):
            yield slice(max(top, first), min(top + CHUNK, last)), slice(left, min(left + CHUNK, width))


def _fill_block(finer: Any, coarser: Any, place: tuple[int, ...], block: tuple[slice, slice], *, mean: bool) -> None:
    rows, columns = block
    source = (*place, slice(2 * rows.start, 2 * rows.stop), slice(2 * columns.start, 2 * columns.stop))
    fine = np.asarray(finer[source])
    coarser[(*place, rows, columns)] = _halved(fine) if mean else fine[::2, ::2]


def _halved(fine: Array) -> Array:
    """Return the means of four pixels each; a last odd row or column counts twice."""
    height, width = fine.shape
    if height % 2 or width % 2:
        fine = np.pad(fine, ((0, height % 2), (0, width % 2)), mode="edge")
    return np.asarray((fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / fine.dtype.type(4))


def _metadata(layout: Layout) -> dict[str, Any]:
    """Return what OME-Zarr 0.5 says of the levels, their axes and the size of a pixel."""
    spacing = layout.info.spacing
    height, width = spacing.pixel_size or (1.0, 1.0)
    sizes = {"T": spacing.frame_interval or 1.0, "C": 1.0, "Z": spacing.z_spacing or 1.0, "Y": height, "X": width}
    axes = []
    for axis in layout.axes:
        described = {"name": axis.lower(), "type": _TYPES[axis]}
        if axis == "T" and spacing.frame_interval:
            described["unit"] = "second"
        elif axis in ("YXZ" if spacing.z_spacing else "YX") and spacing.pixel_size and spacing.unit in UNITS:
            described["unit"] = UNITS[spacing.unit]
        axes.append(described)
    datasets = []
    for number in range(len(layout.level_shapes)):
        scale = [sizes[axis] * (2**number if axis in "YX" else 1) for axis in layout.axes]
        # a pixel of a coarser level lies in the middle of those that it stands for
        shift = [sizes[axis] * (2**number - 1) / 2 if axis in "YX" else 0.0 for axis in layout.axes]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if number:
            transforms.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    image = {"axes": axes, "datasets": datasets, "name": layout.info.path.name}
    more = {} if layout.channel_names is None else {"omero": {"channels": [*map(_channel, layout.channel_names)]}}
    return {"version": "0.5", "multiscales": [image], **more}


def _channel(name: str) -> dict[str, Any]:
    window = {"min": 0.0, "max": 1.0, "start": 0.0, "end": 1.0}
    return {"label": name, "color": "FFFFFF", "active": True, "window": window}
