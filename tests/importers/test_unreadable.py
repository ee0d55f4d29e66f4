"""Folders and files that may not be read: each is left out with its reason, and the others are imported.

Tests may run as root, who may read everything, so that the error of the operating system is raised by hand.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.importers.layouts import chaos_volume, report, run_import, write_png, write_t2
from tests.importers.test_nuclei_and_brains import write_nuclei, write_patient

Forbid = Callable[[Path], None]


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Forbid:
    """Return what makes a folder or a file unreadable."""
    forbidden: set[str] = set()

    def guarded(real):
        def call(path=".", *arguments, **keywords):
            if not isinstance(path, int) and os.fspath(path) in forbidden:
                raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
            return real(path, *arguments, **keywords)

        return call

    for owner, name in ((os, "scandir"), (os, "listdir"), (io, "open")):
        monkeypatch.setattr(owner, name, guarded(getattr(owner, name)))
    monkeypatch.setattr("builtins.open", io.open)
    return lambda path: forbidden.add(str(path))


def left_out(destination: Path) -> dict[str, str]:
    """Return the reasons by source."""
    return {row["Image"]: row["Note"] for row in report(destination) if row["Result"] == "left out"}


@pytest.mark.parametrize("inner", ["", "/images", "/masks"])
def test_nuclei(tmp_path: Path, forbid: Forbid, inner: str) -> None:
    source, out = tmp_path / "stage1_train", tmp_path / "out"
    for name in ("a", "b"):
        write_nuclei(source, name, 1, nuclei=2)
    forbid(source / f"b{inner}")
    assert run_import("dsb2018", source, out) == 0
    assert list(left_out(out)) == [f"b{inner}"]
    assert "cannot be read (permission denied); allow reading it" in left_out(out)[f"b{inner}"]
    assert (out / "a.tiff").exists()
    assert not (out / "b.tiff").exists()


def test_brains(tmp_path: Path, forbid: Forbid) -> None:
    source, out = tmp_path / "kaggle_3m", tmp_path / "out"
    for patient in ("TCGA_CS_4941_1", "TCGA_CS_4942_2"):
        write_patient(source, patient)
    forbid(source / "TCGA_CS_4942_2")
    assert run_import("lgg", source, out) == 0
    assert list(left_out(out)) == ["TCGA_CS_4942_2"]
    assert len(report(out)) == 3


@pytest.mark.parametrize("inner", ["", "T2SPIR", "T2SPIR/DICOM_anon", "T2SPIR/Ground"])
def test_chaos(tmp_path: Path, forbid: Forbid, inner: str) -> None:
    source, out = tmp_path / "MR", tmp_path / "out"
    for subject in ("1", "2"):
        write_t2(source / subject, *chaos_volume(2))
    forbid(source / "2" / inner)
    assert run_import("chaos", source, out) == 0
    assert "permission denied" in left_out(out)[(Path("2") / inner).as_posix()]
    assert [path.name for path in out.glob("*_stack.tiff")] == ["chaos_01_stack.tiff"]


@pytest.mark.parametrize("extension", [".dcm", ""])
def test_a_slice_of_chaos_leaves_out_its_series(tmp_path: Path, forbid: Forbid, extension: str) -> None:
    source, out = tmp_path / "MR", tmp_path / "out"
    for subject in ("1", "2"):
        write_t2(source / subject, *chaos_volume(2))
    for path in (source / "2" / "T2SPIR" / "DICOM_anon").iterdir():
        path.rename(path.with_suffix(extension))
    forbid(source / "2" / "T2SPIR" / "DICOM_anon" / f"IMG-0002-00001{extension}")
    assert run_import("chaos", source, out) == 0
    assert f"IMG-0002-00001{extension} cannot be read (permission denied)" in left_out(out)["2/T2SPIR/DICOM_anon"]


def test_any_folder(tmp_path: Path, forbid: Forbid) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for place in ("a", "b", "c"):
        write_png(source / place / f"{place}.png", np.zeros((4, 4), np.uint8))
    forbid(source / "b")
    forbid(source / "c" / "c.png")
    assert run_import("folder", source, out) == 0
    assert list(left_out(out)) == ["b", "c/c.png"]
    assert all("permission denied" in reason for reason in left_out(out).values())
    assert (out / "a" / "a.tiff").exists()


@pytest.mark.parametrize("layout", ["dsb2018", "lgg", "chaos", "folder"])
def test_nothing_else_is_there(tmp_path: Path, forbid: Forbid, capsys: pytest.CaptureFixture[str], layout: str) -> None:
    source = tmp_path / "in"
    (source / "inner").mkdir(parents=True)
    forbid(source / "inner")
    assert run_import(layout, source, tmp_path / "out") == 1
    assert "inner cannot be read (permission denied)" in capsys.readouterr().err
    forbid(source)
    assert run_import(layout, source, tmp_path / "out") == 1
    assert "in cannot be read (permission denied)" in capsys.readouterr().err
