"""The layer of numbered objects, beside the mask and never in its place; and the object that is chosen on it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Labels, Layer
from psygnal import Signal

from napari_attnseg.data.pairs import stem_of
from napari_attnseg.viewer.layers.clicks import is_click
from napari_attnseg.viewer.layers.roles import KEY, image_of, role_of

Array = np.ndarray[Any, Any]

OPACITY = 0.6
SEEN = 40  # pixels of the screen that a chosen object takes at least


class ObjectsLayer:
    """Shows the objects of one image at a time, updated in place."""

    picked = Signal(int)
    """The number of the object that the user chose on the image or in the layer's controls."""
    edited = Signal()
    """The user has changed objects by hand."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None
        self._choosing = False
        self._showing = False
        self.edits = 0
        """How often the objects that are shown were changed by hand."""
        viewer.mouse_drag_callbacks.append(self._on_drag)

    def close(self) -> None:
        """Take no more clicks."""
        if self._on_drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_drag)

    @property
    def layer(self) -> Labels | None:
        """The layer, if the user has not removed it."""
        return self._layer if self._layer is not None and self._layer in self._viewer.layers else None

    def labels(self, image: Path) -> Array | None:
        """Return the numbers of an image's objects as they are on the layer, edited perhaps; None if not shown."""
        layer = self.layer
        return np.asarray(layer.data) if layer is not None and image_of(layer) == image else None

    def show(self, image: Path, labels: Array) -> None:
        """Show the objects of an image over it; the layer that is selected stays so."""
        below = self._reference(image)
        if below is None:
            return
        selected = list(self._viewer.layers.selection)
        place = {name: getattr(below, name) for name in ("scale", "translate", "units", "axis_labels")}
        options = {"name": f"{stem_of(image)} objects", "metadata": {KEY: {"image": str(image), "role": "objects"}}}
        layer = self.layer
        if layer is not None and layer.ndim == labels.ndim:
            if layer.data is not labels:  # napari forgets its undo otherwise
                self._put(layer, labels)
            for name, value in {**options, **place}.items():
                if not np.array_equal(getattr(layer, name), value):
                    setattr(layer, name, value)
            layer.visible = True
        else:
            if layer is not None:
                self._viewer.layers.remove(layer)
            self._layer = self._viewer.add_labels(labels, opacity=OPACITY, **options, **place)
            self._layer.events.selected_label.connect(self._on_label)
            self._layer.events.paint.connect(self._on_edit)
            self._layer.events.data.connect(self._on_edit)
            self.edits = 0
        self._viewer.layers.selection = {layer for layer in selected if layer in self._viewer.layers}

    def hide(self) -> None:
        """Show no objects; the layer goes, and comes again with the next ones."""
        layer = self.layer
        if layer is not None:
            layer.events.selected_label.disconnect(self._on_label)
            layer.events.paint.disconnect(self._on_edit)
            layer.events.data.disconnect(self._on_edit)
            self._viewer.layers.remove(layer)
        self._layer = None

    def choose(self, number: int, centre: tuple[float, ...], extent: float) -> None:
        """Select an object and bring it to the middle, near enough to be told from others.

        Parameters
        ----------
        number
            Of the object.
        centre
            (stack axes..., y, x), in pixels.
        extent
            Its larger side, in pixels.
        """
        layer = self.layer
        if layer is None:
            return
        self._choosing = True
        layer.selected_label = number
        self._choosing = False
        world = layer.data_to_world(centre)
        dims = self._viewer.dims
        for axis, value in enumerate(world[:-2]):
            dims.set_point(axis + dims.ndim - layer.ndim, float(value))
        camera = self._viewer.scene.camera
        camera.center = (*camera.center[:-2], *(float(value) for value in world[-2:]))
        camera.zoom = max(camera.zoom, SEEN / max(extent * float(layer.scale[-1]), 1e-9))

    def show_only_chosen(self, only: bool) -> None:
        """Show the chosen object alone, or all of them."""
        if self.layer is not None:
            self.layer.show_selected_label = only

    def _reference(self, image: Path) -> Layer | None:
        """Return the layer of the image itself."""
        layers = [layer for layer in self._viewer.layers if role_of(layer) == "image" and image_of(layer) == image]
        return layers[-1] if layers else None

    def _put(self, layer: Labels, labels: Array) -> None:
        self._showing = True
        layer.data = labels
        self._showing = False
        self.edits = 0

    def _on_edit(self, event: Any) -> None:
        if not self._showing:
            self.edits += 1
            self.edited.emit()

    def _on_label(self, event: Any) -> None:
        if not self._choosing and self.layer is not None:
            self.picked.emit(int(self.layer.selected_label))

    def _on_drag(self, viewer: Viewer, event: Any) -> Generator[None, None, None]:
        """Take a click where nothing is painted as a choice; a drag moves the image."""
        layer, active = self.layer, viewer.layers.selection.active
        tool = str(getattr(active, "mode", "pan_zoom"))
        if layer is None or not layer.visible or tool != "pan_zoom" or event.button != 1 or event.modifiers:
            return
        place = event.position
        if not (yield from is_click(event)):
            return
        number = layer.get_value(place, view_direction=event.view_direction, dims_displayed=event.dims_displayed,
                                 world=True)  # fmt: skip
        if number:
            self._choosing = True
            layer.selected_label = int(number)
            self._choosing = False
            self.picked.emit(int(number))
