"""Masks are opened, edited and saved by the conventions, and nothing of anybody's is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.annotation.masks.document import Document, MaskChangedError, open_document
from napari_attnseg.data.classes import ClassEntry, Classes
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.pairs import Pair
from napari_attnseg.errors import DataError
from tests.conftest import MakeFolder

BINARY = MaskConvention("binary", {0: 0, 255: 1}, ("background", "foreground"))


def document_of(folder: Path, name: str = "cell00.tif") -> Document:
    return open_folder(folder).document(folder / name)


def test_a_mask_is_read_as_class_ids(make_folder: MakeFolder) -> None:
    document = document_of(make_folder())
    assert document.labels.dtype == np.uint8
    assert set(np.unique(document.labels)) == {0, 1}
    assert document.labels.shape == (48, 40)
    assert not document.is_modified


def test_a_stack_keeps_its_planes(make_folder: MakeFolder) -> None:
    assert document_of(make_folder(planes=3)).labels.shape == (3, 48, 40)


def test_without_a_mask_the_labels_are_empty(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "cell00_MASK.tif").unlink()
    document = document_of(folder)
    assert not document.has_mask
    assert document.labels.shape == (48, 40)
    assert not document.labels.any()
    document.labels[3:9, 4:8] = 1
    document.touch()
    document.save()
    written = tifffile.imread(folder / "cell00_MASK.tif")
    assert written[5, 5] == 255
    assert np.count_nonzero(written) == 24


def test_saving_keeps_value_type_and_compression(make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    mask = folder / "cell00_MASK.tif"
    tifffile.imwrite(mask, (tifffile.imread(mask) > 0).astype(np.uint16) * 7, compression="lzw")
    document = document_of(folder)
    document.labels[0, 0] = 1
    document.touch()
    document.save()
    with tifffile.TiffFile(mask) as tif:
        assert tif.pages[0].compression.name == "LZW"
        written = tif.asarray()
    assert written.dtype == np.uint16
    assert written[0, 0] == 7
    assert set(np.unique(written)) == {0, 7}


def test_numbered_objects_stay_numbered(make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    numbers = np.zeros((48, 40), np.uint16)
    for number in range(1, 40):
        numbers[number, 2:5] = number
    tifffile.imwrite(folder / "cell00_MASK.tif", numbers)
    document = document_of(folder)
    assert document.counts_objects
    document.labels[20, 30:34] = 77
    document.touch()
    document.save()
    written = tifffile.imread(folder / "cell00_MASK.tif")
    np.testing.assert_array_equal(written[20, 30:34], 77)
    np.testing.assert_array_equal(written[:20], numbers[:20])


def test_the_original_of_another_program_is_kept(make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    before = (folder / "cell00_MASK.tif").read_bytes()
    document = document_of(folder)
    for value in (1, 0):
        document.labels[0, 0] = value
        document.touch()
        document.save()
    assert (folder / ".attnseg" / "originals" / "cell00_MASK.tif").read_bytes() == before


@pytest.mark.parametrize("change", ["changed", "removed", "made"])
def test_what_another_program_did_is_not_overwritten(make_folder: MakeFolder, change: str) -> None:
    folder = make_folder(1)
    mask = folder / "cell00_MASK.tif"
    if change == "made":
        content = mask.read_bytes()
        mask.unlink()
        document = document_of(folder)
        mask.write_bytes(content)
    else:
        document = document_of(folder)
        mask.unlink()
        if change == "changed":
            tifffile.imwrite(mask, np.full((48, 40), 255, np.uint8))
    now = mask.read_bytes() if mask.exists() else None
    document.labels[:] = 1
    document.touch()
    with pytest.raises(MaskChangedError, match=f"cell00_MASK.tif was {change}"):
        document.save()
    assert (mask.read_bytes() if mask.exists() else None) == now
    document.save(overwrite=True)
    assert (tifffile.imread(mask) == 255).all()
    document.save()  # and now it is ours


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (np.zeros((10, 10), np.uint8), "10 x 10"),
        (np.dstack([np.full((48, 40), value, np.uint8) for value in (1, 2, 3)]), "colour"),
    ],
)
def test_a_mask_of_no_use_is_never_overwritten(make_folder: MakeFolder, wrong: np.ndarray, sentence: str) -> None:
    folder = make_folder(3)
    mask = folder / "cell00_MASK.tif"
    tifffile.imwrite(mask, wrong, photometric="rgb" if wrong.ndim == 3 else "minisblack")
    before = mask.read_bytes()
    document = document_of(folder)
    assert document.problem is not None
    assert sentence in document.problem
    document.labels[:] = 1
    document.touch()
    with pytest.raises(DataError, match="spare the file"):
        document.save()
    assert mask.read_bytes() == before


def test_a_second_class_leaves_the_first_ones_value(make_folder: MakeFolder) -> None:
    folder = make_folder(1)
    document = document_of(folder)
    painted = document.labels == 1
    classes = Classes(
        (
            ClassEntry(0, "background", "#000000", 0),
            ClassEntry(1, "nucleus", "#e69f00", 255),
            ClassEntry(2, "border", "#56b4e9", 2),
        )
    )
    document.with_classes(classes)
    document.labels[0, :5] = 2
    document.touch()
    document.save()
    written = tifffile.imread(folder / "cell00_MASK.tif")
    assert (written[0, :5] == 2).all()
    painted[0, :5] = False
    assert (written[painted] == 255).all()


def test_only_what_was_saved_counts_as_saved(make_folder: MakeFolder) -> None:
    document = document_of(make_folder(1))
    document.touch()
    revision = document.revision
    document.touch()
    document.saved(revision)
    assert document.is_modified
    document.saved(document.revision)
    assert not document.is_modified


def test_back_at_what_was_saved_nothing_is_modified(make_folder: MakeFolder) -> None:
    document = document_of(make_folder(1))
    document.touch()
    document.saved(document.revision)
    saved = document.revision
    document.touch()
    document.return_to(saved)
    assert not document.is_modified
    document.return_to(0)
    assert document.is_modified
    document.touch()
    assert document.revision not in (0, saved, saved + 1), "every content has a number of its own"


def test_an_image_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("no image")
    with pytest.raises(DataError, match=r"a\.tif"):
        open_document(Pair(tmp_path / "a.tif", None), BINARY)
