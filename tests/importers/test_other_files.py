"""Files that an import cannot read, and layouts that another import knows: each is told, and none clutters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.data.importers.others import not_read
from tests.importers.layouts import chaos_volume, report, run_import, write_png, write_slice, write_t2, write_volume
from tests.importers.test_nuclei_and_brains import write_nuclei, write_patient

IMAGE = np.random.default_rng(1).integers(0, 255, (20, 24)).astype(np.uint8)


def write_empty(*paths: Path) -> None:
    """Write files that hold something."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"something")


def left_out(destination: Path) -> dict[str, str]:
    """Return the reasons by source."""
    return {row["Image"]: row["Note"] for row in report(destination) if row["Result"] == "left out"}


def test_each_kind_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_png(source / "a.png", IMAGE)
    write_empty(*(source / "raw" / f"scan{number}.CZI" for number in range(3)))
    write_empty(source / "raw" / "deep" / "one.nrrd", source / "all.tar.gz")
    write_slice(source / "IM000001", IMAGE.astype(np.uint16))
    write_slice(source / "IM000002.17", IMAGE.astype(np.uint16))
    assert run_import("folder", source, out) == 0
    notes = left_out(out)
    assert set(notes) == {"raw/*.CZI", "raw/deep/one.nrrd", "all.tar.gz", "*"}
    assert "3 files .czi cannot be read (scan0.CZI, scan1.CZI, scan2.CZI). Save them as TIFF" in notes["raw/*.CZI"]
    assert "1 file .nrrd cannot be read (one.nrrd). Save it as NIfTI" in notes["raw/deep/one.nrrd"]
    assert "Unpack it first" in notes["all.tar.gz"]
    assert "2 files are DICOM (IM000001, IM000002.17)" in notes["*"]
    assert "napari-attnseg import chaos" in notes["*"]
    assert "Converted 1 image, 0 with a mask; 7 left out." in capsys.readouterr().out


