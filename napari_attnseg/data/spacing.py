"""How large a pixel is: read from OME-XML, ImageJ's metadata or the resolution tags, and carried to what we write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import tifffile

MICROMETRE = "µm"
MILLIMETRES = {
    "pm": 1e-9, "Å": 1e-7, "nm": 1e-6, MICROMETRE: 1e-3, "mm": 1.0, "cm": 10.0, "inch": 25.4, "in": 25.4, "m": 1e3
}  # fmt: skip
"""How long a unit is in millimetres."""
_SECONDS = {
    "ns": 1e-9,
    "µs": 1e-6,
    "μs": 1e-6,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_MICROMETRE_NAMES = {"micron", "microns", "um", "µm", "μm", "micrometer", "micrometre", "\\u00b5m"}
_RESOLUTION_UNITS = {2: "inch", 3: "cm"}
_PRINT_RESOLUTIONS = {72, 96, 100, 150, 200, 300, 600}
Rational = tuple[int, int]


@dataclass(frozen=True)
class Spacing:
    """Physical size of a pixel and the tags it came from."""

    pixel_size: tuple[float, float] | None = None
    """Height and width of a pixel in `unit`; None if the file does not say."""
    z_spacing: float | None = None
    """Distance of two planes of a stack in `unit`."""
    unit: str = ""
    """'µm', 'nm', 'mm', 'cm', 'inch' or what the file says; '' if unknown."""
    frame_interval: float | None = None
    """Time between two frames in seconds."""
    resolution: tuple[Rational, Rational] | None = None
    """XResolution and YResolution as stored, pixels a unit; None if not stored."""
    resolution_unit: int = 1
    """ResolutionUnit as stored: 1 none, 2 inch, 3 cm."""


def read_spacing(tif: tifffile.TiffFile, page: tifffile.TiffPage, ome: ElementTree.Element | None) -> Spacing:
    """Read the spacing of a series whose first page is `page`; `ome` is the Pixels element of its OME-XML."""
    resolution, resolution_unit = _tags(page)
    raw: dict[str, Any] = {"resolution": resolution, "resolution_unit": resolution_unit}
    if ome is not None:
        return Spacing(**_from_ome(ome), **raw)
    if tif.is_imagej and tif.imagej_metadata:
        return Spacing(**(raw | _from_imagej(tif.imagej_metadata, resolution)))
    noted = (tif.shaped_metadata or ({},))[0]
    if any(key.startswith("PhysicalSize") for key in noted):
        return Spacing(**_from_ome(noted), **raw)
    unit = _RESOLUTION_UNITS.get(resolution_unit, "")
    if resolution and unit and not _is_print_resolution(resolution, unit):
        return Spacing(pixel_size=_pixel_size(resolution), unit=unit, **raw)
    return Spacing(**raw)


def imagej_metadata(spacing: Spacing) -> dict[str, Any]:
    """Return what ImageJ's description says about spacing; its unit must be ASCII."""
    values: dict[str, Any] = {}
    if spacing.unit:
        unit = "micron" if spacing.unit == MICROMETRE else spacing.unit
        if unit.isascii():
            values["unit"] = unit
    if spacing.z_spacing is not None:
        values["spacing"] = spacing.z_spacing
    if spacing.frame_interval is not None:
        values["finterval"] = spacing.frame_interval
    return values


def ome_metadata(spacing: Spacing) -> dict[str, Any]:
    """Return OME attributes of the spacing, in tifffile's names."""
    values: dict[str, Any] = {}
    unit = spacing.unit or "pixel"
    if spacing.pixel_size is not None:
        height, width = spacing.pixel_size
        values.update(PhysicalSizeY=height, PhysicalSizeX=width, PhysicalSizeYUnit=unit, PhysicalSizeXUnit=unit)
    if spacing.z_spacing is not None:
        values.update(PhysicalSizeZ=spacing.z_spacing, PhysicalSizeZUnit=unit)
    if spacing.frame_interval is not None:
        values.update(TimeIncrement=spacing.frame_interval, TimeIncrementUnit="s")
    return values


