"""CHAOS as DICOM with PNG masks and as NIfTI: one picture of one patient, whatever the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_attnseg.cli import main
from napari_attnseg.data.classes import read_classes
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.split import groups_of
from napari_attnseg.data.tiff import read_image, read_info
from tests.importers.layouts import (
    GREYS,
    chaos_volume,
    imported,
    report,
    run_import,
    stored,
    write_png,
    write_slice,
    write_t2,
    write_volume,
)

ORGANS = ("background", "liver", "right kidney", "left kidney", "spleen")


@pytest.mark.parametrize("above", ["", "MR", "Train_Sets/MR"])
def test_t2_becomes_a_stack_in_the_order_of_positions(tmp_path: Path, above: str) -> None:
    image, labels = chaos_volume()
    write_t2(tmp_path / "CHAOS" / above / "8", image, labels)
    out = tmp_path / "out"
    assert run_import("chaos", tmp_path / "CHAOS", out) == 0
    written = read_image(out / "chaos_08_stack.tiff")
    assert np.array_equal(written.pixels[:, 0], image)
    assert (written.info.dtype, written.info.axes) == ("uint16", "ZYX")
    assert written.info.pixel_size == pytest.approx((1.25, 1.5))
    assert written.info.z_spacing == pytest.approx(7.5), "the distance of positions, not the thickness"
    assert written.info.unit == "mm"
    assert np.array_equal(imported(out)["chaos_08_stack"][1], labels)
    assert read_classes(out / "classes.json").names == ORGANS
    assert main(["check", str(out)]) == 0


def test_slices_of_a_subject_stay_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    volumes = {subject: chaos_volume(3, subject) for subject in (10, 33)}
    for subject, (image, labels) in volumes.items():
        write_t2(tmp_path / "MR" / str(subject), image, labels)
    out = tmp_path / "out"
    assert run_import("chaos", tmp_path / "MR", out, "--as", "slices") == 0
    found = imported(out)
    for subject, (image, labels) in volumes.items():
        for z in range(3):
            pixels, mask = found[f"chaos_{subject}_z{z:02d}"]
            assert np.array_equal(pixels[0, 0], image[z])
            assert np.array_equal(mask, labels[z : z + 1])
    info = read_info(out / "chaos_10_z01.tiff")
    assert (info.pixel_size, info.unit, info.z_spacing) == (pytest.approx((1.25, 1.5)), "mm", None)
    pattern = capsys.readouterr().out.split("--group-pattern '")[1].split("'")[0]
    assert sorted(map(len, groups_of(find_pairs(out).pairs, pattern).values())) == [3, 3]


def test_both_phases_of_t1_share_their_masks(tmp_path: Path) -> None:
    image, labels = chaos_volume()
    phases = {"InPhase": (image, 2), "OutPhase": (image[::-1] + np.uint16(1), 1)}
    subject = tmp_path / "MR" / "1" / "T1DUAL"
    for phase, (pixels, first) in phases.items():
        for z in range(4):
            path = subject / "DICOM_anon" / phase / f"IMG-0004-{2 * z + first:05d}.dcm"
            write_slice(path, pixels[z], number=2 * z + first, position=(0, 0, 5.0 * z))
    for z in range(4):
        write_png(
            subject / "Ground" / f"IMG-0004-{2 * z + 2:05d}.png", np.array([0, 63, 126, 189, 252], np.uint8)[labels[z]]
        )
    for sequence, (pixels, _) in (("t1in", phases["InPhase"]), ("t1out", phases["OutPhase"])):
        out = tmp_path / sequence
        assert run_import("chaos", tmp_path / "MR", out, "--sequence", sequence) == 0
        found, mask = imported(out)[f"chaos_01_{sequence}_stack"]
        assert np.array_equal(found[:, 0], pixels)
        assert np.array_equal(mask, labels)


def test_ct_has_hounsfield_units_and_a_liver(tmp_path: Path) -> None:
    image, labels = chaos_volume()
    subject = tmp_path / "CT" / "5"
    for z in range(4):
        write_slice(
            subject / "DICOM_anon" / f"i{z:04d},0000b.dcm", image[z], position=(0, 0, -z), rescale=(1, -1024), number=z
        )
        write_png(subject / "Ground" / f"liver_GT_{z:03d}.png", np.where(labels[z] == 1, 255, 0).astype(np.uint8))
    out = tmp_path / "out"
    assert run_import("chaos", tmp_path / "CT", out) == 0
    pixels, mask = imported(out)["chaos_05_ct_stack"]
    assert pixels.dtype == np.int16
    assert np.array_equal(pixels[:, 0], image[::-1].astype(int) - 1024), "the lowest position comes first"
    assert np.array_equal(mask, labels[::-1] == 1)
    assert set(np.unique(stored(out / "chaos_05_ct_stack_MASK.tiff"))) == {0, 255}
    assert read_classes(out / "classes.json").names == ("background", "liver")
    assert read_info(out / "chaos_05_ct_stack.tiff").z_spacing == pytest.approx(1)


def test_a_fractional_slope_gives_real_numbers(tmp_path: Path) -> None:
    image, _ = chaos_volume(2)
    for z in range(2):
        write_slice(
            tmp_path / "1" / "T2SPIR" / "DICOM_anon" / f"{z}.dcm", image[z], position=(0, 0, z), rescale=(0.5, 2)
        )
    assert run_import("chaos", tmp_path / "1", tmp_path / "out") == 0
    pixels, mask = imported(tmp_path / "out")["chaos_01_stack"]
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[:, 0], image * 0.5 + 2)
    assert mask is None


def test_slices_without_a_position_go_by_their_numbers(tmp_path: Path) -> None:
    image, _ = chaos_volume(3)
    for z, name in enumerate(("c", "a", "b")):
        write_slice(tmp_path / "1" / "T2SPIR" / "DICOM_anon" / f"{name}.dcm", image[z], number=z + 1, position=None)
    out = tmp_path / "out"
    assert run_import("chaos", tmp_path / "1", out) == 0
    assert np.array_equal(stored(out / "chaos_01_stack.tiff"), image)
    assert "InstanceNumber" in report(out)[0]["Note"]
    assert read_info(out / "chaos_01_stack.tiff").z_spacing == pytest.approx(5.5), "the thickness, for want of better"


# what a scanner stores (z, y, x) with rows to posterior and columns to the left, in other orders and directions
STORED = {
    "as SimpleITK writes DICOM": (lambda v: v.transpose(2, 1, 0), np.diag([-1.5, -1.25, 7.5, 1])),
    "right, anterior, superior": (lambda v: v.transpose(2, 1, 0)[::-1, ::-1], np.diag([1.5, 1.25, 7.5, 1])),
    "from head to feet": (lambda v: v.transpose(2, 1, 0)[:, :, ::-1], np.diag([-1.5, -1.25, -7.5, 1])),
    "rows first": (
        lambda v: v.transpose(1, 2, 0),
        np.array([[0, -1.5, 0, 0], [-1.25, 0, 0, 0], [0, 0, 7.5, 0], [0, 0, 0, 1]], float),
    ),
}


@pytest.mark.parametrize("order", STORED)
def test_nifti_gives_the_picture_that_dicom_gives(tmp_path: Path, order: str) -> None:
    image, labels = chaos_volume()
    write_t2(tmp_path / "dicom" / "10", image, labels)
    as_stored, affine = STORED[order]
    write_volume(tmp_path / "nifti" / "image_10.nii.gz", as_stored(image), affine)
    write_volume(tmp_path / "nifti" / "label_10.nii.gz", as_stored(labels).astype(np.float32), affine)
    for kind in ("dicom", "nifti"):
        assert run_import("chaos", tmp_path / kind, tmp_path / f"from {kind}") == 0
    paths = [tmp_path / f"from {kind}" / "chaos_10_stack.tiff" for kind in ("dicom", "nifti")]
    first, second = map(read_image, paths)
    assert np.array_equal(first.pixels, second.pixels)
    assert second.info.pixel_size == pytest.approx(first.info.pixel_size)
    assert (second.info.z_spacing, second.info.unit) == (pytest.approx(first.info.z_spacing), "mm")
    masks = [imported(path.parent)["chaos_10_stack"][1] for path in paths]
    assert np.array_equal(masks[0], labels)
    assert np.array_equal(masks[1], labels)


@pytest.mark.parametrize(
    ("slices_go", "affine", "shown"),
    [
        ("to posterior", [[-1, 0, 0], [0, 0, -1], [0, -1, 0]], lambda a: a.transpose(2, 1, 0)),
        ("to anterior", [[-1, 0, 0], [0, 0, 1], [0, -1, 0]], lambda a: a.transpose(2, 1, 0)[::-1]),
        ("to the right", [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], lambda a: a.transpose(2, 1, 0)),
    ],
)
def test_coronal_and_sagittal_volumes_stand_upright(tmp_path: Path, slices_go: str, affine: list, shown) -> None:
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    matrix = np.eye(4)
    matrix[:3, :3] = affine
    write_volume(tmp_path / "in" / "image_1.nii", values, matrix)
    assert run_import("chaos", tmp_path / "in", tmp_path / "out") == 0
    assert np.array_equal(stored(tmp_path / "out" / "chaos_01_stack.tiff"), shown(values)), slices_go


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (("imagesTr/chaos_10_0000", "imagesTr/chaos_33_0000"), ("10", "33")),
        (("imagesTr/chaos_10_0000", "imagesTr/chaos_33_0000", "imagesTr/chaos_33_0001"),
         ("chaos-10-0000", "chaos-33-0000", "chaos-33-0001")),
        (("10_T2SPIR", "33_T2SPIR"), ("10", "33")),
        (("T1DUAL_in-10", "T1DUAL_in-33"), ("10", "33")),
        (("10_T1_InPhase", "10_T2SPIR", "33-t2"), ("10_t1inphase", "10_t2spir", "33_t2")),
        (("chaos_0001", "chaos_0010"), ("01", "10")),
        (("ann_2", "ben_2"), ("ann-2", "ben-2")),
        (("ann", "ben_2"), ("ann", "ben-2")),
        (("ann_T1", "ann_T2SPIR", "ben_T1"), ("ann_t1", "ann_t2spir", "ben_t1")),
        (("ann/scan", "ben/scan"), ("ann-scan", "ben-scan")),
        (("1/T1", "1/T2SPIR", "33/T1", "33/T2SPIR"), ("01_t1", "01_t2spir", "33_t1", "33_t2spir")),
        (("T1/ann", "T2SPIR/ann"), ("ann_t1", "ann_t2spir")),
    ],
)  # fmt: skip
def test_a_subject_is_named_by_what_tells_it_from_others(
    tmp_path: Path, images: tuple[str, ...], names: tuple[str, ...]
) -> None:
    for number, image in enumerate(images):
        write_volume(tmp_path / "in" / f"{image}.nii.gz", np.full((4, 3, 2), number, np.uint8), np.eye(4))
        if image.endswith("_0000"):
            labels = image.replace("imagesTr", "labelsTr").removesuffix("_0000")
            write_volume(tmp_path / "in" / f"{labels}.nii.gz", np.ones((4, 3, 2), np.uint8), np.eye(4))
    out = tmp_path / "out"
    assert run_import("chaos", tmp_path / "in", out) == 0
    found = {row["Image"]: row["File"] for row in report(out)}
    wanted = {f"{image}.nii.gz": f"chaos_{name}_stack.tiff" for image, name in zip(images, names, strict=True)}
    assert found == wanted
    for number, image in enumerate(images):
        assert (stored(out / wanted[f"{image}.nii.gz"]) == number).all()


def write_livers(source: Path) -> np.ndarray:
    """Write two CT volumes with masks of 0 and 255, and return the first mask (z, y, x); the second is empty."""
    image, labels = chaos_volume()
    liver = np.where(labels == 1, 255, 0).astype(np.uint8)
    for number, mask in ((1, liver), (2, liver * 0)):
        write_volume(source / f"image_{number}.nii.gz", image.transpose(2, 1, 0), np.diag([-1.5, -1.25, 7.5, 1]))
        write_volume(source / f"label_{number}.nii.gz", mask.transpose(2, 1, 0), np.diag([-1.5, -1.25, 7.5, 1]))
    return liver


def test_livers_of_ct_are_no_spleens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    liver = write_livers(source)
    assert run_import("chaos", source, out) == 1
    assert "--sequence ct" in capsys.readouterr().err
    assert not out.exists()
    assert run_import("chaos", source, out, "--sequence", "ct") == 0
    assert np.array_equal(stored(out / "chaos_01_ct_stack_MASK.tiff"), liver)
    assert read_classes(out / "classes.json").names == ("background", "liver")
    found = imported(out)
    assert np.array_equal(found["chaos_01_ct_stack"][1], liver == 255)
    assert not found["chaos_02_ct_stack"][1].any()
    assert run_import("chaos", source, tmp_path / "mr", "--sequence", "t2spir") == 0
    assert np.array_equal(imported(tmp_path / "mr")["chaos_01_stack"][1] == 4, liver == 255), "as the user says"


def test_one_subject_with_a_spleen_only_does_not_make_it_ct(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_livers(source)
    image, labels = chaos_volume()
    write_volume(source / "image_3.nii.gz", image.transpose(2, 1, 0), None)
    write_volume(source / "label_3.nii.gz", GREYS[labels].transpose(2, 1, 0), None)
    assert run_import("chaos", source, out) == 0
    assert read_classes(out / "classes.json").names == ORGANS
    assert set(np.unique(imported(out)["chaos_01_stack"][1])) == {0, 4}
    assert np.array_equal(imported(out)["chaos_03_stack"][1], labels)
    assert run_import("chaos", source, tmp_path / "ct", "--sequence", "ct") == 0
    notes = {row["Image"]: row["Note"] for row in report(tmp_path / "ct") if row["Result"] == "left out"}
    assert list(notes) == ["image_3.nii.gz"]
    assert "label_3.nii.gz holds 63, 126, 189, 252" in notes["image_3.nii.gz"]


@pytest.mark.parametrize("mask_axes", [3, 4])
def test_one_volume_of_several_is_chosen_of_chaos_too(tmp_path: Path, mask_axes: int) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    image, labels = (volume.transpose(2, 1, 0) for volume in chaos_volume())
    write_volume(source / "image_1.nii", np.stack([image * 0, image], -1), None)
    write_volume(source / "label_1.nii", labels if mask_axes == 3 else np.stack([labels * 0, labels], -1), None)
    assert run_import("chaos", source, out) == 1, "nothing else to convert"
    assert "choose it with --volume N, 0 to 1" in report(out)[0]["Note"]
    assert run_import("chaos", source, tmp_path / "second", "--volume", "1") == 0
    pixels, mask = imported(tmp_path / "second")["chaos_01_stack"]
    assert np.array_equal(pixels[:, 0], image.T)
    assert np.array_equal(mask, labels.T)
    assert run_import("chaos", source, tmp_path / "third", "--volume", "2") == 1
    assert "there is no volume 2" in report(tmp_path / "third")[0]["Note"]


# ---- what is wrong with one subject


def bad_subjects(root: Path) -> None:
    """Write a good subject and five that cannot be imported as they are."""
    for subject in ("1", "2", "3", "4", "5", "6"):
        write_t2(root / subject, *chaos_volume())
    write_slice(root / "2" / "T2SPIR" / "DICOM_anon" / "IMG-0002-00001.dcm", np.zeros((8, 8), np.uint16))
    cut = root / "3" / "T2SPIR" / "DICOM_anon" / "IMG-0002-00002.dcm"
    cut.write_bytes(cut.read_bytes()[:-50])
    write_png(root / "4" / "T2SPIR" / "Ground" / "IMG-0002-00003.png", np.full((12, 10), 30, np.uint8))
    (root / "5" / "T2SPIR" / "Ground" / "IMG-0002-00004.png").unlink()
    (root / "6" / "T2SPIR" / "DICOM_anon" / "IMG-0002-00004.dcm").unlink()


def test_bad_subjects_are_left_out_and_the_others_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad_subjects(tmp_path / "MR")
    out = tmp_path / "out"
    assert run_import("chaos", tmp_path / "MR", out) == 0
    rows = {row["Image"].split("/")[0]: row for row in report(out)}
    assert [rows[subject]["Result"] for subject in "123456"] == [
        "converted",
        "left out",
        "left out",
        "left out",
        "not annotated",
        "converted",
    ]
    assert "differ in size: 3 of 12 x 10, 1 of 8 x 8 (IMG-0002-00001.dcm)" in rows["2"]["Note"]
    assert "IMG-0002-00002.dcm cannot be read" in rows["3"]["Note"]
    assert "IMG-0002-00003.png holds 30" in rows["4"]["Note"]
    assert "1 slice of 4 has no mask" in rows["5"]["Note"]
    assert "IMG-0002-00004.png" in rows["6"]["Note"]
    assert "3 left out" in capsys.readouterr().out


def test_slices_keep_the_masks_that_there_are(tmp_path: Path) -> None:
    bad_subjects(tmp_path / "MR")
    assert run_import("chaos", tmp_path / "MR" / "5", tmp_path / "out", "--as", "slices") == 0
    annotated = [mask is not None for _, mask in imported(tmp_path / "out").values()]
    assert annotated == [False, True, True, True], "the lowest slice has the highest number and lost its mask"


def test_volumes_of_other_shapes_and_four_axes(tmp_path: Path) -> None:
    image, labels = (volume.transpose(2, 1, 0) for volume in chaos_volume())
    source, out = tmp_path / "in", tmp_path / "out"
    for number in (1, 2, 3):
        write_volume(source / f"image_{number}.nii.gz", image, np.eye(4))
        write_volume(source / f"label_{number}.nii.gz", labels, np.eye(4))
    write_volume(source / "label_2.nii.gz", labels[:, :, :3], np.eye(4))
    write_volume(source / "image_3.nii.gz", np.stack([image, image], -1), np.eye(4))
    assert run_import("chaos", source, out) == 0
    rows = {row["Image"]: row for row in report(out)}
    assert rows["image_1.nii.gz"]["Result"] == "converted"
    assert (
        "label_2.nii.gz is 10 x 12 x 3 (X, Y, Z) but its image image_2.nii.gz is 10 x 12 x 4"
        in (rows["image_2.nii.gz"]["Note"])
    )
    assert "image_3.nii.gz is 4-D, 2 volumes" in rows["image_3.nii.gz"]["Note"]


def test_a_sequence_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_t2(tmp_path / "MR" / "1", *chaos_volume(2))
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out", "--sequence", "ct") == 1
    assert "has no ct series; it has t2spir" in capsys.readouterr().err
