"""What is loaded ahead is there for the first image, and takes nothing away that is there already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pint
import pytest
import tifffile
from napari.components import Dims
from napari.layers import Labels

from napari_attnseg.annotation.masks.document import open_document
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.recovery import new_journal
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.pairs import Pair
from napari_attnseg.viewer.background import Background
from napari_attnseg.viewer.layers.mask_layer import MaskLayer
from napari_attnseg.viewer.warm_up import warm_up
from tests.viewer.canvas import until


@pytest.fixture
def units() -> Iterator[Any]:
    """Return the application's units, to be replaced for the test."""
    registry: Any = pint.get_application_registry()  # type: ignore[no-untyped-call]
    before = registry.get()
    yield registry
    registry.set(before)


def test_the_units_are_read_ahead(units: Any, qtbot: Any) -> None:
    units.set(pint.registry.LazyRegistry())
    background = Background()
    warm_up(background)
    until(qtbot, lambda: isinstance(units.get(), pint.UnitRegistry))
    assert units.parse_expression("2 micrometer").to("nanometer").magnitude == pytest.approx(2000)
    background.close()


def test_units_that_are_there_stay(units: Any, qtbot: Any) -> None:
    own = pint.UnitRegistry()
    units.set(own)
    background = Background()
    warm_up(background)
    assert background.wait(60)
    qtbot.wait(20)
    assert units.get() is own
    background.close()


def test_the_tool_is_back_once_a_large_mask_can_be_painted(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, np.zeros((5000, 4500), np.uint8), compression="deflate")
    document = open_document(Pair(path, None), MaskConvention("binary", {0: 0, 255: 1}, ("background", "foreground")))
    layer = Labels(document.labels[:8, :8])
    layer.mode = "fill"
    mask = MaskLayer(Editing(document, new_journal(document)), layer, Dims(ndim=2))
    assert (layer.editable, str(layer.mode)) == (False, "pan_zoom")
    mask.show_window((0.0, 0.0, 500.0, 500.0))
    assert (layer.editable, str(layer.mode)) == (True, "fill")
    mask.show_window((0.0, 0.0, 5000.0, 4500.0))
    assert str(layer.mode) == "pan_zoom"
    mask.detach()
    assert (layer.editable, str(layer.mode)) == (True, "fill")
    mask.editing.journal.close()
