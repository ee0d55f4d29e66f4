"""Names that tell images apart in one folder, and say whose they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_attnseg.data.importers.subjects import IMAGES_OF_ONE, names_of
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.split import groups_of
from tests.importers.layouts import report, run_import, write_png, write_volume

VOLUME = np.random.default_rng(2).integers(0, 99, (6, 7, 3)).astype(np.int16)


def grouped(out: Path, told: str) -> list[list[str]]:
    """Return the images by the group pattern that the command printed."""
    pattern = told.split("--group-pattern '")[1].split("'")[0]
    groups = groups_of(find_pairs(out).pairs, pattern)
    return sorted(sorted(pair.name for pair in group) for group in groups.values())


LAYOUTS = {
    "a folder a subject": (
        ("s_1/t1", "s_1/t2", "s_2/t1", "s_2/t2", "s_3/t1"),
        [["s_1__t1", "s_1__t2"], ["s_2__t1", "s_2__t2"], ["s_3__t1"]],
    ),
    "a folder a modality": (
        ("T1/ann", "T1/ben", "T2/ann", "T2/ben"),
        [["ann__T1", "ann__T2"], ["ben__T1", "ben__T2"]],
    ),
    "sessions of a subject": (
        ("sub-1/ses-1/anat/t1", "sub-1/ses-2/anat/t1", "sub-2/ses-1/anat/t1"),
        [["sub-1__ses-1_t1", "sub-1__ses-2_t1"], ["sub-2__ses-1_t1"]],
    ),
    "a subject in the folder and in the name": (
        ("P_1/P_1_t1", "P_1/P_1_flair", "P_2/P_2_t1", "P_2/P_2_flair"),
        [["P_1__flair", "P_1__t1"], ["P_2__flair", "P_2__t1"]],
    ),
    "subjects in parts of the data": (
        ("train/1/t1", "train/2/t1", "test/1/t1"),
        [["test_1__t1"], ["train_1__t1"], ["train_2__t1"]],
    ),
    "the same numbers in parts of the data": (("train/1", "train/2", "test/1"), [["2"], ["test_1"], ["train_1"]]),
    "a file a subject": (("p_1", "p_2"), [["p_1"], ["p_2"]]),
    "names with the separator": (("a__1/t1", "a__1/t2", "a__2/t1"), [["a_1__t1", "a_1__t2"], ["a_2__t1"]]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_slices_are_grouped_by_subject(tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str) -> None:
    files, groups = LAYOUTS[layout]
    source, out = tmp_path / "in", tmp_path / "out"
    for file in files:
        write_volume(source / f"{file}.nii.gz", VOLUME, None)
    assert run_import("folder", source, out, "--as", "slices") == 0
    wanted = [[f"{name}_z{z:02d}" for name in group for z in range(3)] for group in groups]
    assert grouped(out, capsys.readouterr().out) == sorted(wanted)


def test_stacks_of_a_subject_stay_together_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, groups = LAYOUTS["a folder a subject"]
    for file in files:
        write_volume(tmp_path / "in" / f"{file}.nii.gz", VOLUME, None)
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 0
    assert grouped(tmp_path / "out", capsys.readouterr().out) == groups


def test_photographs_of_one_name_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    for day, count in (("monday", 3), ("tuesday", 4)):
        for number in range(count):
            write_png(tmp_path / "in" / day / f"{number}.png", VOLUME[..., 0].astype(np.uint8))
    assert run_import("folder", tmp_path / "in", out) == 0
    names = [pair.name for pair in find_pairs(out).pairs]
    assert sorted(names) == ["3", *(f"{day}_{number}" for day in ("monday", "tuesday") for number in range(3))]
    assert "--group-pattern" not in capsys.readouterr().out, "a day is no subject"


def test_files_of_other_items_are_never_taken_for_ones_own(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_volume(source / "a.nii.gz", VOLUME, None)
    write_png(source / "a_z01.png", VOLUME[..., 0].astype(np.uint8))
    assert run_import("folder", source, out, "--as", "slices") == 0
    left = [row for row in report(out) if row["Result"] == "left out"]
    assert [row["Image"] for row in left] == ["a_z01.png"]
    assert "would both become a_z01.tiff" in left[0]["Note"]


def test_names_that_still_meet_are_left_out(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for file in ("a/b_t", "a/b/t", "c/t", "c/b_t"):
        write_png(source / f"{file}.png", VOLUME[..., 0].astype(np.uint8))
    assert run_import("folder", source, out) == 0
    names = [pair.name for pair in find_pairs(out).pairs]
    assert len(names) == len(set(names))
    assert len(names) + sum(row["Result"] == "left out" for row in report(out)) == 4


def test_a_pattern_finds_the_subject_in_any_name() -> None:
    top = Path("data")
    files = [top / "s1" / "t1.nii", top / "s2" / "t1.nii", top / "s2" / "extra__1.nii", top / "alone.nii"]
    found = names_of(files, top, are_volumes=True)
    assert found.names == ("s1/s1__t1", "s2/s2__t1", "s2/s2__extra_1", "alone")
    assert found.are_of_subjects
    assert IMAGES_OF_ONE.startswith("^"), "a subject is the beginning of a name"
