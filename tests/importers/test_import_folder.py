"""Any folder: masks found by a pattern or by the usual names, and what their values become."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from napari_attnseg.cli import main
from napari_attnseg.data.classes import read_classes
from napari_attnseg.data.importers.subjects import SLICES_OF_ONE
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.split import groups_of
from napari_attnseg.data.tiff import read_info
from tests.importers.layouts import imported, report, run_import, stored, write_png, write_volume

IMAGE = np.random.default_rng(1).integers(0, 255, (20, 24)).astype(np.uint8)
MASK = np.zeros((20, 24), np.uint8)
MASK[3:9, 4:12] = 1


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("cell.png", "masks/cell.png"),
        ("images/cell.png", "masks/cell.png"),
        ("images/cell.png", "GT/cell_gt.bmp"),
        ("train/images/cell.png", "train/labels/cell.png"),
        ("cell.png", "cell_seg.png"),
        ("cell.png", "Cell_Mask.PNG"),
        ("cell.png", "mask_cell.png"),
        ("image_007.png", "label_007.png"),
        ("007_img.png", "007_mask.png"),
        ("01-T2-src.png", "01-T2-mask.png"),
        ("cell_orig.png", "cell_seg.png"),
        ("images/cell-raw.png", "masks/cell.png"),
        ("imagesTr/cell_0000.png", "labelsTr/cell.png"),
        ("my [1] cell.png", "my [1] cell_label.png"),
    ],
)
def test_usual_names_are_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str], image: str, mask: str) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_png(source / image, IMAGE)
    write_png(source / mask, MASK * 255)
    assert run_import("folder", source, out) == 0
    name = Path(image).stem
    assert np.array_equal(stored(out / f"{name}.tiff"), IMAGE)
    assert np.array_equal(stored(out / f"{name}_MASK.tiff"), MASK * 255)
    told = capsys.readouterr().out
    assert "Masks: " in told, "the guess is shown"
    assert "1 of 1 images have one" in told
    assert len(report(out)) == 1
    assert main(["check", str(out)]) == 0


def test_a_pattern_that_finds_no_mask_at_all_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_png(tmp_path / "in" / "photos" / "cell.png", IMAGE)
    write_png(tmp_path / "in" / "labels" / "cell.png", MASK)
    out = tmp_path / "out"
    assert run_import("folder", tmp_path / "in" / "photos", out, "--masks", "../labels/{name}.png") == 1
    assert "has a mask by the pattern '../labels/{name}.png'; SOURCE must be a folder" in capsys.readouterr().err
    assert not out.exists()
    assert run_import("folder", tmp_path / "in", out, "--images", "photos/*", "--masks", "../labels/{name}.png") == 0
    assert len(find_pairs(out).annotated) == 1


def test_a_pattern_says_where_masks_are(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b"):
        write_png(source / name / "raw" / f"{name}-view.png", IMAGE)
        write_png(source / "drawn" / f"{name}_by hand.png", MASK)
    write_png(source / "drawn" / "c_by hand.png", MASK)
    write_png(source / "other.png", IMAGE)
    arguments = ("--images", "*/raw/{name}-view.png", "--masks", "drawn/{name}_by hand.png")
    assert run_import("folder", source, out, *arguments) == 0
    assert sorted(pair.name for pair in find_pairs(out).annotated) == ["a-view", "b-view"]
    left = [row for row in report(out) if row["Result"] == "left out"]
    assert [row["Image"] for row in left] == ["drawn/c_by hand.png", "other.png"]
    assert "no image" in left[0]["Note"]
    assert "no image by the pattern '*/raw/{name}-view.png'" in left[1]["Note"]


def test_a_pattern_without_the_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_png(tmp_path / "in" / "a.png", IMAGE)
    assert run_import("folder", tmp_path / "in", tmp_path / "out", "--masks", "masks/*.png") == 1
    assert "'masks/{name}_seg.png'" in capsys.readouterr().err
    assert run_import("folder", tmp_path / "in", tmp_path / "out", "--images", "*.jpg") == 1
    assert "by the pattern '*.jpg'" in capsys.readouterr().err


def test_images_without_masks_are_not_annotated_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_png(tmp_path / "in" / "a.png", IMAGE)
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 0
    assert "No masks were found" in capsys.readouterr().out
    assert report(tmp_path / "out")[0]["Result"] == "not annotated"


# ---- values of masks


def test_shared_greys_become_classes(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    labels = MASK.copy()
    labels[12:, 12:] = 2
    greys = np.array([0, 127, 254], np.uint8)
    for name in ("a", "b"):
        write_png(source / f"{name}.png", IMAGE)
        write_png(source / f"{name}_mask.png", greys[labels])
    assert run_import("folder", source, out) == 0
    assert np.array_equal(stored(out / "a_MASK.tiff"), labels)
    assert read_classes(out / "classes.json").names == ("background", "class 1", "class 2")
    assert np.array_equal(imported(out)["b"][1], labels[None])
    assert main(["check", str(out)]) == 0


def test_class_names_of_the_source_are_kept(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    labels = MASK.copy()
    labels[12:, 12:] = 2
    write_png(source / "a.png", IMAGE)
    write_png(source / "a_mask.png", labels * 100)
    entries = [{"id": 1, "name": "leaf", "value": 100, "color": "#00ff00"}, {"id": 2, "name": "root", "value": 200}]
    (source / "classes.json").write_text(json.dumps(entries))
    assert run_import("folder", source, out) == 0
    classes = read_classes(out / "classes.json")
    assert (classes.names, classes.colours[1]) == (("background", "leaf", "root"), "#00ff00")
    assert classes.values == {0: 0, 1: 1, 2: 2}
    assert np.array_equal(stored(out / "a_MASK.tiff"), labels)


def test_objects_keep_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    numbers = np.arange(480, dtype=np.uint16).reshape(20, 24) * 200
    write_png(source / "a.png", IMAGE)
    Image.fromarray(numbers).save(source / "a_mask.png")
    assert run_import("folder", source, out) == 0
    mask = stored(out / "a_MASK.tiff")
    assert mask.dtype == np.uint16
    assert np.array_equal(mask, numbers)
    assert not (out / "classes.json").exists()
    assert "--mask-values instances" in capsys.readouterr().out


def test_a_palette_is_indices_in_a_mask_and_colours_in_an_image(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    drawn = Image.fromarray(MASK).convert("P")
    drawn.putpalette([10, 20, 30, 200, 100, 50])
    drawn.putdata(MASK.ravel().tolist())
    drawn.save(source / "a.png")
    drawn.save(source / "a_mask.png")
    assert run_import("folder", source, out) == 0
    assert stored(out / "a.tiff")[4, 5].tolist() == [200, 100, 50]
    assert np.array_equal(stored(out / "a_MASK.tiff"), MASK * 255)


def test_sixteen_bits_of_colour_stay(tmp_path: Path) -> None:
    import imagecodecs

    pixels = np.random.default_rng(3).integers(0, 65535, (9, 7, 4)).astype(np.uint16)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 0
    assert np.array_equal(stored(tmp_path / "out" / "a.tiff"), pixels[..., :3])


def test_a_jpeg_mask_needs_a_threshold(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for name in ("a", "b"):
        write_png(source / f"{name}.png", IMAGE)
        Image.fromarray(MASK * 255).save(source / f"{name}_mask.{'png' if name == 'a' else 'jpg'}", quality=60)
    assert len(np.unique(np.asarray(Image.open(source / "b_mask.jpg")))) > 2, "the JPEG has greys at the edges"
    assert run_import("folder", source, tmp_path / "out") == 0
    rows = {row["Image"]: row for row in report(tmp_path / "out")}
    assert rows["a.png"]["Result"] == "converted"
    assert "b_mask.jpg is a JPEG" in rows["b.png"]["Note"]
    assert run_import("folder", source, tmp_path / "cut", "--threshold", "127") == 0
    for name in ("a", "b"):
        assert np.array_equal(stored(tmp_path / "cut" / f"{name}_MASK.tiff"), MASK * 255)


def write_turned(path: Path, pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Write an image with an orientation in its EXIF, and return it as Pillow turns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_as_they_are_shown(tmp_path: Path, orientation: int) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    shown = write_turned(source / "photo.jpg", np.stack([IMAGE, IMAGE // 2, MASK * 200], -1), orientation)
    assert shown.shape[:2] == ((20, 24) if orientation < 5 else (24, 20))
    drawn = (shown[..., 2] > 100).astype(np.uint8)
    write_png(source / "photo_mask.png", drawn)
    deep = np.arange(480, dtype=np.uint16).reshape(20, 24) * 100
    shown_deep = write_turned(source / "deep.png", deep, orientation)
    shown_labels = write_turned(source / "deep_mask.png", MASK, orientation)
    assert run_import("folder", source, out) == 0
    assert np.array_equal(stored(out / "photo.tiff"), shown)
    assert np.array_equal(stored(out / "photo_MASK.tiff"), drawn * 255)
    assert stored(out / "deep.tiff").dtype == np.uint16
    assert np.array_equal(stored(out / "deep.tiff"), shown_deep)
    assert np.array_equal(stored(out / "deep_MASK.tiff"), shown_labels * 255)


def test_damaged_exif_is_no_reason_to_refuse_a_photograph(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(IMAGE).save(tmp_path / "in" / "a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0")
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 0
    assert stored(tmp_path / "out" / "a.tiff").shape == (20, 24)


# ---- formats


def test_tiff_keeps_planes_channels_and_pixel_size(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    stack = np.random.default_rng(2).integers(0, 4000, (5, 2, 16, 14)).astype(np.uint16)
    metadata = {"axes": "ZCYX", "spacing": 0.7, "unit": "um"}
    tifffile.imwrite(source / "a.tif", stack, imagej=True, metadata=metadata, resolution=(4.0, 5.0))
    tifffile.imwrite(source / "a_label.tif", (stack[:, 0] > 2000).astype(np.uint8), metadata={"axes": "ZYX"})
    assert run_import("folder", source, out) == 0
    info = read_info(out / "a.tiff")
    assert (info.axes, info.unit, info.z_spacing) == ("ZCYX", "µm", pytest.approx(0.7))
    assert info.pixel_size == pytest.approx((0.2, 0.25))
    assert np.array_equal(stored(out / "a.tiff"), stack)
    assert np.array_equal(imported(out)["a"][1], stack[:, 0] > 2000)


@pytest.mark.parametrize("form", ["stacks", "slices"])
def test_a_volume_as_stack_or_slices(tmp_path: Path, form: str) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    volume = np.random.default_rng(2).normal(size=(6, 7, 3))
    write_volume(source / "images" / "p1.nii.gz", volume, None)
    write_volume(source / "labels" / "p1.nii.gz", (volume > 0).astype(np.int64), None)
    assert run_import("folder", source, out, "--as", form) == 0
    found = imported(out)
    names = ["p1"] if form == "stacks" else ["p1_z00", "p1_z01", "p1_z02"]
    assert list(found) == names
    pixels = np.concatenate([found[name][0] for name in names])[:, 0]
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels, volume.T.astype(np.float32)), "X becomes columns and Y rows where no affine speaks"
    assert np.array_equal(np.concatenate([found[name][1] for name in names]), volume.T > 0)


@pytest.mark.parametrize("axes", ["ZYX", "ZCYX", "ZYXS"])
def test_a_tiff_stack_as_slices(tmp_path: Path, axes: str, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    shape = {"Z": 5, "C": 2, "Y": 16, "X": 14, "S": 3}
    stack = np.random.default_rng(2).integers(0, 250, [shape[axis] for axis in axes]).astype(np.uint8)
    labels = np.random.default_rng(3).integers(0, 2, (5, 16, 14)).astype(np.uint8)
    noted = {"axes": axes, "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.7}
    tifffile.imwrite(source / "a.ome.tif", stack, metadata=noted, photometric="rgb" if "S" in axes else "minisblack")
    tifffile.imwrite(source / "a_label.tif", labels, metadata={"axes": "ZYX"})
    tifffile.imwrite(source / "plane.tif", IMAGE)
    assert run_import("folder", source, out, "--as", "slices") == 0
    assert sorted(pair.name for pair in find_pairs(out).pairs) == [*(f"a_z0{z}" for z in range(5)), "plane"]
    found = imported(out)
    for z in range(5):
        assert np.array_equal(stored(out / f"a_z0{z}.tiff"), stack[z])
        assert np.array_equal(found[f"a_z0{z}"][1], labels[z : z + 1])
    pairs = find_pairs(out).pairs
    assert len(set(groups_of(pairs, SLICES_OF_ONE))) == 2
    assert f"add: --group-pattern '{SLICES_OF_ONE}'" in capsys.readouterr().out
    info = read_info(out / "a_z03.tiff")
    assert (info.axes, info.unit, info.z_spacing) == (axes[1:], "µm", None)
    assert info.pixel_size == pytest.approx((0.2, 0.25))
    assert run_import("folder", source, out, "--as", "slices") == 0
    assert {row["Result"] for row in report(out)} == {"there already"}


def test_a_film_is_not_cut_and_says_so(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    names = {"film": "TYX", "both": "TZYX", "depth first": "ZTYX"}
    for name, axes in names.items():
        shape = [{"T": 5, "Z": 6, "Y": 16, "X": 14}[axis] for axis in axes]
        values = np.random.default_rng(2).integers(0, 250, shape).astype(np.uint8)
        tifffile.imwrite(source / f"{name}.ome.tif", values, metadata={"axes": axes})
        tifffile.imwrite(source / f"{name}_mask.ome.tif", (values > 99).astype(np.uint8), metadata={"axes": axes})
    assert run_import("folder", source, out, "--as", "slices") == 0
    rows = {row["Image"]: row for row in report(out)}
    found = imported(out)
    for name, axes in names.items():
        assert rows[f"{name}.ome.tif"]["File"] == f"{name}.tiff"
        assert f"the axes {axes}, and was not cut" in rows[f"{name}.ome.tif"]["Note"]
        assert np.array_equal(found[name][1], found[name][0][:, 0] > 99)


def test_one_volume_of_several_is_chosen(tmp_path: Path) -> None:
    source = tmp_path / "in"
    volumes = np.random.default_rng(2).integers(0, 99, (6, 7, 3, 4)).astype(np.int16)
    write_volume(source / "p1.nii", volumes, None)
    assert run_import("folder", source, tmp_path / "out") == 1, "nothing else to convert"
    assert "--volume N, 0 to 3" in report(tmp_path / "out")[0]["Note"]
    assert run_import("folder", source, tmp_path / "third", "--volume", "2") == 0
    assert np.array_equal(stored(tmp_path / "third" / "p1.tiff"), volumes[..., 2].T)
    assert run_import("folder", source, tmp_path / "ninth", "--volume", "9") == 1
    assert "there is no volume 9" in report(tmp_path / "ninth")[0]["Note"]


def test_a_mask_whose_header_knows_nothing_lies_as_its_image(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    volume = np.random.default_rng(2).integers(0, 99, (6, 7, 3)).astype(np.int16)
    affine = np.diag([2.0, 2.0, 4.0, 1.0])
    affine[:3, 3] = (-90, 20, 5)
    write_volume(source / "p1.nii", volume, affine)
    write_volume(source / "p2.nii", volume, affine)
    write_volume(source / "p1_seg.nii", (volume > 50).astype(np.uint8), np.eye(4))
    write_volume(source / "p2_seg.nii", (volume > 50).astype(np.uint8), np.diag([-2.0, 2.0, 4.0, 1.0]))
    assert run_import("folder", source, out) == 0
    found = imported(out)
    assert np.array_equal(found["p1"][1], found["p1"][0][:, 0] > 50)
    assert np.array_equal(found["p2"][1][:, :, ::-1], found["p2"][0][:, 0] > 50), "turned by its own header"
    notes = {row["Image"]: row["Note"] for row in report(out)}
    assert notes["p1.nii"] == ""
    assert "look whether the mask lies where it should" in notes["p2.nii"]


@pytest.mark.parametrize("of_mask", ["as nibabel assumes", "as stored", "identity", "nothing"])
@pytest.mark.parametrize("of_image", ["as the mask", "nothing"])
def test_a_mask_lies_on_its_image_whatever_their_headers_know(tmp_path: Path, of_image: str, of_mask: str) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    volume = np.random.default_rng(2).integers(0, 99, (6, 7, 3)).astype(np.int16)
    saved = nibabel.load(write_volume(source / "p1.nii", volume, None))
    assert int(saved.header["sform_code"]) == int(saved.header["qform_code"]) == 0
    # affines whose rows go up, whose rows go down, and that of programs that know no position
    affines = {"as nibabel assumes": saved.affine, "as stored": np.diag([-1.0, -1, 1, 1]), "identity": np.eye(4)}
    if of_image == "as the mask":
        write_volume(source / "p1.nii", volume, affines.get(of_mask, saved.affine))
    write_volume(source / "p1_seg.nii", (volume > 50).astype(np.uint8), affines.get(of_mask))
    assert run_import("folder", source, out) == 0
    pixels, mask = imported(out)["p1"]
    assert np.array_equal(mask, pixels[:, 0] > 50)
    if of_image == "nothing":
        assert np.array_equal(pixels[:, 0], volume.T), "as stored"
    doubtful = of_image == "nothing" and of_mask == "as nibabel assumes"
    assert ("look whether the mask lies where it should" in report(out)[0]["Note"]) == doubtful


# ---- what is wrong


def test_bad_files_are_left_out_with_a_sentence(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for name in ("good", "cut", "small", "colour", "empty", "twice"):
        write_png(source / f"{name}.png", IMAGE)
        write_png(source / "masks" / f"{name}.png", MASK)
    (source / "cut.png").write_bytes((source / "cut.png").read_bytes()[:200])
    (source / "empty.png").write_bytes(b"")
    write_png(source / "masks" / "small.png", MASK[:5])
    colours = np.zeros((20, 24, 3), np.uint8)
    colours[3, 4] = (255, 0, 0)
    write_png(source / "masks" / "colour.png", colours)
    write_png(source / "masks" / "twice.bmp", MASK)
    write_png(source / "masks" / "lonely.png", MASK)
    (source / "bad.nii.gz").write_bytes(b"\x1f\x8bno volume")
    assert run_import("folder", source, out) == 0
    notes = {row["Image"]: row["Note"] for row in report(out) if row["Result"] == "left out"}
    assert set(notes) == {
        "cut.png", "empty.png", "small.png", "colour.png", "twice.png", "masks/lonely.png", "bad.nii.gz",
    }  # fmt: skip
    assert "cut.png cannot be read" in notes["cut.png"]
    assert "0 bytes" in notes["empty.png"]
    assert "5 x 24 (y, x) but its image small.png is 20 x 24" in notes["small.png"]
    assert "colour.png is a colour image" in notes["colour.png"]
    assert "has 2 masks" in notes["twice.png"]
    assert "bad.nii.gz cannot be read" in notes["bad.nii.gz"]
    assert all(note.endswith((".", ")")) for note in notes.values())
    assert [pair.name for pair in find_pairs(out).pairs] == ["good"]


def test_two_sources_of_one_name(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_png(source / "a.png", IMAGE)
    write_png(source / "a.bmp", IMAGE)
    for patient in ("1", "2"):
        write_png(source / patient / "scan.png", IMAGE)
    assert run_import("folder", source, out) == 0
    left = [row["Note"] for row in report(out) if row["Result"] == "left out"]
    assert len(left) == 1
    assert "a.bmp and a.png would both become a.tiff" in left[0]
    assert (out / "1" / "1__scan.tiff").exists(), "equal names in different folders are told apart"
    assert (out / "2" / "2__scan.tiff").exists()


def test_names_that_differ_only_in_case(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_png(source / "A.png", IMAGE)
    write_png(source / "a.png", IMAGE)
    if len(list(source.iterdir())) == 1:
        pytest.skip("this disk does not tell upper from lower case")
    assert run_import("folder", source, out) == 0
    assert [row["Result"] for row in report(out)] == ["left out", "not annotated"]
    assert "differ only in upper and lower case" in report(out)[0]["Note"]


def test_masks_of_two_kinds_are_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    labels = MASK.copy()
    labels[12:] = 2
    for name, mask in (("a", MASK * 255), ("b", labels)):
        write_png(source / f"{name}.png", IMAGE)
        write_png(source / f"{name}_mask.png", mask)
    assert run_import("folder", source, out) == 1
    told = capsys.readouterr().err
    assert "two kinds are mixed" in told
    assert "--mask-values" in told
    assert not out.exists()
    assert run_import("folder", source, out, "--mask-values", "binary") == 0
    assert np.array_equal(stored(out / "b_MASK.tiff"), np.where(labels, 255, 0))


def test_a_missing_package_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_volume(tmp_path / "in" / "p1.nii", np.zeros((3, 3, 3), np.int16), None)
    monkeypatch.setitem(sys.modules, "nibabel", None)  # as where it is not installed
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 1
    assert "pip install 'napari-attnseg[import]'" in capsys.readouterr().err
