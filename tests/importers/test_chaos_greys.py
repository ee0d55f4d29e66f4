"""CHAOS as others pass it on: volumes named src and mask, and masks of a second coding, 80, 160, 240 and 255."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_attnseg.data.classes import read_classes
from napari_attnseg.data.importers.chaos_greys import CHALLENGE, EIGHTIES, decide_greys, refusal
from napari_attnseg.data.importers.meaning import Before
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.split import groups_of
from napari_attnseg.errors import DataError
from tests.importers.layouts import (
    GREYS,
    chaos_volume,
    imported,
    report,
    run_import,
    stored,
    write_png,
    write_slice,
    write_volume,
)

OTHER = np.array([0, 80, 160, 240, 255], np.uint8)
"""What the second coding writes for background, liver, right kidney, left kidney and spleen."""
NUMBERS = np.arange(5, dtype=np.uint8)


def write_subject(source: Path, subject: str, coding: np.ndarray, *classes: int) -> np.ndarray:
    """Write `<subject>-T2SPIR-src.nii.gz` and its mask of some classes, and return these (z, y, x)."""
    image, labels = chaos_volume(seed=len(subject))
    kept = np.where(np.isin(labels, classes or (1, 2, 3, 4)), labels, 0)
    for kind, values in (("src", image), ("mask", coding[kept])):
        write_volume(source / f"{subject}-T2SPIR-{kind}.nii.gz", values.transpose(2, 1, 0), np.diag([-1, -1, 7, 1]))
    return kept


@pytest.mark.parametrize("coding", [GREYS, OTHER, NUMBERS], ids=["challenge", "eighties", "numbers"])
def test_volumes_named_src_and_mask(tmp_path: Path, capsys: pytest.CaptureFixture[str], coding: np.ndarray) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    wanted = {subject: write_subject(source, subject, coding) for subject in ("01", "10", "33")}
    assert run_import("chaos", source, out) == 0
    told = capsys.readouterr().out
    assert "Converted 3 images, 3 with a mask." in told
    assert ("80, 160, 240 and 255 are read as liver, right kidney, left kidney and spleen" in told) == (coding is OTHER)
    found = imported(out)
    assert sorted(found) == [f"chaos_{subject}_stack" for subject in wanted]
    for subject, labels in wanted.items():
        assert np.array_equal(found[f"chaos_{subject}_stack"][1], labels)
    assert read_classes(out / "classes.json").names[3:] == ("left kidney", "spleen")
    pattern = told.split("--group-pattern '")[1].split("'")[0]
    assert len(groups_of(find_pairs(out).pairs, pattern)) == 3


@pytest.mark.parametrize("alone", [3, 4])
@pytest.mark.parametrize("form", ["stacks", "slices"])
def test_one_organ_is_read_as_in_the_others(tmp_path: Path, alone: int, form: str) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_subject(source, "01", OTHER)
    labels = write_subject(source, "10", OTHER, alone)
    assert set(np.unique(labels)) == {0, alone}
    assert run_import("chaos", source, out, "--as", form) == 0
    masks = sorted(out.glob("chaos_10_*_MASK.tiff"))
    assert np.array_equal(np.concatenate([stored(path).reshape(-1, 12, 10) for path in masks]), labels)


def test_two_kidneys_and_spleens_are_not_merged(tmp_path: Path) -> None:
    source = tmp_path / "in"
    together = write_subject(source / "one", "01", OTHER, 3, 4)
    assert run_import("chaos", source / "one", tmp_path / "out") == 0
    assert np.array_equal(stored(tmp_path / "out" / "chaos_01_stack_MASK.tiff"), together)
    kidney, spleen = write_subject(source / "two", "01", OTHER, 3), write_subject(source / "two", "33", OTHER, 4)
    assert run_import("chaos", source / "two", tmp_path / "apart") == 0
    assert np.array_equal(stored(tmp_path / "apart" / "chaos_01_stack_MASK.tiff"), kidney)
    assert np.array_equal(stored(tmp_path / "apart" / "chaos_33_stack_MASK.tiff"), spleen)


def test_what_could_be_two_organs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_subject(tmp_path / "in", "01", OTHER, 3)
    for options in ((), ("--sequence", "t1in")):
        assert run_import("chaos", tmp_path / "in", tmp_path / "out", *options) == 1
        assert "no grey but 240 (01-T2SPIR-mask.nii.gz)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_two_codings_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_subject(tmp_path / "in", "01", GREYS)
    write_subject(tmp_path / "in", "10", OTHER)
    assert run_import("chaos", tmp_path / "in", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "two codings are mixed" in told
    assert "01-T2SPIR-mask.nii.gz holds 63, 126, 189, 252" in told
    assert "10-T2SPIR-mask.nii.gz holds 80, 160, 240, 255" in told
    assert not (tmp_path / "out").exists()


def test_a_volume_with_two_greys_of_one_organ_is_left_out(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_subject(source, "01", GREYS)
    write_subject(source, "10", np.array([0, 63, 64, 189, 252], np.uint8))
    write_subject(source, "33", np.array([0, 63, 80, 189, 252], np.uint8))
    assert run_import("chaos", source, out) == 0
    notes = {row["Image"][:2]: row["Note"] for row in report(out) if row["Result"] == "left out"}
    assert "10-T2SPIR-mask.nii.gz holds 63, 64; these would all be liver" in notes["10"]
    assert "33-T2SPIR-mask.nii.gz holds 80; 63 (liver), 126 (right kidney)" in notes["33"]


def test_greys_that_vary_within_the_room_of_the_challenge_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_subject(source, "01", GREYS)
    labels = write_subject(source, "10", np.array([0, 60, 126, 189, 255], np.uint8))
    assert run_import("chaos", source, out) == 0
    told = capsys.readouterr().out
    assert "60, 63 are all read as liver" in told
    assert "252, 255 are all read as spleen" in told
    assert np.array_equal(stored(out / "chaos_10_stack_MASK.tiff"), labels)


def write_series(source: Path, coding: np.ndarray) -> np.ndarray:
    """Write a T2SPIR series whose slices hold one organ each, and return its classes (z, y, x)."""
    image, labels = chaos_volume()
    organs = np.where(labels == np.arange(1, 5)[:, None, None], labels, 0)
    for z in range(4):
        write_slice(source / "1/T2SPIR/DICOM_anon" / f"{z}.dcm", image[z], position=(0, 0, 7 * z), number=z)
        write_png(source / "1/T2SPIR/Ground" / f"{z}.png", coding[organs[z]])
    return organs


@pytest.mark.parametrize("coding", [GREYS, OTHER, NUMBERS], ids=["challenge", "eighties", "numbers"])
def test_slices_are_judged_together(tmp_path: Path, coding: np.ndarray) -> None:
    organs = write_series(tmp_path / "MR", coding)
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out") == 0
    assert np.array_equal(stored(tmp_path / "out" / "chaos_01_stack_MASK.tiff"), organs)


def test_slices_of_one_volume_have_one_grey_an_organ(tmp_path: Path) -> None:
    write_series(tmp_path / "MR", np.array([0, 63, 126, 245, 252], np.uint8))
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out") == 1
    assert "2.png and others hold 245, 252; these would all be spleen" in report(tmp_path / "out")[0]["Note"]


# ---- importing again


def test_a_kidney_that_came_later_stays_one(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_subject(source, "01", OTHER)
    assert run_import("chaos", source, out) == 0
    for path in source.iterdir():
        path.unlink()
    kidney = write_subject(source, "10", OTHER, 3)
    assert run_import("chaos", source, out) == 0
    assert np.array_equal(stored(out / "chaos_10_stack_MASK.tiff"), kidney)
    assert run_import("chaos", source, out, "--overwrite") == 1, "alone, it says nothing"
    spleen = write_subject(source, "10", OTHER, 4)
    (out / "chaos_10_stack.tiff").unlink()
    assert run_import("chaos", source, out) == 0, "no question whether it is a liver of CT"
    assert np.array_equal(stored(out / "chaos_10_stack_MASK.tiff"), spleen)


@pytest.mark.parametrize(("first", "second"), [(OTHER, GREYS), (GREYS, OTHER)], ids=["63 now", "80 now"])
def test_another_coding_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: np.ndarray, second: np.ndarray
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_subject(source, "01", first)
    assert run_import("chaos", source, out) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    labels = write_subject(source, "01", second)
    assert run_import("chaos", source, out) == 1
    told = capsys.readouterr().err
    assert f"were read as {(EIGHTIES if first is OTHER else CHALLENGE).text}" in told
    assert "--overwrite" in told
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert run_import("chaos", source, out, "--overwrite") == 0
    assert np.array_equal(stored(out / "chaos_01_stack_MASK.tiff"), labels)
    assert run_import("chaos", source, out) == 0


@pytest.mark.parametrize("coding", [GREYS, NUMBERS], ids=["challenge", "numbers"])
def test_an_import_by_an_earlier_version_goes_on(tmp_path: Path, coding: np.ndarray) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_subject(source, "01", coding)
    assert run_import("chaos", source, out) == 0
    mark = json.loads((out / "import.json").read_text())
    assert mark["masks"]["values"] == {str(number): number for number in range(5)}, "as it has always been noted"
    write_subject(source, "10", coding)
    assert run_import("chaos", source, out) == 0
    assert [row["Result"] for row in report(out)] == ["there already", "converted"]


# ---- masks that belong to no image


def test_masks_under_unknown_names_become_no_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for subject in ("1", "2"):
        write_volume(source / f"t2 of subject {subject}.nii.gz", np.ones((4, 3, 2), np.uint8), None)
        write_volume(source / f"s{subject}_organs-mask.nii.gz", np.ones((4, 3, 2), np.uint8), None)
    assert run_import("chaos", source, out) == 0
    told = capsys.readouterr().out
    assert "No volume has a mask by the usual names" in told
    assert "2 files are named as masks but belong to no image: s1_organs-mask.nii.gz, s2_organs-mask.nii.gz" in told
    assert "napari-attnseg import folder SOURCE DESTINATION --masks" in told
    assert sorted(path.name for path in out.glob("*.tiff")) == ["chaos_01_stack.tiff", "chaos_02_stack.tiff"]
    left = [row["Image"] for row in report(out) if row["Result"] == "left out"]
    assert left == ["s1_organs-mask.nii.gz", "s2_organs-mask.nii.gz"]


def test_a_word_that_all_images_have_names_no_mask(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("manual_1", "manual_1_seg", "manual_2"):
        write_volume(source / f"{name}.nii.gz", np.ones((4, 3, 2), np.uint8), None)
    assert run_import("chaos", source, out) == 0
    assert [row["Result"] for row in report(out)] == ["converted", "not annotated"]


def test_series_without_masks_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, _ = chaos_volume(2)
    for z in range(2):
        write_slice(tmp_path / "MR/1/T2SPIR/DICOM_anon" / f"{z}.dcm", image[z], position=(0, 0, z))
    (tmp_path / "MR/1/T2SPIR/Ground").mkdir()
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out") == 0
    assert "No series has masks, PNGs in a folder Ground" in capsys.readouterr().out


# ---- the decision alone


@pytest.mark.parametrize(
    ("volumes", "coding"),
    [
        ([], CHALLENGE),
        ([{0}], CHALLENGE),
        ([{0, 1, 4}], CHALLENGE),
        ([{0, 63, 252}, {0, 240}], CHALLENGE),
        ([{0, 255}], CHALLENGE),
        ([{0, 160}], EIGHTIES),
        ([{0, 160}, {0, 30, 63}], EIGHTIES),
        ([{0, 240, 255}], EIGHTIES),
        ([{0, 240}, {0, 255}], EIGHTIES),
    ],
)
def test_coding_of_volumes(volumes: list[set[int]], coding: object) -> None:
    survey = {Path(f"{number}.nii"): values for number, values in enumerate(volumes)}
    assert decide_greys(survey, Before())[0] is coding


@pytest.mark.parametrize("volumes", [[{0, 240}], [{0, 63}, {0, 80}], [{0, 63}, {0, 240}, {0, 255}]])
def test_coding_that_cannot_be_told(volumes: list[set[int]]) -> None:
    with pytest.raises(DataError):
        decide_greys({Path(f"{number}.nii"): values for number, values in enumerate(volumes)}, Before())


def test_no_value_of_either_coding_is_refused() -> None:
    for coding in (CHALLENGE, EIGHTIES):
        for value in coding.numbers:
            assert refusal({0, value}, coding) == ([], "")
