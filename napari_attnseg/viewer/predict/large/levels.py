"""What is written of a large prediction as arrays for layers, read from the files each time that a part is looked at.

So the viewer's memory does not grow with the image, and what has grown since is seen at the next look.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.ome_zarr import Layout, open_levels

Array = np.ndarray[Any, Any]
_log = logging.getLogger(__name__)


class GrowingFiles:
    """The multiscale image of one kind, first in the place where it grows and then in the place where it stays.

    Parameters
    ----------
    places
        Where to look for it, the first one that is there counts.
    layout
        Its axes and shape.

    Raises
    ------
    OSError, KeyError, ValueError
        It is in none of the places, or is of another image.
    """

    def __init__(self, places: Sequence[Path], layout: Layout) -> None:
        self._places = places
        self.layout = layout
        self._open()

    def array(self, number: int) -> Any:
        """Return a level, finest first; it is opened anew where the files were moved because they are complete."""
        if not (self._place / "zarr.json").is_file():
            self._open()
        return self._levels[number]

    def _open(self) -> None:
        there = [place for place in self._places if (place / "zarr.json").is_file()]
        if not there:
            raise FileNotFoundError(2, f"there is no {self._places[-1].name} any more")
        self._place = there[0]
        self._levels = open_levels(self._place)
        if [level.shape for level in self._levels] != self.layout.level_shapes:
            raise ValueError(f"{self._place} is of another image")


class Level:
    """One level as an array (stack axes..., y, x) that is read when a plane of it is indexed.

    What cannot be read is 0: files may be removed while they are looked at, and the window must go on.

    Parameters
    ----------
    channels
        Which channels are read: they make the first axis of what `convert` gets.
    convert
        Makes what is shown, of the shape of what was read without that first axis.
    """

    def __init__(
        self,
        files: GrowingFiles,
        number: int,
        channels: Sequence[int],
        convert: Callable[[Array], Array],
        dtype: type[Any],
    ) -> None:
        layout = files.layout
        shape = layout.level_shapes[number]
        self._files, self._number, self._channels, self._convert = files, number, channels, convert
        self._axes = f"{layout.info.stack_axes}YX"
        self._part = tuple(slice(0, int(shape[layout.axes.index(axis)])) for axis in self._axes)
        self.dtype = np.dtype(dtype)
        self.ndim = len(self._part)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(part.stop - part.start for part in self._part)

    @property
    def size(self) -> int:
        """How many pixels it has."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, key: Any) -> Any:
        """Read a part; the key may hold whole numbers, slices and an ellipsis.

        Of a stack a part of all planes is not read yet, but an array as this one: napari asks for that before it takes
        the plane that is seen.
        """
        wanted = _full_key(key, self.shape)
        is_part = all(isinstance(part, slice) and part.step == 1 for part in wanted)
        moved = tuple(_moved(part, own.start) for part, own in zip(wanted, self._part, strict=True))
        if self.ndim > 2 and is_part:
            view = copy(self)
            view._part = moved
            return view
        return self.read(moved)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.read(self._part), dtype)

    def read(self, wanted: tuple[Any, ...]) -> Array:
        """Read a part of the whole level: a whole number or a slice with start, stop and step for each axis."""
        try:
            read = np.stack([self._read(wanted, channel) for channel in self._channels])
        except (OSError, KeyError, ValueError) as error:
            _log.info("a prediction cannot be read: %s", error)
            lengths = (len(range(p.start, p.stop, p.step or 1)) for p in wanted if isinstance(p, slice))
            read = np.zeros((len(self._channels), *lengths), self.dtype)
        return np.asarray(self._convert(read), self.dtype)

    def _read(self, wanted: tuple[Any, ...], channel: int) -> Array:
        """Read a part of one channel, its axes in the order of the image."""
        stored = self._files.layout.axes
        by_axis = dict(zip(self._axes, wanted, strict=True)) | {"C": channel}
        part = np.asarray(self._files.array(self._number)[tuple(by_axis[axis] for axis in stored)])
        kept = [axis for axis in stored if isinstance(by_axis[axis], slice)]
        return part.transpose([kept.index(axis) for axis in self._axes if axis in kept])


def _full_key(key: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return a whole number, or a slice with start, stop and step, for each axis."""
    given = list(key) if isinstance(key, tuple) else [key]
    filling = [slice(None)] * (len(shape) - sum(part is not Ellipsis for part in given))
    at = next((number for number, part in enumerate(given) if part is Ellipsis), len(given))
    given = [*given[:at], *filling, *given[at + 1 :]]
    return tuple(
        slice(*part.indices(length)) if isinstance(part, slice) else range(length)[int(part)]
        for part, length in zip(given, shape, strict=True)
    )


def _moved(part: Any, by: int) -> Any:
    return slice(part.start + by, part.stop + by, part.step) if isinstance(part, slice) else part + by
