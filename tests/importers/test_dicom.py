"""Slices of DICOM that are no one series, and slices that are stored inverted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.importers.layouts import chaos_volume, imported, report, run_import, stored, write_slice

SAGITTAL = (0, 1, 0, 0, 0, -1)


def write_series(root: Path, subject: str = "1", planes: int = 4, **header) -> np.ndarray:
    """Write slices of a subject, and return them (z, y, x)."""
    image, _ = chaos_volume(planes)
    for z in range(planes):
        path = root / subject / "T2SPIR" / "DICOM_anon" / f"IMG-{z:05d}.dcm"
        write_slice(path, image[z], number=z, position=(0, 0, 5.0 * z), **header)
    return image


def extra(root: Path) -> Path:
    """Return where a file is that does not belong to the others."""
    return root / "1" / "T2SPIR" / "DICOM_anon" / "localizer.dcm"


@pytest.mark.parametrize("other", ["1.2.826.9", None])
def test_a_second_series_is_not_mixed_in(tmp_path: Path, other: str | None) -> None:
    image = write_series(tmp_path / "MR", series="1.2.826.4")
    write_series(tmp_path / "MR", "2", series="1.2.826.5")
    write_slice(extra(tmp_path / "MR"), image[0], position=(0, 0, 2), series=other)
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out") == 0
    first, second = sorted(report(tmp_path / "out"), key=lambda row: row["Image"])
    assert (first["Result"], second["Result"]) == ("left out", "not annotated")
    named = other or "no series"
    assert (
        f"differ in series (SeriesInstanceUID): 4 of 1.2.826.4, 1 of {named} (localizer.dcm). A folder holds one "
        "series; move the others" in first["Note"]
    )


def test_slices_in_another_direction_are_not_mixed_in(tmp_path: Path) -> None:
    image = write_series(tmp_path / "MR")
    write_slice(extra(tmp_path / "MR"), image[0], position=(0, 0, 2), orientation=SAGITTAL)
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out") == 1
    note = report(tmp_path / "out")[0]["Note"]
    assert "differ in direction (ImageOrientationPatient): 4 of 1 0 0 0 1 0, 1 of 0 1 0 0 0 -1 (localizer.dcm)" in note


def test_rounding_and_made_up_series_are_no_difference(tmp_path: Path) -> None:
    image, _ = chaos_volume()
    for z in range(4):
        path = tmp_path / "MR" / "1" / "T2SPIR" / "DICOM_anon" / f"{z}.dcm"
        directions = (1, 0, 1e-4 * z, 0, 1, 0)
        write_slice(path, image[z], position=(0, 0, 5.0 * z), orientation=directions, series=f"1.2.{z}")
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out") == 0
    assert np.array_equal(stored(tmp_path / "out" / "chaos_01_stack.tiff"), image)


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_monochrome1_is_seen_as_viewers_show_it(tmp_path: Path, kind: type) -> None:
    image, _ = chaos_volume()
    signed = (image - 600 * (kind is np.int16)).astype(kind)
    for z in range(4):
        path = tmp_path / "MR" / "1" / "T2SPIR" / "DICOM_anon" / f"{z}.dcm"
        write_slice(path, signed[z], position=(0, 0, 5.0 * z), photometric="MONOCHROME1", bits=12)
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out") == 0
    found = stored(tmp_path / "out" / "chaos_01_stack.tiff")
    assert found.dtype == kind
    assert np.array_equal(found, (-1 if kind is np.int16 else 4095) - signed.astype(int))
    assert "MONOCHROME1" in report(tmp_path / "out")[0]["Note"]


def test_physical_units_are_never_inverted(tmp_path: Path) -> None:
    image = write_series(tmp_path / "MR", photometric="MONOCHROME1", rescale=(1, -1024))
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out") == 0
    assert np.array_equal(imported(tmp_path / "out")["chaos_01_stack"][0][:, 0], image.astype(int) - 1024)
    assert report(tmp_path / "out")[0]["Note"] == ""
