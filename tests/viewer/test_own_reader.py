"""napari's choice of a reader: ours for TIFFs and folders on request, never for what others read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from napari.plugins.utils import get_preferred_reader

from napari_attnseg.viewer.own_reader import PLUGIN, is_own_reader, set_own_reader

OURS = ["cells", "r", "rr", "arr", "bazaar", "zarr", "x.zar", "x.zarrs", "nuclei.tif", "run 2.5", "Zürich"]


@pytest.mark.parametrize("name", OURS)
def test_any_folder_is_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert get_preferred_reader(tmp_path / name) is None or name == "nuclei.tif"
    set_own_reader(True)
    assert get_preferred_reader(tmp_path / name) == PLUGIN
    assert get_preferred_reader(f"{tmp_path / name}{os.sep}") == PLUGIN


@pytest.mark.parametrize("name", ["x.zarr", "X.ZARR", "my cells.Zarr"])
def test_a_zarr_folder_is_not(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    set_own_reader(True)
    assert get_preferred_reader(tmp_path / name) is None


@pytest.mark.parametrize(("name", "ours"), [("a.tif", True), ("a.ome.tiff", True), ("a.png", False), ("README", False)])
def test_of_files_only_tiffs_are_ours(tmp_path: Path, name: str, ours: bool) -> None:
    (tmp_path / name).touch()
    set_own_reader(True)
    assert (get_preferred_reader(tmp_path / name) == PLUGIN) == ours


def test_what_the_user_has_chosen_goes_before(tmp_path: Path, napari_settings: Any) -> None:
    for name in ("patient.dcmdir", "kept", "plate/data"):
        (tmp_path / name).mkdir(parents=True)
    theirs = {"*.dcmdir/": "dicom", f"{tmp_path / 'kept'}{os.sep}": "other", "*/plate/*": "plates"}
    napari_settings.plugins.extension2reader = theirs
    set_own_reader(True)
    readers = [get_preferred_reader(tmp_path / name) for name in ("patient.dcmdir", "kept", "plate/data")]
    assert readers == ["dicom", "other", "plates"]


def test_it_can_be_undone_and_leaves_other_choices_alone(napari_settings: Any) -> None:
    theirs = {"*.png": "other", "*.tiff": "other"}
    napari_settings.plugins.extension2reader = {"*.png": "other"}
    assert not is_own_reader()
    set_own_reader(True)
    assert is_own_reader()
    napari_settings.plugins.extension2reader = napari_settings.plugins.extension2reader | theirs
    assert not is_own_reader()
    set_own_reader(False)
    assert napari_settings.plugins.extension2reader == theirs
