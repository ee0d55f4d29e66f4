"""The reader: what a file, several files, a mask or a folder bring to a real viewer, and without one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels
from qtpy.QtCore import QTimer

from napari_attnseg.annotation.masks.document import Document
from napari_attnseg.errors import DataError
from napari_attnseg.viewer import reader
from napari_attnseg.viewer.layers.roles import note_of, role_of
from napari_attnseg.viewer.reader import NO_LAYERS, get_reader
from napari_attnseg.viewer.session.session import session_of
from napari_attnseg.viewer.waiting import run_beside_window

PLUGIN = "napari-attnseg"


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(tifffile.imread(path))


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_only_tiff_files_and_folders_are_ours(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder(1)
    (tmp_path / "store.zarr").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "zarr.json").write_text("{}")
    assert get_reader(str(folder / "cell00.tif")) is not None
    assert get_reader([str(folder / "cell00.tif"), str(folder)]) is not None
    assert get_reader(str(folder / "OTHER.OME.TIFF")) is not None
    for other in ("a.png", "a.txt", "tif", "store.zarr", "store"):
        assert get_reader(str(tmp_path / other)) is None, other
    assert get_reader([str(folder / "cell00.tif"), str(tmp_path / "a.png")]) is None
    assert get_reader([]) is None


def test_an_image_brings_its_mask_which_the_session_adopts(
    viewer: Any, make_folder: Callable[..., Path], qtbot: Any
) -> None:
    folder = make_folder(2)
    viewer.open(str(folder / "cell00.tif"), plugin=PLUGIN)
    image, mask = viewer.layers
    assert isinstance(image, Image)
    assert isinstance(mask, Labels)
    np.testing.assert_array_equal(image.data, pixels_of(folder / "cell00.tif"))
    np.testing.assert_array_equal(mask.data, pixels_of(folder / "cell00_MASK.tif") // 255)
    assert isinstance(note_of(mask)["document"], Document)
    assert [role_of(layer) for layer in viewer.layers] == ["image", "mask"]
    qtbot.waitUntil(lambda: len(session_of(viewer).masks) == 1, timeout=5000)
    assert session_of(viewer).masks[0].layer is mask


def test_a_mask_brings_its_image_and_nothing_comes_twice(viewer: Any, make_folder: Callable[..., Path]) -> None:
    folder = make_folder(2)
    viewer.open(str(folder / "cell00_MASK.tif"), plugin=PLUGIN)
    assert names(viewer) == ["cell00", "cell00_MASK"]
    assert viewer.open(str(folder / "cell00.tif"), plugin=PLUGIN) == []
    viewer.open([str(folder / "cell00.tif"), str(folder / "cell01.tif")], plugin=PLUGIN)
    assert names(viewer) == ["cell00", "cell00_MASK", "cell01", "cell01_MASK"]
    viewer.layers.remove("cell00_MASK")
    viewer.open(str(folder / "cell00.tif"), plugin=PLUGIN)
    assert names(viewer) == ["cell00", "cell01", "cell01_MASK", "cell00_MASK"]


def test_what_is_given_comes_once_with_its_mask_and_planes(viewer: Any, make_folder: Callable[..., Path]) -> None:
    together, alone, stack = make_folder(1, "together"), make_folder(1, "alone"), make_folder(1, "stack", planes=5)
    viewer.open([str(together / "cell00.tif"), str(together / "cell00_MASK.tif")], plugin=PLUGIN, stack=True)
    assert names(viewer) == ["cell00", "cell00_MASK"]
    viewer.layers.clear()
    (alone / "cell00_MASK.tif").unlink()
    viewer.open(str(alone / "cell00.tif"), plugin=PLUGIN)
    assert names(viewer) == ["cell00"]
    viewer.layers.clear()
    viewer.open(str(stack / "cell00.tif"), plugin=PLUGIN)
    assert [layer.data.shape for layer in viewer.layers] == [(5, 48, 40)] * 2


def test_a_mask_of_another_size_is_told_and_left_alone(
    viewer: Any, make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(reader, "show_warning", told.append)
    folder = make_folder(1)
    tifffile.imwrite(folder / "cell00_MASK.tif", np.zeros((9, 9), np.uint8))
    viewer.open(str(folder / "cell00.tif"), plugin=PLUGIN)
    assert names(viewer) == ["cell00"]
    assert len(told) == 1
    assert "cell00_MASK.tif" in told[0]


def test_a_damaged_file_is_one_sentence(viewer: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.tif").write_bytes(b"II*\0 and then nothing")
    (tmp_path / "text.tif").write_text("no image")
    with pytest.raises(DataError, match=r"bad\.tif"):
        viewer.open(str(tmp_path / "bad.tif"), plugin=PLUGIN)
    with pytest.raises(DataError, match="a text file"):
        viewer.open(str(tmp_path / "text.tif"), plugin=PLUGIN)
    assert not viewer.layers


def test_spaces_and_accents_in_names(viewer: Any, make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "Zellkerne größer µ"
    shutil.copytree(make_folder(1), folder)
    (folder / "cell00.tif").rename(folder / "Bild 1.tif")
    (folder / "cell00_MASK.tif").rename(folder / "Bild 1_mask.TIF")
    viewer.open(str(folder / "Bild 1.tif"), plugin=PLUGIN)
    assert names(viewer) == ["Bild 1", "Bild 1_mask"]


def test_a_folder_opens_in_the_dock(viewer: Any, make_folder: Callable[..., Path], qtbot: Any) -> None:
    folder = make_folder(3)
    assert viewer.open(str(folder), plugin=PLUGIN) == []
    session = session_of(viewer)
    qtbot.waitUntil(lambda: session.shown == folder / "cell00.tif", timeout=10_000)
    assert len(session.entries()) == 3
    assert names(viewer) == ["cell00", "cell00_MASK"]
    assert "Annotate (napari-attnseg)" in viewer.window.dock_widgets
    assert viewer.open(str(folder / "cell00.tif"), plugin=PLUGIN) == []


def test_large_image_is_opened_lazily_and_its_overview_filled(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setattr("napari_attnseg.viewer.layers.image_layers.is_large", lambda info: True)
    pixels = np.random.default_rng(0).integers(0, 255, (300, 4200), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "wide.tif", pixels, tile=(64, 64), compression="zlib")
    viewer.open(str(tmp_path / "wide.tif"), plugin=PLUGIN)
    (layer,) = viewer.layers
    lazy = note_of(layer)["lazy"]
    assert layer.multiscale
    qtbot.waitUntil(lambda: bool(lazy.overview.is_complete), timeout=10_000)
    np.testing.assert_array_equal(np.asarray(layer.data[1]), pixels[::2, ::2])
    lazy.close()


def test_the_window_lives_while_a_file_is_read(qapp: Any) -> None:
    ticks: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(1)

    def work() -> int:
        while len(ticks) < 3:  # only an event loop that runs can end this
            pass
        return 7

    assert run_beside_window(work) == 7
    timer.stop()


def test_errors_of_work_beside_the_window_arrive(qapp: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        run_beside_window(lambda: 1 // 0)


def test_without_a_window_a_folder_gives_all_pairs(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(3)
    (folder / "cell02_MASK.tif").unlink()
    found = reader.read(str(folder))
    assert [(options["name"], kind) for _, options, kind in found] == [
        ("cell00", "image"),
        ("cell00_MASK", "labels"),
        ("cell01", "image"),
        ("cell01_MASK", "labels"),
        ("cell02", "image"),
    ]
    monkeypatch.setattr(reader, "MOST_WITHOUT_WINDOW", 2)
    with pytest.raises(DataError, match="3 images"):
        reader.read(str(folder))


def test_a_folder_without_images_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no TIFF images"):
        reader.read(str(tmp_path))
    assert NO_LAYERS == [(None,)]
