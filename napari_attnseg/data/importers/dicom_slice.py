"""One file of DICOM: its pixels, and where they lie in the body."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.decode import reason_of
from napari_attnseg.data.importers.listing import unreadable_text
from napari_attnseg.data.importers.packages import require_pydicom
from napari_attnseg.data.spacing import positive
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Slice:
    """A slice as its file describes it."""

    path: Path
    stored: Array
    """(y, x); not rescaled."""
    slope: float
    intercept: float
    was_inverted: bool
    """Whether the file has bright as dark (MONOCHROME1), which `stored` has not any more."""
    series: str
    """SeriesInstanceUID; '' if the file has none."""
    orientation: tuple[float, ...] | None
    """ImageOrientationPatient: the directions of rows and of columns."""
    position: float | None
    """Along the normal of the slices, in mm."""
    number: int | None
    """InstanceNumber."""
    pixel_size: tuple[float, float] | None
    thickness: float | None


def read_slice(path: Path) -> Slice:
    """Read a slice.

    MONOCHROME1 is turned over where the values have no physical unit, so that bright is what a viewer shows bright.

    Raises
    ------
    DataError
        pydicom is not installed, or the file is damaged, coloured, compressed in a way that cannot be decoded, holds
        several frames, or may not be read.
    """
    pydicom = require_pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # anonymised headers seldom follow the standard to the letter
            header = pydicom.dcmread(path)
            _refuse_what_is_no_slice(path, header)
            return _slice(path, header)
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(unreadable_text(path, error)) from error
    except MemoryError as error:
        raise DataError(f"{path.name} does not fit into memory; close other programs.") from error
    except Exception as error:  # pydicom and its decoders raise whatever a damaged file provokes
        raise DataError(
            f"{path.name} cannot be read; it is damaged, cut short, no DICOM file or compressed in an unusual way "
            f"({reason_of(error)}). Copy or export it again, uncompressed ({path})."
        ) from error


def _slice(path: Path, header: Any) -> Slice:
    stored = np.asarray(header.pixel_array)
    slope, intercept = float(header.get("RescaleSlope") or 1.0), float(header.get("RescaleIntercept") or 0.0)
    kind = str(header.get("PhotometricInterpretation") or "")
    inverted = kind.strip().upper() == "MONOCHROME1" and (slope, intercept) == (1.0, 0.0)
    orientation = _orientation(header)
    return Slice(
        path,
        _turned_over(stored, header) if inverted else stored,
        slope,
        intercept,
        inverted,
        str(header.get("SeriesInstanceUID") or ""),
        orientation,
        _position(header, orientation),
        _whole(header.get("InstanceNumber")),
        _pixel_size(header),
        positive(header.get("SpacingBetweenSlices")) or positive(header.get("SliceThickness")),
    )


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


def _turned_over(stored: Array, header: Any) -> Array:
    """Exchange bright and dark within the bits that are used."""
    bits = int(header.get("BitsStored") or 8 * stored.dtype.itemsize)
    if stored.dtype.kind == "i":
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    else:
        low, high = 0, 2**bits - 1
    return np.asarray(low + high - np.clip(stored, low, high).astype(np.int64)).astype(stored.dtype)


def _orientation(header: Any) -> tuple[float, ...] | None:
    found = header.get("ImageOrientationPatient")
    return tuple(float(value) for value in found) if found and len(found) == 6 else None


def _position(header: Any, orientation: tuple[float, ...] | None) -> float | None:
    place = header.get("ImagePositionPatient")
    if not place or len(place) != 3:
        return None
    rows, columns = (orientation[:3], orientation[3:]) if orientation else ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    return float(np.dot(np.cross(rows, columns), [float(value) for value in place]))


def _pixel_size(header: Any) -> tuple[float, float] | None:
    found = header.get("PixelSpacing")
    if not found or len(found) != 2:
        return None
    height, width = (positive(value) for value in found)
    return (height, width) if height and width else None


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
