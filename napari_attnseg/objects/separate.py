"""Objects that touch, cut apart: a watershed on how thick an object is at each pixel and how probable.

The map that is flooded is the distance to the border times the probability. A neck between two objects is a saddle of
it, and it is the ratio of saddle and summit that decides whether the two are cut apart: so large and small objects are
judged alike, and an elongated one, which has no neck, stays whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import label
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from napari_attnseg.data.mask_values import distinct
from napari_attnseg.errors import Stopped
from napari_attnseg.objects.basins import highest, merged, untied
from napari_attnseg.settings import ObjectSettings

Array = np.ndarray[Any, Any]
Box = tuple[slice, ...]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Objects:
    """Numbered objects, and the class of each."""

    labels: Array
    """uint16, or uint32 where there are more objects: 0 for the background, else the number of an object."""
    classes: Array
    """uint8 (objects + 1,): the class of each number; of 0 it is 0."""

    @property
    def count(self) -> int:
        """How many objects there are."""
        return len(self.classes) - 1


def separate(
    classes: Array,
    probability: Mapping[int, Array] | None = None,
    *,
    spacing: Sequence[float] | None = None,
    settings: ObjectSettings | None = None,
    should_stop: ShouldStop = lambda: False,
) -> Objects:
    """Number the objects of a plane or of a volume; those that touch are cut apart, and no object has two classes.

    Parameters
    ----------
    classes
        Class ids or booleans (y, x) or (z, y, x), 0 for the background.
    probability
        For each class that it is known of, float of the shape of `classes` in [0, 1]. Without one, and where it is NaN,
        the shape decides.
    spacing
        Lengths of a pixel along each axis, in the unit of the settings' lengths. None: 1 along each axis.
    settings
        What is cut and what is dropped; its `reach` and `threshold` are for callers. None: the defaults.
    should_stop
        Asked between the steps, of which each takes up to half a second for a million pixels.

    Returns
    -------
    Objects
        Numbered class by class, and in each in the order in which their pixels come first.

    Raises
    ------
    Stopped
        `should_stop` returned True.
    """
    settings = settings or ObjectSettings()
    lengths = tuple(spacing) if spacing is not None else (1.0,) * classes.ndim
    found = np.zeros(classes.shape, np.uint32)
    of_class: list[int] = [0]
    for number in [int(value) for value in distinct(classes.astype(np.uint8, copy=False)) if value]:
        _go_on(should_stop)
        box = _with_margin(ndimage.find_objects((classes == number).astype(np.uint8))[0], classes.shape)
        mask = classes[box] == number
        known = probability.get(number) if probability is not None else None
        part = _separated(mask, None if known is None else known[box], lengths, settings, should_stop)
        part, count = _kept(part, least_pixels(settings, lengths))
        found[box][part > 0] = part[part > 0] + (len(of_class) - 1)
        of_class += count * [number]
    return Objects(smallest_type(found, len(of_class) - 1), np.array(of_class, np.uint8))


def smallest_type(labels: Array, count: int) -> Array:
    """Return labels as uint16, or as uint32 where `count` needs it."""
    return np.asarray(labels.astype(np.uint16 if count <= np.iinfo(np.uint16).max else np.uint32, copy=False))


def least_pixels(settings: ObjectSettings, lengths: Sequence[float]) -> float:
    """Return how many pixels an object must have; `lengths` are those of a pixel in the settings' unit."""
    return settings.min_size if settings.unit == "pixels" else settings.min_size / math.prod(lengths)


def degree(settings: ObjectSettings, ndim: int) -> int:
    """Return scikit-image's number for what touches: how many axes a step may go along at once."""
    return 1 if settings.connectivity == "sides" else ndim


def _with_margin(box: Box, shape: tuple[int, ...]) -> Box:
    """Add a pixel on each side, where there is one: the distance to the border counts from the background."""
    return tuple(
        slice(max(part.start - 1, 0), min(part.stop + 1, length)) for part, length in zip(box, shape, strict=True)
    )


