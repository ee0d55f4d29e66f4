"""Growing a click to the region of like intensity around it: a fast first mask of an object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.annotation.corrections.scope import Box, Mask, bounding_box, padded
from napari_attnseg.errors import DataError

# Percentiles of the window between which its contrast range lies, so that single bright pixels do not set it.
RANGE_PERCENTILES = (1, 99)
# The colour clicked on is the median this many pixels around, so that noise under the cursor does not decide.
SEED_RADIUS = 3
# Tolerances that are tried: below, noise decides; above, the object is the background.
TOLERANCES = np.linspace(0.03, 0.8, 40)
# A region that takes more of the window, or of its outline, has leaked into the background.
MOST_OF_WINDOW = 0.35
MOST_OF_OUTLINE = 0.2
# Smaller regions are taken only if there is nothing larger: their outlines are those of noise.
FEWEST_PIXELS = 20
# Necks narrower than this part of the object lead into something else.
NECK = 0.25
# With a tolerance set by hand only threads are cut.
THREAD = 0.1

Array = np.ndarray[Any, Any]
Floats = NDArray[np.float32]


def snap(
    image: Array, position: tuple[int, int], *, tolerance: float | None, max_radius: int = 200, smooth: float = 1.0
) -> Mask:
    """Grow a click to the connected region of like intensity or colour.

    Without a tolerance many are tried, and the one is taken whose region has the strongest edges all around, is
    compact, and stays well inside the window; parts that hang on by a narrow neck are cut off. Holes are filled.

    Parameters
    ----------
    image
        Grey (y, x) or colour (y, x, c), any real or whole number type; NaN and infinity belong to no region.
    position
        (y, x) of the click in pixels.
    tolerance
        How far a pixel may differ from the one clicked on, as a part, 0 to 1, of the contrast range around the click;
        for colours the distance between them. None: chosen from the image.
    max_radius
        The region stays within so many pixels of the click, across and down; only those are looked at.
    smooth
        Standard deviation of the Gaussian the image is smoothed with, in pixels; 0 leaves it as it is.

    Returns
    -------
    ndarray
        bool (y, x) of the size of the image; the position is always in it.

    Raises
    ------
    DataError
        The position is outside the image or on NaN, the image has no contrast there, or (without a tolerance) no
        region with an outline is found.
    ValueError
        The tolerance is not between 0 and 1.
    """
    if tolerance is not None and not 0 <= tolerance <= 1:
        raise ValueError(f"The tolerance is a part from 0 to 1, not {tolerance}.")
    y, x = position
    if not (0 <= y < image.shape[0] and 0 <= x < image.shape[1]):
        raise DataError("The cursor is outside the image; point at an object in it and try again.")
    window = padded((slice(y, y + 1), slice(x, x + 1)), max_radius, image.shape[:2])
    seed = y - window[0].start, x - window[1].start
    near = padded((slice(seed[0], seed[0] + 1), slice(seed[1], seed[1] + 1)), SEED_RADIUS, image[window].shape[:2])
    colours, valid = _scaled(image[window], seed, near, smooth)
    levels = _joining_tolerances(colours, valid, seed, near)
    if tolerance is None:
        region = _best_region(levels, _edges(colours), seed)
    else:
        region = _tidied(levels <= tolerance, seed, THREAD)
    mask = np.zeros(image.shape[:2], bool)
    mask[window] = region
    return mask


def _scaled(pixels: Array, seed: tuple[int, int], near: Box, smooth: float) -> tuple[Floats, Mask]:
    """Return the window's colours, float32 (y, x, c), in units of its contrast range, and where they are numbers."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is left out with the others
        colours = pixels.astype(np.float32).reshape(*pixels.shape[:2], -1)
    valid: Mask = np.asarray(np.isfinite(colours).all(axis=-1))
    if not valid[seed]:
        raise DataError("The image has no value (NaN) under the cursor; point at a place that has one.")
    low, high = np.percentile(colours[valid], RANGE_PERCENTILES, axis=0)
    # An object may be too small a part of the window for the percentiles to see it.
    clicked = np.median(colours[near][valid[near]], axis=0)
    low, high = np.minimum(low, clicked), np.maximum(high, clicked)
    if not (high > low).any():  # nearly all of the window has one value
        low, high = colours[valid].min(axis=0), colours[valid].max(axis=0)
    # One range for all channels: a channel without contrast has only noise to say.
    contrast = float((high - low).max())
    if not contrast > 0:
        raise DataError("The image has the same value everywhere around the cursor, so there is no outline to snap to.")
    scaled = (np.clip(np.where(valid[..., None], colours, low), low, high) - low) / contrast
    return _smoothed(scaled.astype(np.float32), valid, smooth), valid


