"""The Kaggle layouts of the Data Science Bowl and of LGG: what went in comes out, and what is wrong is reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.cli import main
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.split import groups_of
from tests.importers.layouts import imported, report, run_import, stored, write_png


def write_nuclei(root: Path, name: str, seed: int, nuclei: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Write an image folder as in stage1_train; return RGB and numbers of nuclei, in the order of their files."""
    rng = np.random.default_rng(seed)
    rgba = rng.integers(0, 255, (24, 32, 4)).astype(np.uint8)
    write_png(root / name / "images" / f"{name}.png", rgba)
    numbers = np.zeros((24, 32), np.uint16)
    for number in range(1, nuclei + 1):
        y, x = divmod(number - 1, 10)
        numbers[4 * y : 4 * y + 3, 3 * x : 3 * x + 2] = number
        write_png(root / name / "masks" / f"n{number}.png", np.where(numbers == number, 255, 0).astype(np.uint8))
    return rgba[..., :3], numbers


# ---- Data Science Bowl


def test_nuclei_become_one_binary_mask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "stage1_train", tmp_path / "out"
    wanted = {name: write_nuclei(source, name, seed) for seed, name in enumerate(("00ae65", "0a7d30"))}
    assert run_import("dsb2018", source, out) == 0
    for name, (rgb, numbers) in wanted.items():
        assert np.array_equal(stored(out / f"{name}.tiff"), rgb), "alpha is dropped, colours stay"
        assert np.array_equal(stored(out / f"{name}_MASK.tiff"), np.where(numbers, 255, 0))
        assert np.array_equal(imported(out)[name][1], (numbers > 0)[None])
    assert {row["Result"] for row in report(out)} == {"converted"}
    assert "2 images, 2 with a mask" in capsys.readouterr().out
    assert main(["check", str(out)]) == 0


def test_nuclei_keep_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "stage1_train", tmp_path / "out"
    _, numbers = write_nuclei(source, "00ae65", 1)
    assert run_import("dsb2018", source, out, "--masks", "instances") == 0
    mask = stored(out / "00ae65_MASK.tiff")
    assert mask.dtype == np.uint16
    assert np.array_equal(mask, numbers), "n2.png comes before n10.png"
    assert "--mask-values instances" in capsys.readouterr().out
    assert np.array_equal(imported(out)["00ae65"][1], (numbers > 0)[None])


def test_one_bad_nucleus_leaves_out_its_image_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "stage1_train", tmp_path / "out"
    for name in ("good", "truncated", "resized", "no image"):
        write_nuclei(source, name, 1, nuclei=2)
    write_png(source / "test" / "images" / "test.png", np.full((9, 9), 7, np.uint8))
    cut = source / "truncated" / "images" / "truncated.png"
    cut.write_bytes(cut.read_bytes()[:900])
    write_png(source / "resized" / "masks" / "n2.png", np.zeros((12, 32), np.uint8))
    (source / "no image" / "images" / "no image.png").unlink()
    assert run_import("dsb2018", source, out) == 0
    notes = {row["Image"].split("/")[0]: (row["Result"], row["Note"]) for row in report(out)}
    assert notes["good"] == ("converted", "")
    assert notes["test"][0] == "not annotated"
    assert notes["truncated"][0] == "left out"
    assert "truncated.png cannot be read" in notes["truncated"][1]
    assert "n2.png is 12 x 32 (y, x) but its image resized.png is 24 x 32" in notes["resized"][1]
    assert "2 masks but no image" in notes["no image"][1]
    assert sorted(pair.name for pair in find_pairs(out).pairs) == ["good", "test"]
    assert "3 left out" in capsys.readouterr().out


# ---- LGG


def write_patient(root: Path, patient: str, slices: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Write a patient's folder as in kaggle_3m."""
    written = []
    (root / patient).mkdir(parents=True)
    for number in range(1, slices + 1):
        rng = np.random.default_rng(len(patient) + number)
        image = rng.integers(0, 255, (16, 20, 3)).astype(np.uint8)
        mask = np.where(rng.random((16, 20)) > 0.7, 255, 0).astype(np.uint8)
        tifffile.imwrite(root / patient / f"{patient}_{number}.tif", image)
        tifffile.imwrite(root / patient / f"{patient}_{number}_mask.tif", mask)
        written.append((image, mask))
    return written


@pytest.mark.parametrize("above", ["", "kaggle_3m", "lgg-mri-segmentation/kaggle_3m"])
def test_patients_go_into_one_folder_and_stay_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], above: str
) -> None:
    source, out = tmp_path / "archive", tmp_path / "out"
    patients = ("TCGA_CS_4941_19960909", "TCGA_HT_A61A_20000127")
    written = {patient: write_patient(source / above, patient) for patient in patients}
    (source / above / "data.csv").write_text("Patient,RNASeqCluster\n")
    (source / above / "README.md").write_text("text\n")
    assert run_import("lgg", source, out) == 0
    for patient, slices in written.items():
        for number, (image, mask) in enumerate(slices, 1):
            assert np.array_equal(stored(out / f"{patient}_{number}.tif"), image)
            assert np.array_equal(stored(out / f"{patient}_{number}_MASK.tif"), mask)
    pattern = capsys.readouterr().out.split("--group-pattern '")[1].split("'")[0]
    groups = groups_of(find_pairs(out).pairs, pattern)
    assert sorted(len(group) for group in groups.values()) == [2, 2]
    assert main(["check", str(out), "--group-pattern", pattern]) == 0


def test_masks_and_slices_without_each_other_are_reported(tmp_path: Path) -> None:
    source, out = tmp_path / "kaggle_3m", tmp_path / "out"
    write_patient(source, "TCGA_CS_4941_19960909", 3)
    patient = source / "TCGA_CS_4941_19960909"
    (patient / "TCGA_CS_4941_19960909_1.tif").unlink()
    (patient / "TCGA_CS_4941_19960909_2_mask.tif").unlink()
    assert run_import("lgg", source, out) == 0
    results = {row["Image"].rpartition("/")[2]: row["Result"] for row in report(out)}
    assert results == {
        "TCGA_CS_4941_19960909_1_mask.tif": "left out",
        "TCGA_CS_4941_19960909_2.tif": "not annotated",
        "TCGA_CS_4941_19960909_3.tif": "converted",
    }


@pytest.mark.parametrize(
    ("layout", "wanted"),
    [("dsb2018", "images/<id>.png"), ("lgg", "<patient>_<n>.tif"), ("chaos", "T2SPIR/DICOM_anon")],
)
def test_a_wrong_folder_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str, wanted: str
) -> None:
    write_png(tmp_path / "holiday" / "beach.png", np.zeros((4, 4), np.uint8))
    assert run_import(layout, tmp_path / "holiday", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert wanted in told
    assert "it holds 1 file (beach.png)" in told
    (tmp_path / "empty").mkdir()
    assert run_import(layout, tmp_path / "empty", tmp_path / "out") == 1
    assert "is empty" in capsys.readouterr().err
    assert run_import(layout, tmp_path / "gone", tmp_path / "out") == 1
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists(), "nothing is written for it"
