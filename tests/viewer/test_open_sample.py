"""File > Open Sample: copies of the user's own, opened as folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from napari.plugins import _npe2

from napari_attnseg.data.samples import sample_folder
from napari_attnseg.viewer import sample_data
from napari_attnseg.viewer.layers.roles import role_of
from napari_attnseg.viewer.session.session import session_of

SAMPLES = {"nuclei": 26, "organs": None, "stack": None}


def files(folder: Path) -> dict[str, bytes]:
    return {item.relative_to(folder).as_posix(): item.read_bytes() for item in folder.rglob("*") if item.is_file()}


def test_napari_offers_all_of_them(viewer: Any) -> None:
    offered = {key: list(samples) for key, samples in _npe2.sample_iterator()}
    assert set(offered["napari-attnseg"]) == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_copy_is_made_once_and_stays_the_users(data_folder: Path, name: str) -> None:
    folder = sample_data.own_copy(name)
    assert folder == data_folder / "samples" / name
    assert files(folder) == files(sample_folder(name))
    some = next(folder.rglob("*.tiff"))
    some.write_bytes(b"painted")
    assert sample_data.own_copy(name) == folder
    assert some.read_bytes() == b"painted"
    assert b"painted" not in files(sample_folder(name)).values()
    assert [item.name for item in folder.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_opens_as_a_folder(viewer: Any, qtbot: Any, data_folder: Path, name: str) -> None:
    viewer.open_sample("napari-attnseg", name)
    session = session_of(viewer)
    qtbot.waitUntil(lambda: session.shown is not None, timeout=10_000)
    assert session.folder is not None
    assert session.folder.root == data_folder / "samples" / name
    assert SAMPLES[name] in (None, len(session.entries()))
    assert [role_of(layer) for layer in viewer.layers] == ["image", "mask"]
