"""What is measured of objects, plane by plane and strip by strip, so that a stack need not be in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from skimage.measure import regionprops

from napari_attnseg.errors import DataError, Stopped
from napari_attnseg.objects.blank import release
from napari_attnseg.objects.geometry import Geometry
from napari_attnseg.objects.intensities import Intensities
from napari_attnseg.objects.separate import Objects
from napari_attnseg.objects.strips import Planes, part_of, size_of, strips_of
from napari_attnseg.objects.table import Table
from napari_attnseg.settings import Reach

_OBJECTS_AT_ONCE = 200  # that are measured before a stop is asked for
_ROUND = 1e-12  # of sums of a disc's pixels; what is less is rounding
LARGEST_OUTLINE = 2**27
"""Pixels of the box around an object of which solidity and perimeter are measured; they take some bytes for each."""

Array = np.ndarray[Any, Any]


class Measuring:
    """Takes the planes of a labelled stack in any order, each once; `table` says what was measured.

    Parameters
    ----------
    count
        How many objects there are.
    geometry
        The stack and the size of a pixel.
    reach
        Whether an object lies on one plane, through Z, or through time too.
    channels
        Names of the channels that are measured; none if there is no image.
    """

    def __init__(self, count: int, geometry: Geometry, reach: Reach, channels: Sequence[str] = ()) -> None:
        self._count = count
        self._geometry = geometry
        self._reach = reach
        self.pixels = np.zeros(count + 1, np.int64)
        self._sums = {axis: np.zeros(count + 1) for axis in "TZYX"}
        self._first = {axis: np.full(count + 1, np.iinfo(np.int64).max) for axis in "TZYX"}
        self._last = {axis: np.full(count + 1, -1) for axis in "TZYX"}
        self._intensities = Intensities(count, channels)
        self._shapes = {name: np.full(count + 1, np.nan) for name in ("Eccentricity", "Solidity", "Perimeter")}

    def add(
        self,
        plane: int,
        labels: Array,
        pixels: Callable[[slice], Array] | None = None,
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        """Take a plane.

        Parameters
        ----------
        plane
            Its number.
        labels
            Numbers of objects (y, x).
        pixels
            Returns some rows of the image (channel, y, x), as they are stored; None: no intensities.
        on_progress
            Called again and again with the share of the plane that is done; may raise `Stopped`.
        """
        outlines = not self._joins_planes
        height, place = max(len(labels), 1), self._geometry.place(plane)
        met = []
        for rows in strips_of(labels.shape):
            met.append(self._add_rows(labels[rows], rows.start, place, None if pixels is None else pixels(rows)))
            release(labels)
            on_progress((0.2 if outlines else 1.0) * rows.stop / height)
        here = np.unique(np.concatenate(met)) if met else np.array([], int)
        if outlines and len(here):
            self._add_moments(labels, here)
            self._add_shapes(labels, here, lambda share: on_progress(0.3 + 0.7 * share))

    def _add_rows(self, labels: Array, top: int, place: dict[str, int], pixels: Array | None) -> Array:
        """Take some rows of a plane for everything but outlines; return the objects in them."""
        flat = np.flatnonzero(labels)
        if not len(flat):
            return flat
        numbers = labels.ravel()[flat].astype(np.int64)
        low = int(numbers.min())
        numbers -= low
        part = slice(low, low + int(numbers.max()) + 1)
        counts = np.bincount(numbers)
        self.pixels[part] += counts
        for axis in "YX":
            values = flat // labels.shape[1] + top if axis == "Y" else flat % labels.shape[1]
            self._sums[axis][part] += np.bincount(numbers, values)
            np.minimum.at(self._first[axis][part], numbers, values)
            np.maximum.at(self._last[axis][part], numbers, values)
            del values
        here = np.flatnonzero(counts) + part.start
        for axis in "TZ":
            self._sums[axis][part] += counts * float(place[axis])
            self._first[axis][here] = np.minimum(self._first[axis][here], place[axis])
            self._last[axis][here] = np.maximum(self._last[axis][here], place[axis])
        if pixels is not None:
            self._intensities.add(part, numbers, (channel.ravel()[flat] for channel in pixels))
        return here

    @property
    def _joins_planes(self) -> bool:
        geometry = self._geometry
        return geometry.makes_volumes(self._reach) or geometry.joins_times(self._reach)

    def _add_shapes(self, labels: Array, here: Array, on_progress: Callable[[float], None]) -> None:
        """Measure what needs an object's outline, of the objects of a plane."""
        height, width = self._geometry.pixel_size or (1.0, 1.0)
        square = abs(height - width) <= 1e-6 * height
        side = height if self._geometry.is_calibrated else 1.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of objects of a pixel or a line, which have no convex outline
            for count, number in enumerate(here.tolist()):
                if count % _OBJECTS_AT_ONCE == 0:
                    release(labels)
                    on_progress(count / len(here))
                box = tuple(slice(self._first[axis][number], self._last[axis][number] + 1) for axis in "YX")
                if (box[0].stop - box[0].start) * (box[1].stop - box[1].start) > LARGEST_OUTLINE:
                    continue
                (region,) = regionprops((np.asarray(labels[box]) == number).astype(np.uint8))
                self._shapes["Solidity"][number] = region.solidity
                if square:
                    self._shapes["Perimeter"][number] = region.perimeter * side

    def _add_moments(self, labels: Array, here: Array) -> None:
        """Measure eccentricity by the second moments, of all objects of a plane at once."""
        height, width = self._geometry.pixel_size or (1.0, 1.0)
        low, high = here[0], here[-1] + 1
        pixels = np.maximum(self.pixels[low:high], 1)
        down_to, across_to = (self._sums[axis][low:high] / pixels for axis in "YX")
        yy, xx, xy = (np.zeros(high - low) for _ in range(3))
        for strip in strips_of(labels.shape):
            flat = np.flatnonzero(labels[strip])
            if not len(flat):
                continue
            numbers = labels[strip].ravel()[flat].astype(np.int64) - low
            rows, columns = np.divmod(flat, labels.shape[1])
            down = (rows + strip.start - down_to[numbers]) * height
            across = (columns - across_to[numbers]) * width
            for total, values in ((yy, down**2), (xx, across**2), (xy, down * across)):
                total += np.bincount(numbers, values, len(total))
            release(labels)
        half, root = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = 1 - (half - root) / (half + root)
            found = np.sqrt(np.clip(np.where(share < _ROUND, 0, share), 0, 1))
        self._shapes["Eccentricity"][here] = np.where(half + root > 0, found, 0)[here - low]

    def table(self, image: str, class_names: Sequence[str]) -> Table:
        """Return a row for each object that has pixels; `class_names` are those of each number from 1 on."""
        columns: dict[str, Any] = {
            "Image": np.full(self._count, image, object),
            "Object": np.arange(1, self._count + 1),
            "Class": np.array(list(class_names), object),
        }
        pixels = self.pixels[1:]
        divisor = np.maximum(pixels, 1)
        stack = self._geometry.stack_axes
        for axis in (axis for axis in "TZ" if axis in stack):
            columns[f"First {axis.lower()}"] = self._first[axis][1:]
            columns[f"Last {axis.lower()}"] = self._last[axis][1:]
        columns |= self._sizes(pixels) | self._intensities.columns()
        if not self._joins_planes:
            # an outline is of one plane; numbers that somebody gave may be on several
            whole = np.logical_and(*(self._first[axis][1:] == self._last[axis][1:] for axis in "TZ"))
            for name, unit in (("Eccentricity", ""), ("Solidity", ""), ("Perimeter", f" ({self._unit})")):
                columns[f"{name}{unit}"] = np.where(whole, self._shapes[name][1:], np.nan)
        columns |= self._places(divisor)
        there = pixels > 0  # numbers that were edited away have no row
        return Table({title: column[there] for title, column in columns.items()})

    def _places(self, divisor: Array) -> dict[str, Array]:
        """Return centres and bounding boxes."""
        found = {}
        if "Z" in self._geometry.stack_axes:
            found["Centre z"] = self._sums["Z"][1:] / divisor
        found["Centre y (px)"] = self._sums["Y"][1:] / divisor
        found["Centre x (px)"] = self._sums["X"][1:] / divisor
        for title, axis in (("Left (px)", "X"), ("Top (px)", "Y")):
            found[title] = self._first[axis][1:]
        for title, axis in (("Width (px)", "X"), ("Height (px)", "Y")):
            found[title] = self._last[axis][1:] - self._first[axis][1:] + 1
        return found

    @property
    def _unit(self) -> str:
        return self._geometry.unit if self._geometry.is_calibrated else "px"

    def _sizes(self, pixels: Array) -> dict[str, Array]:
        """Return area or volume, and the diameter of a disc or a ball of that size; through time the mean of it."""
        geometry, found = self._geometry, {"Pixels": pixels}
        frames = np.maximum(self._last["T"][1:] - self._first["T"][1:] + 1, 1)
        volume = geometry.makes_volumes(self._reach)
        size, unit = pixels / frames, "px"
        measure = geometry.pixel_measure(volume)
        if measure is not None:
            size, unit = size * measure, geometry.unit
            found[f"Volume ({unit}³)" if volume else f"Area ({unit}²)"] = size
        diameter = np.cbrt(6 * size / np.pi) if volume else np.sqrt(4 * size / np.pi)
        return found | {f"Equivalent diameter ({unit})": diameter}


