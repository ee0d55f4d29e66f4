"""The layers of a prediction: what the model found, how sure it is, and where it looked; updated in place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Image, Labels, Layer

from napari_attnseg.data.classes import Classes
from napari_attnseg.data.pairs import stem_of
from napari_attnseg.viewer.layers.classes_colormap import class_colormap
from napari_attnseg.viewer.layers.roles import KEY, image_of, role_of
from napari_attnseg.viewer.predict.large.prediction import AnyPrediction, LargePrediction
from napari_attnseg.viewer.predict.parts import Part, attention_limits, limits_of, parts_of

CONTOUR = 2  # pixels of the screen
OPACITY = {"prediction": 0.8, "probability": 0.6, "uncertainty": 0.6, "attention": 0.5}
COLOURS = {"probability": "viridis", "uncertainty": "magma", "attention": "inferno"}


@dataclass(frozen=True)
class Look:
    """What of a prediction is seen."""

    prediction: bool = True
    probability: int | None = None
    """The class whose probability is seen; None for none."""
    attention: int | None = None
    """The gate whose attention is seen, 0 for the deepest; -1 for the finest; None for none."""
    uncertainty: bool = False
    contours: bool = True
    opacity: float = OPACITY["prediction"]


class PredictionLayers:
    """Puts predictions into a viewer, in the place of the ones before."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.shown: AnyPrediction | None = None
        self._layers: dict[tuple[str, int], Layer] = {}

    def show(self, found: AnyPrediction, look: Look, classes: Classes) -> None:
        """Show a prediction over its image."""
        below = self._reference(found.image)
        if below is None:
            return
        parts = parts_of(found, uncertainty=look.uncertainty)
        wanted = {(part.role, part.number) for part in parts}
        for key in [key for key in self._layers if key not in wanted]:
            self._remove(key)
        selected = list(self._viewer.layers.selection)
        for part in reversed(parts):  # the last one lies lowest
            self._put(part, found, below, parts, classes)
        self.shown = found
        self._colour(found, classes)
        self.look(look)
        self._viewer.layers.selection = {layer for layer in selected if layer in self._viewer.layers}

    def look(self, look: Look) -> None:
        """Let the layers be seen or not."""
        found = self.shown
        finest = len(found.attention) - 1 if found is not None else 0
        level = finest if look.attention == -1 else look.attention
        for (role, number), layer in self._present():
            seen = {
                "prediction": look.prediction,
                "probability": look.probability == number,
                "attention": level == number,
                "uncertainty": look.uncertainty,
            }[role]
            visible = seen and found is not None
            if layer.visible != visible:
                layer.visible = visible
            if isinstance(layer, Labels):
                contour = CONTOUR if look.contours else 0
                if layer.contour != contour:
                    layer.contour = contour
                if layer.opacity != look.opacity:
                    layer.opacity = look.opacity

    def refresh(self) -> None:
        """Draw the labels anew, after a change of threshold."""
        layer = self._layers.get(("prediction", 0))
        if layer is not None and layer in self._viewer.layers:
            layer.refresh()

    def grow(self) -> None:
        """Draw anew what can be seen of a prediction in files that has grown."""
        found = self.shown
        if not isinstance(found, LargePrediction):
            return
        for (role, number), layer in self._present():
            if layer.visible:
                layer.refresh(extent=False)
            if role == "attention" and isinstance(layer, Image):
                _set_limits(layer, attention_limits(found, number))

    def clear(self, image: Path | None = None) -> None:
        """Show no prediction; the layers stay for the next one, empty and named after no image.

        They take on the units of the image that is shown now: napari draws none where layers differ in them.
        """
        if self.shown is None:
            return
        stem = stem_of(self.shown.image)
        below = self._reference(image) if image is not None else None
        self.shown = None
        for _, layer in self._present():
            layer.visible = False
            empty = [np.zeros((side,) * layer.ndim, layer.dtype) for side in (2, 1)]
            layer.data = empty if layer.multiscale else empty[1]
            layer.metadata = {KEY: layer.metadata[KEY] | {"image": None}}
            layer.name = layer.name.removeprefix(f"{stem} ")
            layer.thumbnail = np.zeros_like(layer.thumbnail)  # napari draws none of what is hidden
            if below is not None:
                common = min(layer.ndim, below.ndim)
                layer.units = (*layer.units[: layer.ndim - common], *below.units[-common:])

    def _present(self) -> list[tuple[tuple[str, int], Layer]]:
        """Return our layers, without those that the user has removed."""
        return [(key, layer) for key, layer in self._layers.items() if layer in self._viewer.layers]

    def _reference(self, image: Path) -> Image | None:
        """Return the layer of the image itself, where the prediction belongs."""
        images = [layer for layer in self._viewer.layers if role_of(layer) == "image" and image_of(layer) == image]
        return images[-1] if images else None

    def _put(self, part: Part, found: AnyPrediction, below: Image, parts: list[Part], classes: Classes) -> None:
        key = (part.role, part.number)
        options: dict[str, Any] = {"name": part.name, "metadata": {KEY: {"image": str(found.image), "role": part.role}}}
        place = {name: getattr(below, name) for name in ("scale", "translate", "units", "axis_labels")}
        layer = self._layers.get(key)
        if layer is not None and layer in self._viewer.layers and _can_take(layer, part):
            if _is_same(layer.data, part.data):
                layer.refresh()
            else:
                layer.data = part.data
            if isinstance(layer, Labels):
                layer.editable = False  # napari has made it so again with the new array
            kept = layer.metadata.get(KEY, {})  # with the classes that it is coloured by
            options["metadata"] = {KEY: kept | options["metadata"][KEY]}
            for name, value in {**options, **place}.items():
                if not np.array_equal(getattr(layer, name), value):
                    setattr(layer, name, value)
            if isinstance(layer, Image):
                _set_limits(layer, limits_of(part, found))
            return
        if layer is not None:
            self._remove(key)
        options |= {**place, "opacity": OPACITY[part.role], "visible": False, "multiscale": part.is_multiscale}
        if part.role == "prediction":
            # set later, the first colours would be thrown away before they were drawn, which vispy cannot do
            layer = Labels(part.data, colormap=class_colormap(classes), **options)
            layer.metadata = {KEY: layer.metadata[KEY] | {"classes": classes}}
            layer.editable = False  # strokes belong on the mask; here the next prediction would wipe them out
        else:
            blending = "additive" if part.role == "attention" else "translucent"
            limits = limits_of(part, found)
            layer = Image(part.data, colormap=COLOURS[part.role], blending=blending, contrast_limits=limits, **options)
            layer.contrast_limits_range = (0, 1)
            layer.contrast_limits = limits
        lower = [(other.role, other.number) for other in parts[parts.index(part) + 1 :]]
        places = [self._viewer.layers.index(layer) for name, layer in self._present() if name in lower]
        self._viewer.layers.insert(int(max([self._viewer.layers.index(below), *places])) + 1, layer)
        self._layers[key] = layer

    def _remove(self, key: tuple[str, int]) -> None:
        layer = self._layers.pop(key)
        if layer in self._viewer.layers:
            # drawn first: vispy loses the colours that other labels were given since it last drew
            self._viewer.window._qt_viewer.canvas.native.repaint()
            self._viewer.layers.remove(layer)

    def _colour(self, found: AnyPrediction, classes: Classes) -> None:
        layer = self._layers.get(("prediction", 0))
        if isinstance(layer, Labels) and layer.metadata[KEY].get("classes") != classes:
            layer.colormap = class_colormap(classes)
            layer.metadata = {KEY: layer.metadata[KEY] | {"classes": classes}}


def _can_take(layer: Layer, part: Part) -> bool:
    """Whether a layer can show a part: of as many axes, and of one or several resolutions as before."""
    return bool(layer.ndim == part.ndim and layer.multiscale == part.is_multiscale)


def _set_limits(layer: Image, limits: tuple[float, float]) -> None:
    if tuple(layer.contrast_limits) != limits:
        layer.contrast_limits = limits


def _is_same(shown: Any, wanted: Any) -> bool:
    """Whether two arrays are one piece of memory, whose values may have changed: drawing it anew is enough then."""
    if isinstance(wanted, list):
        return len(shown) == len(wanted) and all(one is other for one, other in zip(shown, wanted, strict=True))
    if not (isinstance(shown, np.ndarray) and isinstance(wanted, np.ndarray)):
        return shown is wanted
    one, other = shown.__array_interface__, wanted.__array_interface__
    return all(one[name] == other[name] for name in ("data", "shape", "typestr", "strides"))