def _smoothed(colours: Floats, valid: Mask, smooth: float) -> Floats:
    """Smooth each channel; what is not valid has no weight."""
    from scipy import ndimage

    if smooth <= 0:
        return colours
    result = np.empty_like(colours)
    weight = None if valid.all() else ndimage.gaussian_filter(valid.astype(np.float32), smooth)
    for channel in range(colours.shape[-1]):
        values = colours[..., channel]
        if weight is None:
            result[..., channel] = ndimage.gaussian_filter(values, smooth)
        else:
            spread = ndimage.gaussian_filter(np.where(valid, values, 0), smooth)
            result[..., channel] = np.divide(spread, weight, out=np.zeros_like(spread), where=valid)
    return result


def _joining_tolerances(colours: Floats, valid: Mask, seed: tuple[int, int], near: Box) -> Floats:
    """Return the tolerance, float32 (y, x), at which each pixel joins the region that grows from the seed.

    It is the largest difference on the best way from the seed, so all regions come from one pass: a morphological
    reconstruction by erosion. Pixels that are not valid join at infinity.
    """
    from scipy import ndimage
    from skimage.morphology import reconstruction

    colour = np.median(colours[near][valid[near]], axis=0)
    difference = np.sqrt(((colours - colour) ** 2).sum(axis=-1)).astype(np.float32)
    difference[~valid] = np.inf
    difference[seed] = 0
    start = np.full_like(difference, np.inf)
    start[seed] = 0
    cross = ndimage.generate_binary_structure(2, 1)
    levels: Floats = reconstruction(start, difference, method="erosion", footprint=cross).astype(np.float32)
    return levels


def _edges(colours: Floats) -> Floats:
    """Return how steeply the colours change, float32 (y, x)."""
    from scipy import ndimage

    squares = sum(ndimage.gaussian_gradient_magnitude(colours[..., c], 0.7) ** 2 for c in range(colours.shape[-1]))
    steepness: Floats = np.sqrt(squares).astype(np.float32)
    return steepness


def _best_region(levels: Floats, edges: Floats, seed: tuple[int, int]) -> Mask:
    """Return the region, bool (y, x), of the tolerance with the best outline."""
    best: tuple[bool, float] = (False, 0.0)
    found: tuple[Box, Mask] | None = None
    pixels = 0
    for tolerance in TOLERANCES:
        grown = levels <= tolerance
        if _has_leaked(grown):
            break
        if (count := int(grown.sum())) == pixels:
            continue
        pixels = count
        box = bounding_box(grown, 2)
        region = _tidied(grown[box], (seed[0] - box[0].start, seed[1] - box[1].start), NECK)
        worth = count >= FEWEST_PIXELS, _outline_score(region, edges[box])
        if worth > best:
            best, found = worth, (box, region)
    if found is None:
        raise DataError(
            "No region with a clear outline was found under the cursor; point at the inside of an object, "
            "or set the tolerance by hand."
        )
    whole = np.zeros(levels.shape, bool)
    whole[found[0]] = found[1]
    return whole


def _has_leaked(region: Mask) -> bool:
    sides = region[0], region[-1], region[:, 0], region[:, -1]
    on_outline = sum(int(side.sum()) for side in sides)
    return on_outline > MOST_OF_OUTLINE * sum(side.size for side in sides) or region.mean() > MOST_OF_WINDOW


def _outline_score(region: Mask, edges: Floats) -> float:
    """Return how steep the image is along the outline, on both sides of it, less for an outline that meanders."""
    from scipy import ndimage

    inner = region & ~ndimage.binary_erosion(region, border_value=1)
    outer = ndimage.binary_dilation(region) & ~region
    if not outer.any():
        return 0.0
    steepness = (float(edges[inner].mean()) + float(edges[outer].mean())) / 2
    length = (int(inner.sum()) + int(outer.sum())) / 2
    compactness = min(4 * np.pi * int(region.sum()) / length**2, 1.0)
    # Of outlines that are as good the larger one: the smaller is often a bright spot in an object.
    return float(steepness * compactness * region.sum() ** 0.05)


def _tidied(region: Mask, seed: tuple[int, int], neck: float) -> Mask:
    """Fill holes and keep what is not cut off at necks: `neck` is their half width as a part of the object's radius."""
    from scipy import ndimage

    filled: Mask = ndimage.binary_fill_holes(region)
    if filled.all():
        return filled
    # No rim is added: what reaches the border of the image goes on beyond it, and is not narrow there.
    radius = neck * float(np.sqrt(filled.sum() / np.pi))
    core = ndimage.distance_transform_edt(filled) > radius
    if not core.any():
        return filled
    nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    parts, _ = ndimage.label(core)
    own = parts == parts[nearest[0][seed], nearest[1][seed]]
    kept: Mask = filled & (ndimage.distance_transform_edt(~own) <= radius)
    return kept if kept[seed] else filled
