"""One image with its mask on the viewer's layers, updated in place when the next image is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Image, Labels, Layer
from napari.layers.labels._labels_constants import Mode
from napari.utils import DirectLabelColormap

from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.data.classes import Classes
from napari_attnseg.viewer.layers.classes_colormap import class_colormap
from napari_attnseg.viewer.layers.image_layers import mask_layer
from napari_attnseg.viewer.layers.mask_layer import MaskLayer
from napari_attnseg.viewer.layers.mask_window import first_view
from napari_attnseg.viewer.layers.roles import KEY, PREDICTED, role_of
from napari_attnseg.viewer.widgets.folder_settings import ViewOptions

LayerData = tuple[Any, dict[str, Any], str]
DEFAULT_BRUSH = 10


@dataclass
class Shown:
    """The layers of one image."""

    image: Path
    images: list[Image]
    mask: MaskLayer | None


class Display:
    """Puts images and masks into a viewer."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.options = ViewOptions()
        self.shown: Shown | None = None
        viewer.layers.events.removing.connect(self._make_current)

    def set_options(self, options: ViewOptions) -> None:
        """Say what stays as it is when the next image is shown."""
        self.options = options

    def show(self, image: Path, layers: list[LayerData], editing: Editing | None, classes: Classes) -> Shown:
        """Show an image and its mask in the place of the ones shown before."""
        before = self.shown
        camera = (self._viewer.scene.camera.center, self._viewer.scene.camera.zoom) if before is not None else None
        self.shown = None  # what is removed now is not removed by the user
        images = self._put_images(before, layers)
        mask = self.put_mask(before.mask if before is not None else None, images, editing, classes)
        self.shown = Shown(image, images, mask)
        if camera is not None and self.options.keep_zoom:
            self._viewer.scene.camera.center, self._viewer.scene.camera.zoom = camera
        else:
            self._viewer.reset_view()
        if mask is not None:
            self._viewer.layers.selection.active = mask.layer
        return self.shown

    @property
    def has_lost_layers(self) -> bool:
        """Whether the user has removed the mask, or a layer, of the image that is shown."""
        shown, layers = self.shown, self._viewer.layers
        return shown is not None and (shown.mask is None or any(layer not in layers for layer in shown.images))

    def change_mask(self, editing: Editing, classes: Classes) -> MaskLayer | None:
        """Show another state of the mask of the image that is shown."""
        shown = self.shown
        if shown is not None:
            shown.mask = self.put_mask(shown.mask, shown.images, editing, classes)
        return shown.mask if shown is not None else None

    def put_mask(
        self, old: MaskLayer | None, images: list[Image], editing: Editing | None, classes: Classes
    ) -> MaskLayer | None:
        """Put a mask in the place of another one, else above its images; without one only take the old one away."""
        layer = old.layer if old is not None and old.layer in self._viewer.layers else None
        if old is not None:
            old.detach()
        if editing is None:
            if layer is not None:
                self._viewer.layers.remove(layer)
            return None
        data, options = self._mask_options(editing, classes)
        if layer is not None and layer.ndim == data.ndim:
            layer.data = first_view(data)  # all of a large mask takes seconds
            layer.name = options["name"]
            options["metadata"][KEY]["classes"] = layer.metadata.get(KEY, {}).get("classes")
            layer.metadata = options["metadata"]
            _place(layer, options)
            self.colour(layer, editing, classes)
            if not layer.editable:
                layer.editable = True
        else:
            layer = self._new_mask(layer, images, data, options)
        return MaskLayer(editing, layer, self._viewer.dims)

    def _make_current(self) -> None:
        """Let what a layer has on the graphics card be freed in the canvas's own OpenGL context.

        napari frees it in whichever context is current. Where it is Qt's, the next drawing crashes Mesa, which draws on
        computers without a graphics card and over remote desktops; whoever removes the layer.
        """
        self._viewer.window._qt_viewer.canvas._scene_canvas.set_current()

    def _put_images(self, before: Shown | None, layers: list[LayerData]) -> list[Image]:
        old = [layer for layer in before.images if layer in self._viewer.layers] if before is not None else []
        if _alike(old, layers):
            for layer, (data, options, _) in zip(old, layers, strict=True):
                self._replace(layer, data, options)
            return old
        position = min((self._viewer.layers.index(layer) for layer in old), default=len(self._viewer.layers))
        for layer in old:
            self._viewer.layers.remove(layer)
        if before is not None and before.mask is not None:
            take_units(before.mask.layer, layers)
        added = []
        for number, (data, options, _) in enumerate(layers):
            layer = Image(data, **options)
            self._viewer.layers.insert(min(position + number, len(self._viewer.layers)), layer)
            added.append(layer)
        return added

    def _replace(self, layer: Image, data: Any, options: dict[str, Any]) -> None:
        layer.data = data
        limits = options.get("contrast_limits")
        if limits is not None and not self.options.keep_contrast and not layer.rgb:
            dtype = np.dtype(layer.dtype)
            top = np.iinfo(dtype).max if dtype.kind in "ui" else limits[1]
            bottom = min(limits[0], 0)
            layer.contrast_limits_range = (bottom, max(top, limits[1]))
            layer.contrast_limits = limits
        layer.name = options["name"]
        layer.metadata = options["metadata"]
        _place(layer, options)

    def _mask_options(self, editing: Editing, classes: Classes) -> tuple[Any, dict[str, Any]]:
        document = editing.document
        _, options, _ = mask_layer(
            document.labels[..., :1, :1], document.info, classes, document.convention.kind,
            document.mask_path.name.partition(".")[0], document.image,
        )  # fmt: skip
        options["metadata"][KEY]["document"] = document
        return document.labels, options

    def _new_mask(self, old: Labels | None, images: list[Image], data: Any, options: dict[str, Any]) -> Labels:
        brush, selected, mode = DEFAULT_BRUSH, 1, Mode.PAINT
        if old is not None:
            brush, selected, mode = old.brush_size, old.selected_label, old._mode
            self._viewer.layers.remove(old)
        layer = Labels(first_view(data), **options)
        below = [*images, *(other for other in self._viewer.layers if role_of(other) in PREDICTED)]
        above = max((self._viewer.layers.index(other) + 1 for other in below), default=len(self._viewer.layers))
        self._viewer.layers.insert(above, layer)
        layer.brush_size, layer.selected_label = brush, selected
        layer.mode = mode
        return layer

    @staticmethod
    def colour(layer: Labels, editing: Editing, classes: Classes) -> None:
        """Give the layer the colours of the classes; numbered objects have napari's own."""
        direct = isinstance(layer.colormap, DirectLabelColormap)
        if editing.document.counts_objects:
            if direct:
                layer.new_colormap()
            return
        note = layer.metadata[KEY]
        if direct and note.get("classes") == classes:
            return
        note["classes"] = classes
        layer.colormap = class_colormap(classes)
        layer.features = {"index": [entry.id for entry in classes.entries], "name": list(classes.names)}