def _separated(
    mask: Array,
    probability: Array | None,
    lengths: tuple[float, ...],
    settings: ObjectSettings,
    should_stop: ShouldStop,
) -> Array:
    """Number the objects of one class, uint32."""
    pieces, count = label(mask, return_num=True, connectivity=degree(settings, mask.ndim))
    if not settings.split or count == 0:
        return np.asarray(pieces.astype(np.uint32))
    pixel = math.sqrt(lengths[-1] * lengths[-2])
    height = _height(mask, probability, lengths, pixel if settings.smoothing is None else settings.smoothing)
    _go_on(should_stop)
    # in logarithms a step is a ratio; the pixel added keeps the steps of a thin line's pixels from being such
    steep = np.log(height + pixel)
    summits = label(local_maxima(steep, connectivity=mask.ndim) & mask, connectivity=mask.ndim)
    marked = np.bincount(pieces[summits > 0], minlength=count + 1) > 0
    summits = np.where(marked[pieces], summits, pieces + summits.max())  # what is flat all over has no summit
    summits[~mask] = 0
    steps = degree(settings, mask.ndim)
    structure = ndimage.generate_binary_structure(mask.ndim, steps)
    _go_on(should_stop)
    basins = watershed(untied(-steep, summits, pieces), summits, connectivity=structure, mask=mask)
    _go_on(should_stop)
    found = merged(basins, steep, settings.neck, steps)
    if settings.min_distance > 0:
        markers = _thinned(found, height, pieces, lengths, settings.min_distance)
        found = watershed(untied(-steep, markers, pieces), markers, connectivity=structure, mask=mask)
    return _in_order(found)


def _height(mask: Array, probability: Array | None, lengths: tuple[float, ...], smoothing: float) -> Array:
    """Return how thick an object is at each pixel, times how probable it is; smoothed, float64."""
    if mask.all():  # without a border all is as thick as the image; scipy would count from its upper left corner
        height = np.full(mask.shape, min(n * length for n, length in zip(mask.shape, lengths, strict=True)) / 2)
    else:
        height = ndimage.distance_transform_edt(mask, sampling=lengths)
    if probability is not None:
        height *= np.nan_to_num(probability.astype(np.float64), nan=1.0)  # where it is not known the shape decides
    if smoothing > 0:
        height = ndimage.gaussian_filter(height, [smoothing / length for length in lengths], mode="nearest")
    return np.asarray(height * mask)


def _thinned(objects: Array, height: Array, pieces: Array, lengths: tuple[float, ...], distance: float) -> Array:
    """Mark the summit of each object, without the lower one of two in a piece that are nearer than `distance`."""
    numbers = np.unique(objects[objects > 0])
    places = _first_summits(objects, height)[numbers]
    tops, piece = height[tuple(places.T)], pieces[tuple(places.T)]
    tree = cKDTree(places * np.array(lengths))
    dropped = np.zeros(len(numbers), bool)
    for one in np.argsort(-tops, kind="stable"):
        if dropped[one]:
            continue
        for other in tree.query_ball_point(tree.data[one], distance):
            if other != one and piece[other] == piece[one] and tops[other] <= tops[one]:
                dropped[other] = True
    markers = np.zeros_like(objects)
    markers[tuple(places[~dropped].T)] = numbers[~dropped]
    return markers


def _first_summits(objects: Array, height: Array) -> Array:
    """Return the first of the highest pixels of each object, by number: its indices."""
    tops = highest(height, objects, int(objects.max(initial=0)))
    at = np.flatnonzero((objects > 0) & (height == tops[objects]))
    first = np.zeros(len(tops), np.int64)
    first[objects.ravel()[at][::-1]] = at[::-1]
    return np.stack(np.unravel_index(first, objects.shape), axis=1)


def _go_on(should_stop: ShouldStop) -> None:
    if should_stop():
        raise Stopped


def _kept(labels: Array, min_pixels: float) -> tuple[Array, int]:
    """Drop what is too small, and number the others from 1 on; return their count too."""
    sizes = np.bincount(labels.ravel())
    keep = sizes >= max(min_pixels, 1)
    keep[:1] = False
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.uint32)
    return np.asarray(numbers[labels]), int(keep.sum())


def _in_order(labels: Array) -> Array:
    """Number objects in the order in which their pixels come first, uint32."""
    at = np.flatnonzero(labels)
    first = np.full(int(labels.max(initial=0)) + 1, -1)
    first[labels.ravel()[at][::-1]] = at[::-1]
    values = np.flatnonzero(first >= 0)
    rank = np.zeros(len(first), np.uint32)
    rank[values[np.argsort(first[values])]] = np.arange(1, len(values) + 1)
    return np.asarray(rank[labels])
