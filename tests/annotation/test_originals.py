"""A mask from elsewhere is kept before the first overwriting; ours are not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.masks.originals import keep_original, restore_original
from napari_attnseg.annotation.places import (
    README,
    journals_folder,
    make_private_folder,
    private_folder,
    user_data_folder,
)
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.write import write_image
from napari_attnseg.errors import DataError, SaveError

MASK = np.eye(20, dtype=np.uint8) * 255


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a mask that another program wrote, in a sub-folder."""
    path = tmp_path / "Platte ä 1" / "cell 1_MASK.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, MASK, software="ImageJ")
    return path


def test_a_mask_from_elsewhere_is_kept_once_byte_for_byte(tmp_path, elsewhere):
    content, written = elsewhere.read_bytes(), elsewhere.stat().st_mtime_ns
    copy = keep_original(elsewhere, tmp_path)
    assert copy == tmp_path / ".attnseg" / "originals" / "Platte ä 1" / "cell 1_MASK.tif"
    assert copy.read_bytes() == content
    assert copy.stat().st_mtime_ns == written
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    tifffile.imwrite(elsewhere, MASK[::-1].copy(), software="ImageJ 2")
    assert keep_original(elsewhere, tmp_path) is None
    assert copy.read_bytes() == content
    assert (private_folder(tmp_path) / README).read_text(encoding="utf-8").count("\n") == 2


@pytest.mark.parametrize("axes", ["YX", "ZYX"])
@pytest.mark.parametrize("name", ["a_MASK.tif", "a_MASK.ome.tif"])
def test_our_own_masks_are_not_kept(tmp_path, axes, name):
    path = tmp_path / name
    write_image(path, MASK if axes == "YX" else np.stack([MASK] * 3), axes)
    assert keep_original(path, tmp_path) is None
    assert not private_folder(tmp_path).exists()


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"no TIFF at all" * 9])
def test_what_cannot_be_read_is_from_elsewhere(tmp_path, content):
    path = tmp_path / "a_MASK.tif"
    path.write_bytes(content)
    copy = keep_original(path, tmp_path)
    assert copy is not None
    assert copy.read_bytes() == content


def test_no_mask_no_copy(tmp_path):
    assert keep_original(tmp_path / "a_MASK.tif", tmp_path) is None
    assert not private_folder(tmp_path).exists()


def test_a_link_is_followed(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "data").mkdir()
    tifffile.imwrite(tmp_path / "store" / "m.tif", MASK)
    link = tmp_path / "data" / "a_MASK.tif"
    link.symlink_to(tmp_path / "store" / "m.tif")
    copy = keep_original(link, tmp_path / "data")
    assert copy is not None
    assert not copy.is_symlink()
    assert copy.read_bytes() == link.read_bytes()


def test_originals_are_no_images_of_the_folder(tmp_path, elsewhere):
    tifffile.imwrite(elsewhere.with_name("cell 1.tif"), MASK)
    keep_original(elsewhere, tmp_path)
    listing = find_pairs(tmp_path)
    assert [pair.mask for pair in listing.pairs] == [elsewhere]
    assert listing.unpaired_masks == ()


def test_what_cannot_be_kept_is_said(tmp_path, elsewhere):
    content = elsewhere.read_bytes()
    (tmp_path / ".attnseg").write_text("in the way")
    with pytest.raises(SaveError, match=r"^cell 1_MASK.tif was not overwritten: it came from elsewhere.*\.$"):
        keep_original(elsewhere, tmp_path)
    (tmp_path / ".attnseg").unlink()
    make_private_folder(tmp_path)
    (tmp_path / ".attnseg" / "originals").write_text("in the way")
    with pytest.raises(SaveError, match="could not be kept in"):
        keep_original(elsewhere, tmp_path)
    assert elsewhere.read_bytes() == content


def test_an_original_is_put_back_and_what_it_replaces_is_kept(tmp_path, elsewhere):
    content = elsewhere.read_bytes()
    with pytest.raises(DataError, match=r"No original of cell 1_MASK.tif is kept"):
        restore_original(elsewhere, tmp_path)
    copy = keep_original(elsewhere, tmp_path)
    assert copy is not None
    for number in (1, 2):
        elsewhere.write_bytes(b"edited %d" % number)
        replaced = restore_original(elsewhere, tmp_path)
        assert replaced == copy.with_name(f"cell 1_MASK.tif.replaced-{number}")
        assert replaced.read_bytes() == b"edited %d" % number
        assert elsewhere.read_bytes() == content
    elsewhere.unlink()
    assert restore_original(elsewhere, tmp_path) is None
    assert elsewhere.read_bytes() == content
    assert copy.read_bytes() == content


def test_putting_back_where_that_is_not_possible(tmp_path, elsewhere):
    assert keep_original(elsewhere, tmp_path) is not None
    elsewhere.unlink()
    elsewhere.parent.rmdir()
    with pytest.raises(SaveError, match=r"^The original of cell 1_MASK.tif could not be put back: .*\.$"):
        restore_original(elsewhere, tmp_path)


def test_a_mask_outside_of_the_folder_is_a_fault_of_the_program(tmp_path, elsewhere):
    with pytest.raises(ValueError, match="not in the subpath"):
        keep_original(elsewhere, tmp_path / "other")


def test_the_user_s_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(tmp_path / "Daten"))
    assert user_data_folder() == tmp_path / "Daten"
    assert journals_folder() == tmp_path / "Daten" / "journals"
    monkeypatch.delenv("NAPARI_ATTNSEG_DATA")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    places = {
        "linux": tmp_path / "share" / "napari-attnseg",
        "win32": tmp_path / "local" / "napari-attnseg",
        "darwin": tmp_path / "home" / "Library" / "Application Support" / "napari-attnseg",
    }
    for system, expected in places.items():
        if system == "darwin" and os.name == "nt":
            continue
        monkeypatch.setattr("sys.platform", system)
        assert user_data_folder() == expected
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert user_data_folder() == Path.home() / ".local" / "share" / "napari-attnseg"
    assert not user_data_folder().exists()
