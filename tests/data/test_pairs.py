"""Names, groups and splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_attnseg.data.pairs import Pair, find_pairs, mask_path, output_path, require_annotated
from napari_attnseg.data.split import split_pairs
from napari_attnseg.errors import DataError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(folder: Path, **options) -> dict[str, str | None]:
    pairs = find_pairs(folder, **options).pairs
    return {pair.image.relative_to(folder).as_posix(): pair.mask and pair.mask.name for pair in pairs}


def test_names_that_belong_together(tmp_path):
    touch(
        tmp_path, "a.tif", "a_MASK.TIFF", "b.ome.tif", "b_mask.tif", "sub dir/c é.TIFF", "sub dir/c é_Mask.ome.tiff",
        "d.tif", "a_PRED.tif", "a_PROB.tif", "a_attn.tif", ".e.tif", "._a.tif", ".hidden/f.tif", "notes.txt",
        "other/a_MASK.tif", "Cell.tif", "cell_mask.tif",
    )  # fmt: skip
    assert found(tmp_path) == {
        "Cell.tif": "cell_mask.tif",
        "a.tif": "a_MASK.TIFF",
        "b.ome.tif": "b_mask.tif",
        "d.tif": None,
        "sub dir/c é.TIFF": "c é_Mask.ome.tiff",
    }
    listing = find_pairs(tmp_path)
    assert [path.name for path in listing.unpaired_masks] == ["a_MASK.tif"]
    assert not listing.conflicts
    assert [pair.name for pair in listing.annotated] == ["Cell", "a", "b", "c é"]
    assert [pair.name for pair in listing.unannotated] == ["d"]


def test_another_suffix(tmp_path):
    touch(tmp_path, "a.tif", "a_PRED.tif", "a_MASK.tif")
    assert found(tmp_path, mask_suffix="_pred") == {"a.tif": "a_PRED.tif", "a_MASK.tif": None}


def test_accents_in_two_encodings(tmp_path):
    touch(tmp_path, "cafe\u0301.tif", "caf\u00e9_MASK.tif")
    assert len(find_pairs(tmp_path).annotated) == 1


def test_one_file(tmp_path):
    touch(tmp_path, "a.tif", "a_MASK.tif", "b.tif", "c_MASK.tif")
    for name in ("a.tif", "a_MASK.tif"):
        assert find_pairs(tmp_path / name).pairs == (Pair(tmp_path / "a.tif", tmp_path / "a_MASK.tif"),)
    assert find_pairs(tmp_path / "b.tif").pairs == (Pair(tmp_path / "b.tif", None),)
    with pytest.raises(DataError, match=r"c_MASK\.tif is a mask and its image is not in"):
        find_pairs(tmp_path / "c_MASK.tif")


def test_links_that_lead_back_end(tmp_path):
    touch(tmp_path, "a.tif")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert found(tmp_path) == {"a.tif": None}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.tif", "a_MASK.tif", "a_mask.tiff"], r"a\.tif has 2 masks, a_MASK\.tif and a_mask\.tiff; keep one"),
        (["a.tif", "a.tiff", "a_MASK.tif"], r"a\.tif and a\.tiff differ only in their extensions and share the mask"),
        ([], r"There are no TIFF images"),
        (["a_MASK.tif", "b_MASK.tif"], r"has 2 masks but no image; a_MASK\.tif belongs to an image a\.tif"),
        (
            ["a.tif", "c_MASK.tif"],
            r"found 1 image, and 1 mask of other names\. The mask of a\.tif is expected in a_MASK\.tif",
        ),
    ],
)
def test_folders_that_cannot_be_trained_on(tmp_path, names, message):
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        require_annotated(find_pairs(tmp_path))


def test_sources_that_are_none(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(DataError, match="does not exist"):
        find_pairs(tmp_path / "none")
    with pytest.raises(DataError, match="is not named as a TIFF"):
        find_pairs(tmp_path / "notes.txt")


def test_names_of_what_is_written(tmp_path):
    image = tmp_path / "a.b.ome.TIF"
    assert mask_path(image).name == "a.b_MASK.ome.TIF"
    assert output_path(image, "_PRED", tmp_path / "out") == tmp_path / "out" / "a.b_PRED.ome.TIF"


PAIRS = tuple(Pair(Path(f"p{patient}_{i}.tif"), None) for patient in range(6) for i in range(3))


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0), (0.01, 1), (0.2, 4), (0.5, 9), (0.99, 17)])
def test_split_by_image(fraction, expected):
    train, held_out = split_pairs(PAIRS, fraction=fraction, seed=3)
    assert len(held_out) == expected
    assert sorted(train + held_out, key=lambda pair: pair.image) == list(PAIRS)
    assert (train, held_out) == split_pairs(PAIRS[::-1], fraction=fraction, seed=3)
    assert not expected or held_out != split_pairs(PAIRS, fraction=fraction, seed=4)[1]


@pytest.mark.parametrize("pattern", [r"^p\d", r"^(p\d)_", r"(\d)_"])
def test_split_by_group(pattern):
    train, held_out = split_pairs(PAIRS, fraction=0.3, group_pattern=pattern)
    patients = [{pair.name[:2] for pair in side} for side in (train, held_out)]
    assert not patients[0] & patients[1]
    assert len(held_out) == 6


def test_groups_that_are_special():
    assert split_pairs(PAIRS, fraction=0.5, group_pattern="p") == (PAIRS, ())
    assert split_pairs(PAIRS[:1], fraction=0.5) == (PAIRS[:1], ())
    assert [len(side) for side in split_pairs(PAIRS[:2], fraction=0.9)] == [1, 1]
    train, _ = split_pairs(PAIRS, fraction=0.9, group_pattern="p0")  # the others stand alone
    assert len({pair in train for pair in PAIRS[:3]}) == 1
    assert train
    with pytest.raises(DataError, match=r"'plate' matches no image name, such as 'p0_0'"):
        split_pairs(PAIRS, fraction=0.5, group_pattern="plate")
    with pytest.raises(DataError, match="no regular expression"):
        split_pairs(PAIRS, fraction=0.5, group_pattern="(")