def test_side_files_do_not_clutter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_png(source / "a.png", IMAGE)
    write_empty(*(source / name for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._a.png", ".hidden.czi")))
    write_empty(source / "__MACOSX" / "b.czi")
    (source / "classes.json").write_text('["background", "cell"]')
    assert run_import("folder", source, out) == 0
    assert len(report(out)) == 1
    write_empty(*(source / name for name in ("data.csv", "x.json", "notes.txt", "README", "LICENSE.md")))
    assert run_import("folder", source, tmp_path / "again") == 0
    assert left_out(tmp_path / "again") == {"*": "5 other files are no images and were not used."}
    assert "left out" not in capsys.readouterr().out


def test_a_zarr_is_one_file(tmp_path: Path) -> None:
    chunks = [tmp_path / "scan.ome.zarr" / str(level) / f"0.{chunk}" for level in range(2) for chunk in range(5)]
    rows = not_read([*chunks, tmp_path / "scan.ome.zarr" / "0" / "zarr.json", tmp_path / "b.zarr" / "0" / "c"])
    assert [(row.source.name, row.files) for row in rows if row.files] == [("*.zarr", 2)]


def test_a_folder_of_nothing_else_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_empty(tmp_path / "czi" / "a.czi", tmp_path / "czi" / "b.txt")
    assert run_import("folder", tmp_path / "czi", tmp_path / "out") == 1
    assert "1 file .czi cannot be read (a.czi). Save it as TIFF" in capsys.readouterr().err
    write_slice(tmp_path / "dicom" / "CT" / "5" / "DICOM_anon" / "1.dcm", IMAGE.astype(np.uint16))
    assert run_import("folder", tmp_path / "dicom", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "The folder CT/5 is in the layout of another import, which reads DICOM: napari-attnseg import chaos" in told


# ---- layouts of others, imported as any folder


def test_chaos_says_its_importer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for subject in ("1", "2"):
        write_t2(source / "MR" / subject, *chaos_volume(2))
    assert run_import("folder", source, out) == 1
    told = capsys.readouterr().err
    assert "2 folders, such as MR/1/T2SPIR, are in the layout of another import" in told
    assert "napari-attnseg import chaos" in told
    assert "masks would become images (IMG-0002-00001.png, " in told
    assert not out.exists()
    assert run_import("folder", source, out, "--images", "*.png") == 0, "who says so may"


def test_nuclei_say_their_importer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "stage1_train"
    write_nuclei(source, "00ae65", 1, nuclei=3)
    assert run_import("folder", source, tmp_path / "out") == 1
    assert "napari-attnseg import dsb2018" in capsys.readouterr().err
    for nucleus in (source / "00ae65" / "masks").iterdir():
        nucleus.unlink()
    write_png(source / "00ae65" / "masks" / "00ae65.png", np.zeros((24, 32), np.uint8))
    assert run_import("folder", source, tmp_path / "out") == 0, "a mask of the image's name is no nucleus"
    assert "dsb2018" not in capsys.readouterr().out


def test_brains_say_their_importer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_patient(tmp_path / "kaggle_3m", "TCGA_CS_4941_19960909")
    assert run_import("folder", tmp_path / "kaggle_3m", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "The folder TCGA_CS_4941_19960909 is in the layout of another import" in told
    assert "napari-attnseg import lgg" in told
    assert "2 of 2 images have one" in told


def test_files_named_as_masks_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_png(tmp_path / "in" / "a.png", IMAGE)
    write_png(tmp_path / "in" / "drawn mask of a.png", IMAGE)
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 0
    assert "imported as images: drawn mask of a.png." in capsys.readouterr().out


# ---- the other importers


def test_volumes_of_chaos_beside_other_files(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_volume(source / "image_1.nii.gz", np.ones((4, 3, 2), np.uint8), None)
    write_png(source / "label_1.png", IMAGE)
    write_empty(source / "image_2.nrrd", source / "list.csv")
    assert run_import("chaos", source, out) == 0
    notes = left_out(out)
    assert "1 file .png was not used (label_1.png). The volumes here are NIfTI." in notes["label_1.png"]
    assert "Save it as NIfTI" in notes["image_2.nrrd"]
    assert notes["list.csv"] == "1 other file is no image and was not used."


def test_patients_in_folders_of_other_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "kaggle_3m", tmp_path / "out"
    for patient, name in (("TCGA_CS_4941_19960909", "TCGA_CS_4941"), ("TCGA_DU_5849_19950405", "batch 2/someone")):
        write_patient(source, patient)
        (source / name).parent.mkdir(exist_ok=True)
        (source / patient).rename(source / name)
    write_patient(source, "TCGA_HT_A61A_20000127")
    tifffile.imwrite(source / "batch 2" / "overview.tif", IMAGE)
    write_empty(source / "data.csv", source / "TCGA_CS_4941" / "scan.dcm")
    assert run_import("lgg", source, out) == 0
    results = [row["Result"] for row in report(out)]
    assert results.count("converted") == 6
    notes = left_out(out)
    assert set(notes) == {"batch 2", "TCGA_CS_4941/scan.dcm", "data.csv"}
    assert "1 TIFF file in batch 2 (overview.tif) is not named as slices of a patient" in notes["batch 2"]
    assert "2 left out" in capsys.readouterr().out


def test_nuclei_in_tiff_count_and_what_cannot_be_read_leaves_its_image_out(tmp_path: Path) -> None:
    source, out = tmp_path / "stage1_train", tmp_path / "out"
    _, numbers = write_nuclei(source, "tiff", 1, nuclei=3)
    for name in ("gif", "jpeg", "side"):
        write_nuclei(source, name, 1, nuclei=3)
    for name, suffix in (("tiff", ".tif"), ("gif", ".gif"), ("jpeg", ".jpg")):
        second = source / name / "masks" / "n2.png"
        write_png(second.with_suffix(suffix), np.where(numbers == 2, 255, 0).astype(np.uint8))
        second.unlink()
    write_empty(source / "side" / "masks" / "counts.csv", source / "side" / "masks" / ".n4.gif")
    write_empty(source / "elsewhere" / "a.txt")
    for masks in ("binary", "instances"):
        out = tmp_path / masks
        assert run_import("dsb2018", source, out, "--masks", masks) == 0
        mask = tifffile.imread(out / "tiff_MASK.tiff")
        assert np.array_equal(mask, numbers if masks == "instances" else np.where(numbers, 255, 0))
        assert sorted(path.name for path in out.glob("*_MASK.tiff")) == ["side_MASK.tiff", "tiff_MASK.tiff"]
        notes = left_out(out)
        assert (
            "1 file in masks/ that cannot be read, n2.gif, so that its mask would lack" in notes["gif/images/gif.png"]
        )
        assert "n2.jpg is a JPEG" in notes["jpeg/images/jpeg.png"]
        assert "no folder images/" in notes["elsewhere"]
        assert "1 other file is no image" in notes["side/masks/counts.csv"]


def test_images_in_tiff_have_nuclei_too(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    _, numbers = write_nuclei(source, "a", 1, nuclei=3)
    channels = np.random.default_rng(1).integers(0, 255, (2, 24, 32)).astype(np.uint8)
    tifffile.imwrite(source / "a" / "images" / "a.tif", channels, metadata={"axes": "CYX"})
    (source / "a" / "images" / "a.png").unlink()
    assert run_import("dsb2018", source, out) == 0
    assert np.array_equal(tifffile.imread(out / "a_MASK.tiff"), np.where(numbers, 255, 0))
