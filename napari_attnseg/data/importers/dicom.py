"""A series of DICOM slices to a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.importers.dicom_slice import Slice, read_slice
from napari_attnseg.data.importers.item import Picture
from napari_attnseg.data.importers.listing import files as files_of
from napari_attnseg.data.spacing import Spacing
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]

DICOMS = (".dcm", ".dicom", ".ima")
_PARALLEL = 0.01  # by which directions may differ that are the same but for rounding
_UNEVEN = 0.01  # share of the usual distance by which slices may be apart before it is said


@dataclass(frozen=True)
class Series:
    """Slices in the order in which they lie in the body."""

    picture: Picture
    """ZYX; rows and columns as stored."""
    files: tuple[Path, ...]
    """The file of each slice."""
    notices: tuple[str, ...] = ()


def dicom_files(folder: Path) -> list[Path]:
    """Return the DICOM files of a folder, by extension, else by content, in natural order of names.

    A file that may not be read is taken for one, so that its series is left out with this reason, not cut short.

    Raises
    ------
    DataError
        The folder may not be read.
    """
    files = files_of(folder)
    named = [path for path in files if path.suffix.lower() in DICOMS]
    return named or [path for path in files if _may_be_dicom(path)]


def has_dicom_mark(path: Path) -> bool:
    """Whether a file begins as DICOM does.

    Raises
    ------
    OSError
        It may not be read.
    """
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_series(files: list[Path]) -> Series:
    """Read slices as one volume.

    They are ordered by ImagePositionPatient along the normal of the image plane (rows x columns, so that axial slices
    go from inferior to superior), else by InstanceNumber, else by name. Rescale slope and intercept are applied; values
    keep their type where these change nothing, become int16 (int32 if that is too small) where they are whole numbers,
    else float32. MONOCHROME1 without a rescale is inverted. The pixel size is PixelSpacing, the distance of slices that
    of their positions, else SpacingBetweenSlices or SliceThickness.

    Raises
    ------
    DataError
        pydicom is not installed, a file is damaged, coloured, compressed in a way that cannot be decoded or holds
        several frames, or sizes, series or directions differ.
    """
    slices = [read_slice(path) for path in files]
    _require_one_series(slices)
    slices, ordered_by = _in_order(slices)
    notices = [] if ordered_by == "position" else [f"The slices say no position; they are ordered by {ordered_by}."]
    if any(item.was_inverted for item in slices):
        notices.append(
            "The slices are stored with bright as dark (MONOCHROME1) and were inverted, as viewers show them."
        )
    distance, problem = _distance(slices)
    if problem:
        notices.append(problem)
    size = slices[0].pixel_size
    if any(item.pixel_size != size for item in slices):
        size = None
        notices.append("The slices differ in their pixel size, which is not noted therefore.")
    known = size is not None
    spacing = Spacing(pixel_size=size, z_spacing=distance, unit="mm" if known or distance else "")
    return Series(Picture(_values(slices), "ZYX", spacing), tuple(item.path for item in slices), tuple(notices))


def _may_be_dicom(path: Path) -> bool:
    try:
        return has_dicom_mark(path)
    except OSError:
        return True


def _require_one_series(slices: list[Slice]) -> None:
    """Refuse slices that are no one volume: of several sizes, series or directions."""
    _require_same(slices, "size", lambda item: _size(item.stored.shape), lambda a, b: a.stored.shape == b.stored.shape)
    # a UID of its own for every file was made up by a program that removes names, and tells nothing
    if len(slices) < 3 or len({item.series for item in slices}) < len(slices):
        _require_same(
            slices,
            "series (SeriesInstanceUID)",
            lambda item: item.series or "no series",
            lambda a, b: a.series == b.series,
        )
    _require_same(slices, "direction (ImageOrientationPatient)", _direction, _are_parallel)


def _require_same(
    slices: list[Slice], what: str, named: Callable[[Slice], str], are_same: Callable[[Slice, Slice], bool]
) -> None:
    groups: list[list[Slice]] = []
    for item in slices:
        group = next((found for found in groups if are_same(found[0], item)), None)
        if group is None:
            groups.append([item])
        else:
            group.append(item)
    if len(groups) > 1:
        usual, *others = sorted(groups, key=lambda group: -len(group))
        found = "; ".join(f"{len(group)} of {named(group[0])} ({group[0].path.name})" for group in others)
        raise DataError(
            f"The slices in {slices[0].path.parent} differ in {what}: {len(usual)} of {named(usual[0])}, {found}. "
            "A folder holds one series; move the others into a folder of their own."
        )


def _are_parallel(first: Slice, second: Slice) -> bool:
    if first.orientation is None or second.orientation is None:
        return first.orientation is second.orientation
    return bool(np.allclose(first.orientation, second.orientation, rtol=0, atol=_PARALLEL))


def _direction(item: Slice) -> str:
    return "no direction" if item.orientation is None else " ".join(f"{value:.3g}" for value in item.orientation)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)


def _in_order(slices: list[Slice]) -> tuple[list[Slice], str]:
    if all(item.position is not None for item in slices):
        return sorted(slices, key=lambda item: (item.position, item.number or 0)), "position"
    if all(item.number is not None for item in slices):
        return sorted(slices, key=lambda item: item.number or 0), "their numbers (InstanceNumber)"
    return slices, "name"


def _distance(slices: list[Slice]) -> tuple[float | None, str]:
    """Return the distance of slices in mm, and a sentence if it is not the same everywhere."""
    positions = [item.position for item in slices if item.position is not None]
    if len(positions) < len(slices) or len(slices) < 2:
        return slices[0].thickness, ""
    steps = np.diff(positions)
    usual = float(np.median(steps))
    if usual <= 0:
        return slices[0].thickness, "Several slices have the same position; their order may be wrong."
    if np.abs(steps - usual).max() > _UNEVEN * usual:
        found = f"{steps.min():.4g} to {steps.max():.4g} mm"
        return usual, f"The slices are {found} apart; slices may be missing, and {usual:.4g} mm is noted."
    return round(usual, 6), ""


def _values(slices: list[Slice]) -> Array:
    """Return the measured values (z, y, x)."""
    stored = np.stack([item.stored for item in slices])
    factors = {(item.slope, item.intercept) for item in slices}
    if factors == {(1.0, 0.0)}:
        return stored
    slope, intercept = (
        np.array([getattr(item, name) for item in slices])[:, None, None] for name in ("slope", "intercept")
    )
    values: Array = stored * slope + intercept
    if not all(value.is_integer() for pair in factors for value in pair):
        return values.astype(np.float32)
    for kind in (np.int16, np.int32):
        if np.iinfo(kind).min <= values.min() and values.max() <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.float32)
