"""The writer: a mask of ours by its conventions, other labels as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Labels
from napari.layers._layer_actions import _duplicate_layer

from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError
from napari_attnseg.viewer.layers.roles import role_of
from napari_attnseg.viewer.reader import read
from napari_attnseg.viewer.session.session import session_of
from napari_attnseg.viewer.writer import write_labels
from tests.viewer.canvas import until

PLUGIN = "napari-attnseg"


def test_a_mask_saved_in_its_place_keeps_its_convention(viewer: Any, make_folder: Callable[..., Path]) -> None:
    folder = make_folder(1)
    mask = folder / "cell00_MASK.tif"
    before = tifffile.imread(mask)
    viewer.open(str(folder / "cell00.tif"), plugin=PLUGIN)
    layer = viewer.layers["cell00_MASK"]
    layer.paint((5, 5), 1)
    expected = np.where(np.asarray(layer.data) > 0, 255, 0)
    assert not np.array_equal(expected, before)
    assert layer.save(str(mask), plugin=PLUGIN) == [str(mask)]
    after = tifffile.imread(mask)
    assert after.dtype == before.dtype
    np.testing.assert_array_equal(after, expected)
    assert not layer.metadata["napari_attnseg"]["document"].is_modified


def test_a_duplicate_of_a_mask_is_a_layer_of_its_own(
    viewer: Any, qtbot: Any, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_folder(1)
    viewer.open(str(folder / "cell00.tif"), plugin=PLUGIN)
    layer = viewer.layers["cell00_MASK"]
    until(qtbot, lambda: session_of(viewer).masks)
    viewer.layers.selection = {layer}
    _duplicate_layer(viewer.layers)
    copy = viewer.layers["cell00_MASK copy"]
    until(qtbot, lambda: role_of(copy) == "copy")
    copy.paint((5, 5), 1)
    assert [mask.layer for mask in session_of(viewer).masks] == [layer]
    (written,) = copy.save(str(tmp_path / "copy.tiff"), plugin=PLUGIN)
    np.testing.assert_array_equal(tifffile.imread(written), copy.data)
    assert tifffile.imread(written)[5, 5] == 1
    assert layer.data[5, 5] == 0
    assert layer.save(str(folder / "cell00_MASK.tif"), plugin=PLUGIN), "the mask itself is still ours"
    assert tifffile.imread(folder / "cell00_MASK.tif").max() == 255


def test_a_mask_saved_elsewhere_holds_the_class_ids(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder(1, planes=3)
    data, options, _ = read(str(folder / "cell00.tif"))[1]
    target = tmp_path / "copy.tiff"
    assert write_labels(str(target), data, Labels(data, **options).as_layer_data_tuple()[1]) == [str(target)]
    np.testing.assert_array_equal(tifffile.imread(target), data)
    assert read_info(target).axes == "ZYX"
    assert (folder / "cell00_MASK.tif").exists()


def test_other_labels_are_written_in_the_smallest_type_with_their_axes(viewer: Any, tmp_path: Path) -> None:
    for largest, dtype in ((1, "uint8"), (256, "uint16"), (70_000, "uint32")):
        labels = np.zeros((4, 30, 20), np.int64)
        labels[1, 2, 3] = largest
        layer = viewer.add_labels(labels)
        (written,) = layer.save(str(tmp_path / f"{largest}.tif"), plugin=PLUGIN)
        stored = tifffile.imread(written)
        assert stored.dtype == dtype
        np.testing.assert_array_equal(stored, labels)
        assert read_info(Path(written)).axes == "ZYX"
        viewer.layers.clear()
    layer = viewer.add_labels(np.ones((4, 30, 20), np.uint8), axis_labels=("t", "y", "x"))
    (written,) = layer.save(str(tmp_path / "labels.tif"), plugin=PLUGIN)
    assert read_info(Path(written)).axes == "TYX"


def test_the_pixel_size_of_the_image_is_carried_over(tmp_path: Path) -> None:
    image = tmp_path / "cell.ome.tif"
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    tifffile.imwrite(image, np.zeros((30, 20), np.uint8), metadata=metadata)
    note = {"napari_attnseg": {"image": str(image), "role": "mask"}}
    target = tmp_path / "cell_MASK.ome.tif"
    write_labels(str(target), np.ones((30, 20), np.uint8), {"metadata": note})
    info = read_info(target)
    assert info.pixel_size == (0.5, 0.25)
    assert info.unit == "µm"


def test_labels_that_no_mask_can_hold_are_refused(tmp_path: Path) -> None:
    for labels in (np.full((3, 3), -1), np.full((3, 3), 2**40), np.zeros((3, 3), np.float32)):
        with pytest.raises(DataError, match=r"labels\.tif cannot be saved as a mask"):
            write_labels(str(tmp_path / "labels.tif"), labels, {})
    assert not list(tmp_path.glob("*.tif"))
