"""A series of DICOM slices to a picture."""

from __future__ import annotations

import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.decode import reason_of
from napari_attnseg.data.importers.item import Picture
from napari_attnseg.data.importers.listing import natural, visible
from napari_attnseg.data.importers.packages import require_pydicom
from napari_attnseg.data.spacing import Spacing
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]

_EXTENSIONS = (".dcm", ".dicom", ".ima")
_UNEVEN = 0.01  # share of the usual distance by which slices may be apart before it is said


@dataclass(frozen=True)
class Series:
    """Slices in the order in which they lie in the body."""

    picture: Picture
    """ZYX; rows and columns as stored."""
    files: tuple[Path, ...]
    """The file of each slice."""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Slice:
    path: Path
    stored: Array
    slope: float
    intercept: float
    position: float | None
    """Along the normal of the slices, in mm."""
    number: int | None
    """InstanceNumber."""
    pixel_size: tuple[float, float] | None
    thickness: float | None


def dicom_files(folder: Path) -> list[Path]:
    """Return the DICOM files of a folder, by extension, else by content, in natural order of names."""
    files = sorted((path for path in visible(folder) if path.is_file()), key=natural)
    named = [path for path in files if path.suffix.lower() in _EXTENSIONS]
    return named or [path for path in files if _has_dicom_mark(path)]


def read_series(files: list[Path]) -> Series:
    """Read slices as one volume.

    They are ordered by ImagePositionPatient along the normal of the image plane (rows x columns, so that axial slices
    go from inferior to superior), else by InstanceNumber, else by name. Rescale slope and intercept are applied; values
    keep their type where these change nothing, become int16 (int32 if that is too small) where they are whole numbers,
    else float32. The pixel size is PixelSpacing, the distance of slices that of their positions, else
    SpacingBetweenSlices or SliceThickness.

    Raises
    ------
    DataError
        pydicom is not installed, a file is damaged, coloured, compressed in a way that cannot be decoded or holds
        several frames, or sizes differ.
    """
    slices = [_read(path) for path in files]
    _require_one_size(slices)
    slices, ordered_by = _in_order(slices)
    notices = [] if ordered_by == "position" else [f"The slices say no position; they are ordered by {ordered_by}."]
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


def _has_dicom_mark(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _read(path: Path) -> _Slice:
    pydicom = require_pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # anonymised headers seldom follow the standard to the letter
            header = pydicom.dcmread(path)
            _refuse_what_is_no_slice(path, header)
            stored = np.asarray(header.pixel_array)
            return _Slice(
                path,
                stored,
                float(header.get("RescaleSlope") or 1.0),
                float(header.get("RescaleIntercept") or 0.0),
                _position(header),
                _whole(header.get("InstanceNumber")),
                _pixel_size(header),
                _positive(header.get("SpacingBetweenSlices")) or _positive(header.get("SliceThickness")),
            )
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path.name} does not fit into memory; close other programs.") from error
    except Exception as error:  # pydicom and its decoders raise whatever a damaged file provokes
        raise DataError(
            f"{path.name} cannot be read; it is damaged, cut short, no DICOM file or compressed in an unusual way "
            f"({reason_of(error)}). Copy or export it again, uncompressed ({path})."
        ) from error


def _refuse_what_is_no_slice(path: Path, header: Any) -> None:
    if "PixelData" not in header:
        raise DataError(
            f"{path.name} has no pixels; it is cut short, or no image. Copy it again or remove it ({path})."
        )
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise DataError(f"{path.name} is a colour image; grey slices were expected ({path}).")
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise DataError(
            f"{path.name} holds {int(header.NumberOfFrames)} frames in one file; one slice a file was expected. "
            f"Convert it to NIfTI and use the layout 'folder' ({path})."
        )


def _position(header: Any) -> float | None:
    place, directions = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    if not place or len(place) != 3:
        return None
    rows, columns = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    if directions and len(directions) == 6:
        values = [float(value) for value in directions]
        rows, columns = (values[0], values[1], values[2]), (values[3], values[4], values[5])
    return float(np.dot(np.cross(rows, columns), [float(value) for value in place]))


def _pixel_size(header: Any) -> tuple[float, float] | None:
    found = header.get("PixelSpacing")
    if not found or len(found) != 2:
        return None
    height, width = (_positive(value) for value in found)
    return (height, width) if height and width else None


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < float("inf") else None


def _require_one_size(slices: list[_Slice]) -> None:
    by_size: dict[tuple[int, ...], list[Path]] = defaultdict(list)
    for item in slices:
        by_size[item.stored.shape].append(item.path)
    if len(by_size) > 1:
        usual, *others = sorted(by_size.items(), key=lambda entry: -len(entry[1]))
        found = "; ".join(f"{len(paths)} of {_size(size)} ({paths[0].name})" for size, paths in others)
        raise DataError(
            f"The slices in {slices[0].path.parent} differ in size: {len(usual[1])} of {_size(usual[0])}, {found}. "
            "A folder holds one series; move the others into a folder of their own."
        )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)


def _in_order(slices: list[_Slice]) -> tuple[list[_Slice], str]:
    if all(item.position is not None for item in slices):
        return sorted(slices, key=lambda item: (item.position, item.number or 0)), "position"
    if all(item.number is not None for item in slices):
        return sorted(slices, key=lambda item: item.number or 0), "their numbers (InstanceNumber)"
    return slices, "name"


def _distance(slices: list[_Slice]) -> tuple[float | None, str]:
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


def _values(slices: list[_Slice]) -> Array:
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
