"""Objects in the viewer: separated, measured, chosen in the table and on the image, corrected, saved."""

from __future__ import annotations

import csv
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QMessageBox

from napari_attnseg.objects import room
from napari_attnseg.settings import ObjectSettings
from napari_attnseg.viewer.layers.roles import KEY
from napari_attnseg.viewer.objects import kept as kept_objects
from napari_attnseg.viewer.objects.dock import ObjectsDock
from napari_attnseg.viewer.objects.kept import KeptObjects
from napari_attnseg.viewer.objects.work import Asked, Found, State, find
from napari_attnseg.viewer.predict.predicted_image import PredictedImage
from napari_attnseg.viewer.widgets.object_options import ObjectOptions
from napari_attnseg.viewer.widgets.object_progress import ObjectProgress
from napari_attnseg.viewer.widgets.object_table import ObjectTable, ObjectView
from tests.viewer.canvas import stroke, until
from tests.viewer.docked import answer, click, labels, make_dock, opened, ours
from tests.viewer.narrow import cut_off, without_tooltip
from tests.viewer.narrow import dock as docked


def touching(folder: Path, count: int = 2, planes: int = 0) -> Path:
    """Fill a folder with images of 64 x 96 pixels of 0.5 µm: two discs that touch, and one apart."""
    folder.mkdir()
    rows, columns = np.indices((64, 96))
    found = np.zeros((64, 96), bool)
    for y, x, radius in ((30, 20, 11), (30, 38, 11), (20, 75, 8)):
        found |= (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    image = np.clip(40 + 150 * found + 10 * (columns > 60), 0, 255).astype(np.uint8)
    mask = found.astype(np.uint8) * 255
    options: dict[str, Any] = {"imagej": True, "resolution": (2, 2), "metadata": {"unit": "um"}}
    if planes:
        image, mask = (np.repeat(part[None], planes, 0) for part in (image, mask))
        options["metadata"] = {"unit": "um", "axes": "ZYX", "spacing": 1.0}
    for number in range(count):
        tifffile.imwrite(folder / f"cells{number}.tif", image, **options)
        tifffile.imwrite(folder / f"cells{number}_MASK.tif", mask, **options)
    return folder


def with_objects(viewer: Any, qtbot: Any, folder: Path) -> ObjectsDock:
    """Open a folder with both docks, the objects in front."""
    opened(make_dock(viewer, qtbot), qtbot, folder)
    dock = ObjectsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Objects", area="right")
    until(qtbot, lambda: dock.separate_button.isEnabled() or dock.measure_button.isEnabled())
    return dock


def pressed(dock: ObjectsDock, qtbot: Any, button: Any) -> None:
    """Press a button and wait for what comes of it."""
    before = dock.found
    click(qtbot, button)
    until(qtbot, lambda: not dock.run.is_busy and dock.found is not before)


def cell(dock: ObjectsDock, row: int, title: str) -> str:
    column = next(i for i, name in enumerate(dock.table.titles) if name == title)
    return str(dock.table.data(dock.table.index(row, column)))


def test_touching_objects_are_separated_measured_and_linked(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    folder = touching(tmp_path / "cells")
    dock = with_objects(viewer, qtbot, folder)
    mask = dock.session.mask.editing.labels.copy()
    pressed(dock, qtbot, dock.separate_button)
    assert dock.table.rowCount() == 3
    assert np.array_equal(dock.session.mask.editing.labels, mask), "the mask is not touched"
    (layer,) = ours(viewer, "objects")
    assert isinstance(layer, Labels)
    assert layer.name == "cells0 objects"
    assert set(np.unique(layer.data)) == {0, 1, 2, 3}
    assert "mean area" in dock.progress.line.text()
    assert "µm²" in dock.progress.line.text()
    area = float(cell(dock, 0, "Area (µm²)"))
    assert area == pytest.approx(int(cell(dock, 0, "Pixels")) / 4, rel=1e-3)
    assert "Class" not in dock.table.titles
    assert "Mean intensity" in dock.table.titles

    _a_row_moves_the_image(dock, qtbot, layer)
    _a_click_on_the_image_marks_the_row(dock, qtbot, layer)
    _columns_are_sorted(dock, qtbot)
    _a_correction_by_hand_is_measured(dock, qtbot, layer)
    _the_table_is_written(dock, qtbot, tmp_path)


def _a_row_moves_the_image(dock: ObjectsDock, qtbot: Any, layer: Any) -> None:
    row = dock.table.row_of(int(layer.data[20, 75]))
    assert row is not None
    place = dock.view.visualRect(dock.table.index(row, 0)).center()
    qtbot.mouseClick(dock.view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place))
    assert layer.selected_label == layer.data[20, 75]
    centre = dock.session.viewer.scene.camera.center[-2:]
    assert centre == pytest.approx((20 * 0.5, 75 * 0.5), abs=0.3)
    near = dock.session.viewer.scene.camera.zoom
    dock.session.viewer.scene.camera.zoom = near / 100
    dock.view.chosen.emit(dock.table.number(row))
    seen = 15 * 0.5 * dock.session.viewer.scene.camera.zoom  # pixels of the screen
    assert seen == pytest.approx(40), "a speck is brought near"


def _a_click_on_the_image_marks_the_row(dock: ObjectsDock, qtbot: Any, layer: Any) -> None:
    viewer = dock.session.viewer
    dock.session.mask.layer.mode = "pan_zoom"
    viewer.reset_view()
    qtbot.wait(50)
    stroke(qtbot, viewer, [(30 * 0.5, 15 * 0.5)])
    assert dock.table.number(dock.view.currentIndex().row()) == layer.data[30, 15]
    assert layer.selected_label == layer.data[30, 15]
    layer.selected_label = int(layer.data[30, 45])  # as napari's own picker does
    assert dock.table.number(dock.view.currentIndex().row()) == layer.data[30, 45]


def _columns_are_sorted(dock: ObjectsDock, qtbot: Any) -> None:
    chosen = dock.table.number(dock.view.currentIndex().row())
    column = dock.table.titles.index("Pixels")
    dock.view.sortByColumn(column, Qt.SortOrder.DescendingOrder)
    sizes = [int(cell(dock, row, "Pixels")) for row in range(3)]
    assert sizes == sorted(sizes, reverse=True)
    assert dock.table.number(dock.view.currentIndex().row()) == chosen, "the choice goes along"


def _a_correction_by_hand_is_measured(dock: ObjectsDock, qtbot: Any, layer: Any) -> None:
    one, other = int(layer.data[30, 15]), int(layer.data[30, 45])
    joined = layer.data.copy()
    joined[joined == other] = one
    layer.data = joined
    assert "corrected since: press 'Measure'" in dock.progress.line.text()
    click(qtbot, dock.measure_button)
    layer.data_setitem((np.array([0]), np.array([0])), 7)  # a stroke while it is measured
    until(qtbot, lambda: not dock.run.is_busy and dock.table.rowCount() == 2)
    assert dock.table.row_of(other) is None
    assert layer.data[0, 0] == 7, "what is painted meanwhile stays"
    assert "corrected since" in dock.progress.line.text()
    layer.undo()
    assert layer.data[0, 0] == 0


def _the_table_is_written(dock: ObjectsDock, qtbot: Any, tmp_path: Path) -> None:
    dock.save_table(tmp_path / "table")
    until(qtbot, lambda: "Saved table.csv" in dock.progress.line.text())
    text = (tmp_path / "table.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 2
    assert rows[0]["Image"] == "cells0"
    assert float(rows[0]["Area (µm²)"]) > 0


def test_another_image_has_objects_of_its_own(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    dock = with_objects(viewer, qtbot, touching(tmp_path / "cells"))
    pressed(dock, qtbot, dock.measure_button)  # without a layer of objects: what touches is one
    assert dock.table.rowCount() == 2
    first, second = (pair.image for pair in dock.session.folder.pairs)
    ours(viewer, "objects")[0].data_setitem((np.array([0]), np.array([0])), 9)
    dock.session.show(second)
    until(qtbot, lambda: dock.session.shown == second and not ours(viewer, "objects"))
    assert dock.table.rowCount() == 0
    assert not dock.save_button.isEnabled()
    assert [names() for names in dock.session.at_risk] == [["cells0.tif"]], "closing asks about it"
    dock.session.show(first)
    until(qtbot, lambda: dock.table.rowCount() == 2)
    assert ours(viewer, "objects")[0].data[0, 0] == 9, "what was corrected by hand comes again"
    assert [names() for names in dock.session.at_risk] == [["cells0.tif"]]
    assert "corrected since" in dock.progress.line.text()
    _corrections_are_asked_for(dock, qtbot)
    _a_change_of_the_mask_is_told(dock, qtbot)


def _corrections_are_asked_for(dock: ObjectsDock, qtbot: Any) -> None:
    seen = answer(QMessageBox, lambda box: box.reject())
    click(qtbot, dock.separate_button)
    assert seen
    assert not dock.run.is_busy
    seen = answer(QMessageBox, lambda box: next(b for b in box.buttons() if b.text() == "Separate anew").click())
    click(qtbot, dock.separate_button)
    until(qtbot, lambda: dock.table.rowCount() == 3)
    assert seen
    assert [names() for names in dock.session.at_risk] == [[]]


def _a_change_of_the_mask_is_told(dock: ObjectsDock, qtbot: Any) -> None:
    mask = dock.session.mask
    assert mask is not None
    assert "since" not in dock.progress.line.text()
    viewer = dock.session.viewer
    viewer.layers.selection.active = mask.layer
    mask.layer.mode = "paint"
    stroke(qtbot, viewer, [(2.0, 2.0), (2.0, 5.0)])
    assert "mask has changed since: press 'Separate objects'" in dock.progress.line.text()
    pressed(dock, qtbot, dock.separate_button)
    assert "since" not in dock.progress.line.text()


def test_a_mask_that_numbers_its_objects_is_measured_as_it_is_now(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    folder = touching(tmp_path / "cells")
    for number in range(2):
        labels = np.zeros((64, 96), np.uint16)
        for place in range(40):
            labels[10:20, 2 * place] = 100 + 50 * number + place
        tifffile.imwrite(folder / f"cells{number}_MASK.tif", labels)
    dock = with_objects(viewer, qtbot, folder)
    assert not dock.separate_button.isEnabled()
    pressed(dock, qtbot, dock.measure_button)
    assert dock.table.rowCount() == 40
    assert dock.table.row_of(100) is not None, "numbers stay"
    mask = dock.session.mask
    mask.apply({(): np.where(mask.editing.labels == 100, 0, mask.editing.labels)})
    assert "mask has changed since: press 'Measure'" in dock.progress.line.text()
    pressed(dock, qtbot, dock.measure_button)
    assert dock.table.row_of(100) is None
    assert dock.table.rowCount() == 39


def test_a_volume_is_measured_through_its_planes(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    dock = with_objects(viewer, qtbot, touching(tmp_path / "cells", 1, planes=4))
    assert dock.options.stack_box.isVisibleTo(dock.options)
    pressed(dock, qtbot, dock.separate_button)
    assert dock.table.rowCount() == 3
    assert "Volume (µm³)" in dock.table.titles
    assert ours(viewer, "objects")[0].data.shape == (4, 64, 96)
    dock.options.stack_box.setCurrentIndex(1)
    pressed(dock, qtbot, dock.separate_button)
    assert dock.table.rowCount() == 12
    assert "Area (µm²)" in dock.table.titles
    number = int(ours(viewer, "objects")[0].data[3, 20, 75])
    dock.view.chosen.emit(number)
    assert viewer.dims.current_step[0] == 3


def test_units_keep_what_is_meant(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    dock = with_objects(viewer, qtbot, touching(tmp_path / "cells", 1))
    options = dock.options
    options.size_box.setValue(240)
    options.apart_box.setValue(10)
    options.unit_box.setCurrentIndex(1)
    assert options.size_box.text() == "60.00 µm²"
    assert options.apart_box.text() == "5.00 µm"
    pressed(dock, qtbot, dock.separate_button)
    assert dock.table.rowCount() == 2, "the disc of 200 pixels is dropped"
    _an_error_leaves_the_dock_usable(dock, qtbot)
    options.unit_box.setCurrentIndex(0)
    assert (options.size_box.text(), options.apart_box.text()) == ("240 px", "10 px")


def _an_error_leaves_the_dock_usable(dock: ObjectsDock, qtbot: Any) -> None:
    image = dock.session.shown
    content = image.read_bytes()
    image.write_bytes(b"no image")
    click(qtbot, dock.separate_button)
    until(qtbot, lambda: not dock.run.is_busy)
    assert image.name in dock.progress.line.text()
    image.write_bytes(content)
    pressed(dock, qtbot, dock.separate_button)
    assert "objects" in dock.progress.line.text()


def test_without_anything_to_measure_it_says_so(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    folder = touching(tmp_path / "cells", 1)
    (folder / "cells0_MASK.tif").unlink()
    dock = ObjectsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Objects", area="right")
    assert not dock.separate_button.isEnabled()
    assert "Open an image first" in dock.progress.line.text()
    annotate = make_dock(viewer, qtbot)
    opened(annotate, qtbot, folder)
    until(qtbot, dock.separate_button.isEnabled)
    click(qtbot, dock.separate_button)
    until(qtbot, lambda: dock.progress.line.text() == "There is nothing in the mask of cells0.tif yet.")
    assert dock.found is None
    labels(annotate)[10:20, 10:20] = 1
    pressed(dock, qtbot, dock.separate_button)
    assert dock.table.rowCount() == 1


class Stored:
    """Pixels in a file, as a level of a large prediction is, which notes in which threads all of them are read."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.shape, self.dtype, self.ndim, self.size = values.shape, values.dtype, values.ndim, values.size
        self.readers: list[threading.Thread] = []

    def __getitem__(self, key: Any) -> np.ndarray:
        return self._values[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self.readers.append(threading.current_thread())
        return np.asarray(self._values, dtype)


def test_a_large_prediction_is_read_in_the_background_if_there_is_memory(
    viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = touching(tmp_path / "cells", 1)
    stored = Stored((tifffile.imread(folder / "cells0_MASK.tif") > 0).astype(np.uint8))
    dock = with_objects(viewer, qtbot, folder)
    note = {KEY: {"role": "prediction", "image": str(folder / "cells0.tif")}}
    viewer.add_labels([stored, stored[::2, ::2]], multiscale=True, metadata=note)
    until(qtbot, lambda: dock.kind == "prediction")
    del stored.readers[:]
    with monkeypatch.context() as patch:
        patch.setattr(room, "BYTES_TO_SEPARATE", 2**50)
        click(qtbot, dock.separate_button)
        until(qtbot, lambda: "Finding the objects of cells0.tif takes about" in dock.progress.line.text())
    assert stored.readers == []
    pressed(dock, qtbot, dock.separate_button)
    assert dock.table.rowCount() == 3
    assert len(stored.readers) == 1
    assert stored.readers[0] is not threading.main_thread()


def test_a_prediction_is_taken_first_and_its_probability_cuts(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    folder = touching(tmp_path / "cells", 1)
    (folder / "cells0_MASK.tif").unlink()
    annotate = opened(make_dock(viewer, qtbot), qtbot, folder)
    dock = ObjectsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Objects", area="right")
    probability = np.full((1, 1, 64, 96), 0.02, np.float32)
    probability[..., 20:40, 10:60] = 0.98
    probability[..., 20:40, 34:37] = 0.6  # the shape alone has no neck
    image = annotate.session.shown
    found = PredictedImage(image, Path("model"), (), ("background", "foreground"), probability)
    found.take((), probability, None)
    annotate.session.learning.proposals.show(found)
    until(qtbot, lambda: dock.kind == "prediction")
    pressed(dock, qtbot, dock.separate_button)
    assert dock.table.rowCount() == 2
    assert not labels(annotate).any()


def test_thousands_of_objects_are_sorted_at_once(qtbot: Any) -> None:
    count = 5000
    rng = np.random.default_rng(0)
    sizes = rng.permutation(count).astype(float)
    sizes[7] = np.nan
    view = ObjectView(table := ObjectTable())
    qtbot.addWidget(view)
    view.setColumns({"Object": np.arange(1, count + 1), "Area (µm²)": sizes})
    view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    shown = [float(sizes[table.number(row) - 1]) for row in range(count)]
    assert np.isnan(shown[-1]), "what is not known comes last"
    assert shown[:-1] == sorted(shown[:-1], reverse=True)
    chosen: list[int] = []
    view.chosen.connect(chosen.append)
    view.choose(4321)
    assert chosen == []
    assert table.number(view.currentIndex().row()) == 4321
    view.selectRow(0)
    assert chosen == [table.number(0)]


def test_sparse_numbers_keep_their_numbers(tmp_path: Path) -> None:
    image = touching(tmp_path / "cells", 1, planes=3) / "cells0.tif"
    labels = np.zeros((3, 64, 96), np.uint32)
    labels[:, 20:40, 10:30] = 4_000_000_000
    labels[1, 50:60, 50:60] = 17
    state = State(from_layer=True)
    settings = ObjectSettings(split=False, reach="planes")
    known = np.array([0] + 20 * [2], np.uint8)
    asked = Asked(image, None, None, labels, known, None, ("background", "cell", "gap"), settings, state)
    found = find(asked, lambda share: None, lambda: False)
    assert list(found.table.columns["Object"]) == [17, 4_000_000_000]
    assert list(found.table.columns["Class"]) == ["gap", "cell"]
    assert list(found.table.columns["Pixels"]) == [100, 1200]
    assert "Volume (µm³)" in found.table.columns, "one number on three planes is one object"
    assert found.labels is labels


def test_what_was_corrected_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, labels = KeptObjects(), np.zeros((10, 10), np.uint8)
    monkeypatch.setattr(kept_objects, "KEPT", 250)
    images = [Path(f"cell{number}.tif") for number in range(5)]
    for number, image in enumerate(images):
        kept.keep(Found(image, labels, labels, None, "", State(corrected=number == 0)))
    assert [kept.get(image) is not None for image in images] == [True, False, False, True, True]


def test_small_lengths_keep_their_digits(qtbot: Any) -> None:
    options = ObjectOptions()
    qtbot.addWidget(options)
    options.setImage("mm", 0.00025**2, None, stack=False)
    options.size_box.setValue(20)
    options.unit_box.setCurrentIndex(1)
    assert options.value().min_size == pytest.approx(20 * 0.00025**2, rel=0.01)
    options.unit_box.setCurrentIndex(0)
    assert options.size_box.value() == 20


def test_everything_fits_and_explains_itself(viewer: Any, qtbot: Any) -> None:
    options, progress = ObjectOptions(), ObjectProgress()
    options.setImage("µm", 0.0625, 0.125, stack=True)
    options.setValue(ObjectSettings(unit="physical", min_size=9876.54, min_distance=987.65))
    progress.setIdle("12345 objects, mean volume 1.234e+05 µm³")
    for widget in (options, progress):
        area = docked(viewer, qtbot, widget)
        assert cut_off(widget) == []
        assert without_tooltip(widget) == []
        viewer.window.remove_dock_widget(area)
