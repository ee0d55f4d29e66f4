"""The tie between a mask in editing and the Labels layer that shows it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
from napari.components import Dims
from napari.layers import Labels
from psygnal import Signal

from napari_attnseg.annotation.masks.document import Array
from napari_attnseg.annotation.masks.editing import Box, Editing
from napari_attnseg.viewer.layers.mask_window import MaskWindow, window_for

UNDO, REDO = "Control-Z", "Control-Shift-Z"
NO_PLANE = "Switch back to 2D, with the axes in their usual order: now it is not one plane of the mask that is shown."


class MaskLayer:
    """Carries strokes from a Labels layer to its `Editing`, and undo, redo and corrections back.

    napari's own undo is replaced for this layer, because ours goes across planes and knows of corrections.
    """

    edited = Signal()
    """Something was painted, corrected, undone or redone."""
    replayed = Signal(tuple)
    """A step was undone or redone; the indices along the stack axes of the first plane that it changed."""

    def __init__(self, editing: Editing, layer: Labels, dims: Dims) -> None:
        self.editing = editing
        self.layer = layer
        self._dims = dims
        self.window: MaskWindow | None = None
        self._base = (np.array(layer.scale), np.array(layer.translate))
        self._stroke = False
        self._showing = False
        self._tool: str | None = None
        self.show_window((0.0, 0.0, float(editing.labels.shape[-2]), float(editing.labels.shape[-1])))
        layer.events.paint.connect(self._on_paint)
        layer.events.data.connect(self._on_data)
        layer.mouse_drag_callbacks.append(self._on_drag)
        layer.bind_key(UNDO, self._undo, overwrite=True)
        layer.bind_key(REDO, self._redo, overwrite=True)

    def detach(self) -> None:
        """Leave the layer as it is, no longer tied to the mask."""
        self.finish()
        self._set_paintable(True)
        self.layer.events.paint.disconnect(self._on_paint)
        self.layer.events.data.disconnect(self._on_data)
        if self._on_drag in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._on_drag)
        for key in (UNDO, REDO):
            self.layer.bind_key(key, None)

    def show_window(self, seen: tuple[float, float, float, float]) -> None:
        """Show the part of a large mask that is on the canvas: its top, left, bottom and right in pixels."""
        labels = self.editing.labels
        window = window_for((labels.shape[-2], labels.shape[-1]), seen, self.window)
        if window is self.window or self._stroke:
            return
        first, self.window = self.window is None, window
        view = window.view(labels)
        shown = first and _is_same_view(self.layer.data, view)
        if shown and window.step == 1:
            return
        scale, translate = (np.array(values, dtype=float) for values in self._base)
        # of every n-th pixel, the middle of a block of n lies (n - 1) / 2 pixels after its first one
        offset = np.array([window.y, window.x]) + (window.step - 1) / 2
        translate[-2:] += offset * scale[-2:]
        scale[-2:] *= window.step
        self._showing = True
        try:
            if not shown:  # vispy cannot draw colours that were set twice since it last drew
                self.layer.data = view
            self.layer.scale, self.layer.translate = scale, translate
        finally:
            self._showing = False
        self._set_paintable(window.step == 1)

    def _set_paintable(self, paintable: bool) -> None:
        """Let the layer be painted or not; napari puts the tool away when it is not, so it is kept here."""
        if not paintable:
            self._tool = self._tool or self.layer.mode
            self.layer.editable = False
        elif self._tool is not None:
            self.layer.editable = True
            if self.layer.mode == "pan_zoom":
                self.layer.mode = self._tool
            self._tool = None

    def sync(self) -> None:
        """Take over what was changed without a word, by a script or another plugin, on the plane that is shown."""
        if self.window is None or self.window.step != 1:
            return
        box = self._box(self._shown_plane())
        if self._stroke:
            self.editing.note_unfinished(box)
        elif self.editing.note([box]):
            self.edited.emit()

    def finish(self) -> None:
        """End a stroke that is under way: it is a step, and the mouse paints no more before it is pressed anew."""
        for drag in tuple(self.layer._mouse_drag_gen.values()):
            if not drag.gi_running:
                drag.close()  # napari forgets what has ended
        self._stroke = False
        around = self.layer._overlays.get("brush_stroke")  # drawn without a button held
        if around is not None:
            around.active = False
        self.layer._block_history = False
        self.layer._commit_staged_history()  # tells of all planes that were painted, not of the one that is shown only
        self.sync()

    def apply(self, planes: dict[tuple[int, ...], Any]) -> bool:
        """Replace planes of the mask as one undo step; see `Editing.apply`."""
        changed = self.editing.apply(planes)
        if changed:
            self.layer.refresh()
            self.edited.emit()
        return changed

    def apply_part(self, box: Box, values: Array) -> bool:
        """Replace a part of the mask as one undo step; see `Editing.apply_part`."""
        changed = self.editing.apply_part(box, values)
        if changed:
            self.layer.refresh()
            self.edited.emit()
        return changed

    def undo(self) -> None:
        """Undo the last step."""
        self._replay(self.editing.undo())

    def redo(self) -> None:
        """Do again what was undone last."""
        self._replay(self.editing.redo())

    def pixels(self, world: tuple[float, float]) -> tuple[float, float]:
        """Turn a place in world coordinates (y, x) into row and column of the whole mask."""
        scale, translate = self._base
        y, x = ((place - t) / s for place, s, t in zip(world, scale[-2:], translate[-2:], strict=True))
        return float(y), float(x)

    def pixel_at(self, position: Sequence[float]) -> tuple[int, int]:
        """Return the row and column of the whole mask at a place that napari gives: world coordinates, y and x last."""
        row, column = self.pixels((position[-2], position[-1]))
        return round(row), round(column)

    @property
    def shows_plane(self) -> bool:
        """Whether what is seen is a plane of the mask, and not the stack in 3D or cut across its planes."""
        last = {self._dims.ndim - 2, self._dims.ndim - 1}
        return self.editing.labels.ndim == 2 or set(self._dims.displayed) == last

    def plane(self) -> tuple[int, ...]:
        """Return the indices along the stack axes of the plane that is shown; see `shows_plane`."""
        return tuple(part.start for part in self._shown_plane()[:-2])

    def _replay(self, boxes: tuple[Box, ...]) -> None:
        if boxes:
            self.layer.refresh()
            self.edited.emit()
            self.replayed.emit(tuple(part.start for part in boxes[0][:-2]))

    def _undo(self, layer: Labels) -> None:
        self.undo()

    def _redo(self, layer: Labels) -> None:
        self.redo()

    def _on_paint(self, event: Any) -> None:
        boxes = [self._box(box) for box in _boxes_of(event.value)]
        if self.editing.note(boxes):
            self.edited.emit()

    def _on_data(self, event: Any) -> None:
        """Take over an array that somebody put in the place of ours, and put ours back."""
        window = self.window
        if self._showing or window is None or self.layer.data is None:
            return
        ours = window.view(self.editing.labels)
        theirs = self.layer.data
        if isinstance(theirs, np.ndarray) and np.shares_memory(theirs, ours):
            return
        if window.step == 1 and np.shape(theirs) == ours.shape:
            ours[...] = np.asarray(theirs)
        self._showing = True
        try:
            self.layer.data = ours
        finally:
            self._showing = False
        whole = tuple(slice(0, length) for length in ours.shape)
        if window.step == 1 and self.editing.note([self._box(whole)]):
            self.edited.emit()

    def _on_drag(self, layer: Labels, event: Any) -> Generator[None, None, None]:
        self._stroke = True
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:
            self._stroke = False

    def _box(self, box: Box) -> Box:
        """Turn a box of the layer into one of the whole mask."""
        window = self.window
        if window is None:
            return box
        rows, columns = (slice(p.start + o, p.stop + o) for p, o in zip(box[-2:], (window.y, window.x), strict=True))
        return (*box[:-2], rows, columns)

    def _shown_plane(self) -> Box:
        """Return the box of the layer's array that the sliders of the viewer choose."""
        shape, ndim = self.layer.data.shape, self.layer.ndim
        missing = self._dims.ndim - ndim
        point = self.layer.world_to_data(self._dims.point[missing:])
        box = []
        for axis, length in enumerate(shape):
            whole = axis + missing in self._dims.displayed or axis >= ndim - 2
            index = min(max(0, round(float(point[axis]))), length - 1)
            box.append(slice(0, length) if whole else slice(index, index + 1))
        return tuple(box)


def _is_same_view(one: Array, other: Array) -> bool:
    """Whether two arrays are the same part of the same memory."""
    return (
        isinstance(one, np.ndarray)
        and one.__array_interface__["data"] == other.__array_interface__["data"]
        and (one.shape, one.strides, one.dtype) == (other.shape, other.strides, other.dtype)
    )


def _boxes_of(item: list[Any]) -> Iterator[Box]:
    """Return the boxes of what a Labels layer tells of a stroke: boxes with a mask, or lists of pixels."""
    for atom in item:
        key = getattr(atom, "slice_key", None)
        if key is not None:
            yield tuple(slice(int(part.start), int(part.stop)) for part in key)
            continue
        indices = [np.asarray(axis) for axis in atom[0]]
        if indices and indices[0].size:
            yield tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in indices)