def resolution_tags(spacing: Spacing) -> dict[str, Any]:
    """Return resolution arguments of `tifffile.imwrite`: the stored ones, else 1 / pixel size."""
    if spacing.resolution is not None:
        return {"resolution": spacing.resolution, "resolutionunit": spacing.resolution_unit}
    if spacing.pixel_size is not None and min(spacing.pixel_size) > 0:
        height, width = spacing.pixel_size
        unit = {"inch": 2, "cm": 3}.get(spacing.unit, 1)
        return {"resolution": (1 / width, 1 / height), "resolutionunit": unit}
    return {}


def _tags(page: tifffile.TiffPage) -> tuple[tuple[Rational, Rational] | None, int]:
    x, y = page.tags.get("XResolution"), page.tags.get("YResolution")
    unit = page.tags.get("ResolutionUnit")
    unit_value = int(unit.value) if unit is not None and str(unit.value).isdigit() else 2
    try:
        resolution = (_rational(x.value), _rational(y.value)) if x is not None and y is not None else None
    except (TypeError, ValueError):
        resolution = None
    return resolution, unit_value if unit_value in (1, 2, 3) else 1


def _rational(value: Any) -> Rational:
    numerator, denominator = value
    return int(numerator), int(denominator)


def _pixel_size(resolution: tuple[Rational, Rational] | None) -> tuple[float, float] | None:
    if resolution is None:
        return None
    (x, x_unit), (y, y_unit) = resolution
    if min(x, y, x_unit, y_unit) <= 0:
        return None
    return y_unit / y, x_unit / x


def _is_print_resolution(resolution: tuple[Rational, Rational], unit: str) -> bool:
    """Whether the tags hold a printer's or screen's dots per inch, which say nothing about the specimen."""
    size = _pixel_size(resolution)
    if size is None:
        return True
    per_inch = [(1 / length) * (2.54 if unit == "cm" else 1) for length in size]
    return per_inch[0] == per_inch[1] and any(abs(per_inch[0] - usual) < 0.5 for usual in _PRINT_RESOLUTIONS)


def _from_imagej(metadata: dict[str, Any], resolution: tuple[Rational, Rational] | None) -> dict[str, Any]:
    unit = normal_unit(str(metadata.get("unit", "")))
    y_unit, z_unit = (normal_unit(str(metadata.get(name, unit))) for name in ("yunit", "zunit"))
    size = _pixel_size(resolution)
    found: dict[str, Any] = {}
    if size is not None and y_unit != unit:
        height = _converted(size[0], y_unit, unit)
        size = None if height is None else (height, size[1])
        found["resolution"] = None  # the tags are of two units, which only ImageJ's description tells apart
    z = _converted(positive(metadata.get("spacing")), z_unit, unit)
    if unit in ("", "pixel", "pixels"):
        unit = ""
        size = None if size == (1.0, 1.0) else size
    frames = positive(metadata.get("finterval"))
    return found | {"pixel_size": size, "z_spacing": z, "unit": unit, "frame_interval": frames}


def _from_ome(pixels: ElementTree.Element | dict[str, Any]) -> dict[str, Any]:
    y, x, z = (positive(pixels.get(f"PhysicalSize{axis}")) for axis in "YXZ")
    units = {axis: normal_unit(str(pixels.get(f"PhysicalSize{axis}Unit", MICROMETRE))) for axis in "YXZ"}
    y = _converted(y, units["Y"], units["X"])
    frames, second = positive(pixels.get("TimeIncrement")), _SECONDS.get(str(pixels.get("TimeIncrementUnit", "s")))
    known = y is not None and x is not None
    if known:
        z = _converted(z, units["Z"], units["X"])
    unit = units["X"] if known else units["Z"] if z is not None else ""
    return {
        "pixel_size": (y, x) if known else None,
        "z_spacing": z,
        "unit": "" if unit == "pixel" else unit,
        "frame_interval": None if frames is None or second is None else frames * second,
    }


def _converted(length: float | None, unit: str, wanted: str) -> float | None:
    """Return a length in another unit; None if it is not known in that one."""
    if length is None or unit == wanted:
        return length
    if unit not in MILLIMETRES or wanted not in MILLIMETRES:
        return None
    return length * MILLIMETRES[unit] / MILLIMETRES[wanted]


def normal_unit(unit: str) -> str:
    """Write the micrometre in one way; leave other units as they are."""
    return MICROMETRE if unit.strip().lower() in _MICROMETRE_NAMES else unit.strip()


def positive(value: Any) -> float | None:
    """Return a finite number above 0; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < float("inf") else None
