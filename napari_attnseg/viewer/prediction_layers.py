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
from napari_attnseg.viewer.classes_colormap import class_colormap
from napari_attnseg.viewer.image_layers import showable
from napari_attnseg.viewer.layer_roles import KEY, image_of, role_of
from napari_attnseg.viewer.predicted_image import PredictedImage

ROLES = ("prediction", "probability", "uncertainty", "attention")
CONTOUR = 2  # pixels of the screen
OPACITY = {"prediction": 0.8, "probability": 0.6, "uncertainty": 0.6, "attention": 0.5}
LEAST_SPREAD = 0.02  # attention that hardly differs is shown as it is
COLOURS = {"probability": "viridis", "uncertainty": "magma", "attention": "inferno"}


@dataclass(frozen=True)
class Part:
    """One layer of a prediction."""

    role: str
    number: int
    """Of the class or the gate, from 0."""
    name: str
    data: Any


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
        self.shown: PredictedImage | None = None
        self._layers: dict[tuple[str, int], Layer] = {}

    def show(self, found: PredictedImage, look: Look, classes: Classes) -> None:
        """Show a prediction over its image."""
        below = self._reference(found.image)
        if below is None:
            return
        parts = _parts(found, look)
        wanted = {(part.role, part.number) for part in parts}
        for key in [key for key in self._layers if key not in wanted]:
            self._remove(key)
        selected = list(self._viewer.layers.selection)
        for part in reversed(parts):  # the last one lies lowest
            self._put(part, found, below, parts)
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

    def clear(self) -> None:
        """Show no prediction; the layers stay, empty, for the next one."""
        if self.shown is None:
            return
        self.shown = None
        for _, layer in self._present():
            layer.visible = False
            layer.data = np.zeros((1,) * layer.ndim, layer.dtype)
            layer.metadata = {KEY: layer.metadata[KEY] | {"image": None}}

    def _present(self) -> list[tuple[tuple[str, int], Layer]]:
        """Return our layers, without those that the user has removed."""
        return [(key, layer) for key, layer in self._layers.items() if layer in self._viewer.layers]

    def _reference(self, image: Path) -> Image | None:
        """Return the layer of the image itself, where the prediction belongs."""
        images = [layer for layer in self._viewer.layers if role_of(layer) == "image" and image_of(layer) == image]
        return images[-1] if images else None

    def _put(self, part: Part, found: PredictedImage, below: Image, parts: list[Part]) -> None:
        key = (part.role, part.number)
        options: dict[str, Any] = {"name": part.name, "metadata": {KEY: {"image": str(found.image), "role": part.role}}}
        place = {name: getattr(below, name) for name in ("scale", "translate", "units", "axis_labels")}
        layer = self._layers.get(key)
        if layer is not None and layer in self._viewer.layers and layer.ndim == np.ndim(part.data):
            if _is_same(layer.data, part.data):
                layer.refresh()
            else:
                layer.data = part.data
            kept = layer.metadata.get(KEY, {})  # with the classes that it is coloured by
            options["metadata"] = {KEY: kept | options["metadata"][KEY]}
            for name, value in {**options, **place}.items():
                if not np.array_equal(getattr(layer, name), value):
                    setattr(layer, name, value)
            if isinstance(layer, Image) and tuple(layer.contrast_limits) != (limits := _limits(part, found)):
                layer.contrast_limits = limits
            return
        if layer is not None:
            self._remove(key)
        options |= {**place, "opacity": OPACITY[part.role], "visible": False}
        if part.role == "prediction":
            layer = Labels(part.data, **options)
        else:
            blending = "additive" if part.role == "attention" else "translucent"
            layer = Image(part.data, colormap=COLOURS[part.role], blending=blending, **options)
            layer.contrast_limits_range = (0, 1)
            layer.contrast_limits = _limits(part, found)
        lower = [(other.role, other.number) for other in parts[parts.index(part) + 1 :]]
        places = [self._viewer.layers.index(layer) for name, layer in self._present() if name in lower]
        self._viewer.layers.insert(int(max([self._viewer.layers.index(below), *places])) + 1, layer)
        self._layers[key] = layer

    def _remove(self, key: tuple[str, int]) -> None:
        layer = self._layers.pop(key)
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _colour(self, found: PredictedImage, classes: Classes) -> None:
        layer = self._layers.get(("prediction", 0))
        if isinstance(layer, Labels) and layer.metadata[KEY].get("classes") != classes:
            layer.colormap = class_colormap(classes)
            layer.metadata = {KEY: layer.metadata[KEY] | {"classes": classes}}


def _is_same(shown: Any, wanted: Any) -> bool:
    """Whether two arrays are one piece of memory, whose values may have changed: drawing it anew is enough then."""
    if not (isinstance(shown, np.ndarray) and isinstance(wanted, np.ndarray)):
        return shown is wanted
    one, other = shown.__array_interface__, wanted.__array_interface__
    return all(one[name] == other[name] for name in ("data", "shape", "typestr", "strides"))


def _limits(part: Part, found: PredictedImage) -> tuple[float, float]:
    """Return the values to show as dark and bright; of attention it is the differences that tell where a gate looks."""
    if part.role != "attention":
        return 0.0, 1.0
    values = [found.attention[(part.number, *plane)][::4, ::4] for plane in list(found.planes)[:5]]
    low, high = np.percentile(np.concatenate([value.ravel() for value in values]), (2, 99.5)).tolist()
    return (low, high) if high - low > LEAST_SPREAD else (0.0, 1.0)


def _parts(found: PredictedImage, look: Look) -> list[Part]:
    """Return the layers of a prediction, the topmost first."""
    stem = stem_of(found.image)
    parts = [Part("prediction", 0, f"{stem} prediction", found.labels)]
    names = found.class_names[1:] if found.is_binary else found.class_names
    parts += [
        Part("probability", number, f"{stem} probability of {name}", showable(found.probability[number]))
        for number, name in enumerate(names)
    ]
    if look.uncertainty:  # is computed for it
        parts.append(Part("uncertainty", 0, f"{stem} uncertainty", showable(found.uncertainty)))
    gates = len(found.attention)
    for number in range(gates):
        end = {0: " (deepest)", gates - 1: " (finest)"}.get(number, "") if gates > 1 else ""
        parts.append(
            Part("attention", number, f"{stem} attention {number + 1}{end}", showable(found.attention[number]))
        )
    return parts