def measure(
    objects: Objects,
    geometry: Geometry,
    reach: Reach,
    *,
    image: str,
    class_names: Sequence[str],
    pixels: Planes | None = None,
    channels: Sequence[str] = (),
    on_progress: Callable[[float], None] = lambda share: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Table:
    """Measure objects.

    Parameters
    ----------
    objects
        `labels` (plane, y, x).
    geometry, reach
        The stack, and what objects can go through.
    image
        The image's name, which is the first column.
    class_names
        Names by class id, background first.
    pixels
        Planes (channel, y, x) of the image, as stored; None: no intensities.
    channels
        A name for each channel of `pixels`.

    Raises
    ------
    DataError
        The image has another size than the labels.
    Stopped
        `should_stop` returned True.
    """
    measuring = Measuring(objects.count, geometry, reach, channels if pixels is not None else ())
    for plane, labels in enumerate(objects.labels):

        def on_part(share: float, plane: int = plane) -> None:
            if should_stop():
                raise Stopped
            on_progress((plane + share) / len(objects.labels))

        on_part(0.0)
        read = None
        if pixels is not None:
            size = size_of(pixels, plane)
            if size != labels.shape:
                raise DataError(
                    f"{image} has {size[0]} x {size[1]} pixels (y, x) but its objects "
                    f"{labels.shape[0]} x {labels.shape[1]}; they do not belong together."
                )
            read = partial(part_of, pixels, plane)
        measuring.add(plane, labels, read, on_part)
        on_part(1.0)
    names = [class_names[number] if number < len(class_names) else f"class {number}" for number in objects.classes[1:]]
    return measuring.table(image, names)