def _alike(old: list[Image], layers: list[LayerData]) -> bool:
    """Whether layers can take the new arrays: as many, of the same number of axes, colour and pyramid."""
    if len(old) != len(layers):
        return False
    for layer, (data, options, _) in zip(old, layers, strict=True):
        multiscale = isinstance(data, list | tuple)
        first = data[0] if multiscale else data
        rgb = bool(options.get("rgb"))
        if layer.multiscale != multiscale or layer.rgb != rgb or layer.ndim != first.ndim - rgb:
            return False
        if np.dtype(layer.dtype) != np.dtype(first.dtype):
            return False
    return True


def take_units(layer: Layer, layers: list[LayerData]) -> None:
    """Give a layer that is replaced soon the units of the layers to come: napari warns of a mixture."""
    units = layers[0][1].get("units", ())
    kept = [str(unit) for unit in layer.units[: max(0, layer.ndim - len(units))]]
    layer.units = (*kept, *units[-layer.ndim :])


def _place(layer: Layer, options: dict[str, Any]) -> None:
    """Put a layer where the next image lies; what stays is not set, because napari draws anew at each setting."""
    for name, usual in (("translate", [0.0] * layer.ndim), ("scale", [1.0] * layer.ndim)):
        values = options.get(name, usual)
        if not np.array_equal(getattr(layer, name), values):
            setattr(layer, name, values)
    units, labels = options.get("units"), options.get("axis_labels")
    if units is not None and tuple(str(unit) for unit in layer.units) != tuple(units):
        layer.units = units
    if labels is not None and tuple(layer.axis_labels) != tuple(labels):
        layer.axis_labels = labels
