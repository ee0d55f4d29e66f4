"""Look through a folder before training: every finding is a sentence that names the file and what to do."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from napari_attnseg.data.check_folder import check_channels, check_groups, check_masks, check_names
from napari_attnseg.data.decode import reason_of
from napari_attnseg.data.lazy import is_large
from napari_attnseg.data.mask_survey import survey_mask
from napari_attnseg.data.mask_values import require_shape
from napari_attnseg.data.normalise import finite_mask
from napari_attnseg.data.pairs import Pair, find_pairs
from napari_attnseg.data.report import Finding, Report, Seen, Severity, sorted_findings, summarise
from napari_attnseg.data.tiff import Image, read_image, read_info
from napari_attnseg.errors import DataError
from napari_attnseg.events import EventHandler, Progress, ignore_event
from napari_attnseg.settings import DataSettings

__all__ = ["Finding", "Report", "check"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


def check(
    source: Path,
    settings: DataSettings | None = None,
    *,
    on_event: EventHandler = ignore_event,
    should_stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Read all images and masks of a folder, once each, and report what would disturb a training.

    Parameters
    ----------
    source
        A folder of pairs, or one TIFF.
    settings
        How files are read and masks are understood.
    on_event
        Receives `Progress`, one for each image.
    should_stop
        Asked before each image.

    Returns
    -------
    Report
        Never an exception: whatever goes wrong with a file is a finding.
    """
    settings = settings or DataSettings()
    source = Path(source)
    try:
        listing = find_pairs(source, settings.mask_suffix)
    except (DataError, OSError) as error:
        return Report(source, (Finding("error", source, "source", _sentence(error, source)),), (), None, None)
    seen = Seen(source if source.is_dir() else source.parent)
    stopped = False
    for number, pair in enumerate(listing.pairs):
        if stopped := should_stop():
            break
        on_event(Progress(number / len(listing.pairs), f"Checking {pair.image.name}"))
        _check_pair(pair, settings, seen)
    check_names(listing, seen)
    check_channels(listing, settings, seen)
    check_groups(listing, settings, seen)
    convention = None if stopped else check_masks(listing, settings, seen)
    on_event(Progress(1.0, "Checked"))
    lines = summarise(listing, seen, convention)
    return Report(source, sorted_findings(seen.findings), lines, convention, listing, stopped)


def _check_pair(pair: Pair, settings: DataSettings, seen: Seen) -> None:
    severity: Severity = "error" if pair.mask is not None else "warning"
    info = _attempt(lambda: read_info(pair.image, settings.axes), pair.image, "unreadable", severity, seen)
    if info is not None and is_large(info):
        seen.images[pair.image] = info
        message = (
            f"{pair.image.name} is too large to look at every pixel here; blank or damaged parts were not looked for."
        )
        seen.add("note", pair.image, "large", message)
    elif info is not None:
        image = _attempt(lambda: read_image(pair.image, settings.axes), pair.image, "unreadable", severity, seen)
        info = image.info if image is not None else None
        if image is not None:
            seen.images[pair.image] = image.info
            _attempt(lambda: _check_pixels(image, seen), pair.image, "unreadable", severity, seen)
    if pair.mask is None:
        return
    mask_file = pair.mask
    mask = _attempt(lambda: survey_mask(mask_file), mask_file, "mask-unreadable", "error", seen)
    if mask is None:
        return
    seen.masks[mask_file] = mask
    if info is None:
        return
    of_image = info
    _attempt(lambda: require_shape(mask_file, mask.shape, of_image), mask_file, "shape-mismatch", "error", seen)


def _attempt(action: Callable[[], T], path: Path, code: str, severity: Severity, seen: Seen) -> T | None:
    try:
        return action()
    except Exception as error:  # whatever a damaged file provokes, the others are still to be checked
        if not isinstance(error, DataError):
            _log.debug("unexpected while checking %s", path, exc_info=True)
        seen.add(severity, path, code, _sentence(error, path))
        return None


def _sentence(error: Exception, path: Path) -> str:
    if isinstance(error, DataError):
        return str(error)
    return f"{path.name} cannot be read ({reason_of(error)}); export it again or remove it ({path})."


def _check_pixels(image: Image, seen: Seen) -> None:
    """Check one image: numbers, contrast, and whether it is there already."""
    pixels, path = image.pixels, image.info.path
    valid = finite_mask(pixels)
    if valid is not None:
        bad = 1 - valid.mean()
        what = "only" if bad == 1 else f"{max(0.01, 100 * bad):.2g} %"
        seen.add(
            "error" if bad == 1 else "warning",
            path,
            "non-finite",
            f"{path.name} has {what} pixels that are NaN or infinite; they are not trained on. Replace them if they "
            "should count.",
        )
        pixels = pixels[np.isfinite(pixels)]
    if pixels.size and pixels.min() == pixels.max():
        seen.add(
            "warning",
            path,
            "constant",
            f"{path.name} is blank: every pixel is {pixels.flat[0]}. Remove it, unless it is to show what nothing "
            "looks like.",
        )
        return
    digest = hashlib.blake2b(f"{image.pixels.shape} {image.pixels.dtype}".encode(), digest_size=16)
    digest.update(image.pixels.data)
    first = seen.hashes.setdefault(digest.hexdigest(), path)
    if first != path:
        seen.add(
            "warning",
            path,
            "duplicate",
            f"{seen.name(path)} has the same pixels as {seen.name(first)}; remove one of them, so that the model is "
            "not measured on an image that it was trained on.",
        )
