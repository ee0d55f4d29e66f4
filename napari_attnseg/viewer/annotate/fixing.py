"""Correction helpers on the mask that is shown: each is one undo step."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.corrections.outline import grow, shrink, smooth
from napari_attnseg.annotation.corrections.planes import copy_plane, fill_holes, keep_largest, remove_small
from napari_attnseg.annotation.corrections.scope import Scope
from napari_attnseg.errors import AttnSegError
from napari_attnseg.viewer.failures import failure_text
from napari_attnseg.viewer.layers.clicks import is_click
from napari_attnseg.viewer.layers.mask_layer import NO_PLANE, MaskLayer
from napari_attnseg.viewer.widgets.fix_panel import FixOptions

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

Array = np.ndarray[Any, Any]
Planes = dict[tuple[int, ...], Array]
LARGE = 16 << 20  # pixels from which on a correction is computed in the background


class Fixing(QObject):
    """Carries out corrections for a session, and waits for the click where one is needed."""

    waiting_changed = Signal(str)
    """What the next click on the image will do; '' if it is an ordinary one."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._waiting: tuple[str, FixOptions] | None = None
        self._layers: list[Any] = []
        self._tool: tuple[Labels, str] | None = None  # put away as long as a click is waited for
        session.shown_changed.connect(self.stop_waiting)

    @property
    def is_snapping(self) -> bool:
        """Whether a click takes the region of like intensity."""
        return self._waiting is not None and self._waiting[0] == "snap"

    def fix(self, operation: str, options: FixOptions, position: tuple[int, int] | None = None) -> None:
        """Carry out a correction on the plane that is shown.

        Parameters
        ----------
        operation
            'fill_holes', 'remove_small', 'keep_largest', 'smooth', 'grow', 'shrink', 'copy_previous', 'copy_next' or
            'interpolate'.
        options
            How it is meant.
        position
            Row and column, for the object there. Without one, the next click on the image gives it.
        """
        mask = self._session.mask
        if mask is None:
            show_info("Open an image first; there is no mask to correct.")
            return
        if not mask.shows_plane:
            show_info(NO_PLANE)
            return
        if options.scope == "region" and position is None and operation in _ON_PLANE:
            self.wait_for_click(operation, options)
            return
        mask.sync()
        editing, plane = mask.editing, mask.plane()
        revision = editing.document.revision
        try:
            scope = _scope(mask, options, position)
            work = _work(operation, editing.labels, plane, scope, options)
        except AttnSegError as error:
            show_warning(str(error))
            return

        def done(planes: Planes) -> None:
            if editing.document.revision != revision:
                show_warning("The mask was painted on while the correction was computed; please try it again.")
            elif not mask.apply(planes):
                show_info(_NOTHING.get(operation, "That changes nothing here."))

        looked_at = editing.labels if operation == "interpolate" else editing.labels[plane]
        if looked_at.size > LARGE:
            self._session.background.run(work, done, lambda error: show_warning(failure_text(error)))
            return
        try:
            planes = work()
        except AttnSegError as error:
            show_warning(str(error))
            return
        done(planes)

    def fix_under_cursor(self, operation: str, options: FixOptions) -> None:
        """Carry out a correction at once, for the object under the mouse if that is how it is meant; for keys."""
        mask = self._session.mask
        position = None
        if mask is not None and options.scope == "region":
            position = mask.pixel_at(self._session.viewer.cursor.position)
        self.fix(operation, options, position)

    def wait_for_click(self, operation: str, options: FixOptions) -> None:
        """Let the next click on the image carry out `operation`; of 'snap' all clicks until `stop_waiting`."""
        self.stop_waiting()
        self._waiting = (operation, options)
        for layer in self._session.viewer.layers:
            layer.mouse_drag_callbacks.insert(0, self._on_click)
            self._layers.append(layer)
        mask = self._session.mask
        if mask is not None:
            self._tool = mask.layer, mask.layer.mode
            mask.layer.mode = "pan_zoom"
        self.waiting_changed.emit(operation)

    def stop_waiting(self) -> None:
        """Let clicks be ordinary ones again."""
        if self._waiting is None:
            return
        self._waiting = None
        for layer in self._layers:
            if self._on_click in layer.mouse_drag_callbacks:
                layer.mouse_drag_callbacks.remove(self._on_click)
        self._layers.clear()
        self._take_up_tool()
        self.waiting_changed.emit("")

    def snap(self, options: FixOptions, position: tuple[int, int]) -> None:
        """Paint the region of like intensity around a click with the class that is painted with."""
        mask, image = self._session.mask, self._image()
        if mask is None or image is None:
            show_info("Open an image first; there is nothing to take the intensities from.")
            return
        if not mask.shows_plane:
            show_info(NO_PLANE)
            return
        plane, editing = mask.plane(), mask.editing
        try:
            found = _snapped(image, plane, position, options.tolerance)
        except AttnSegError as error:
            show_warning(str(error))
            return
        box, region = found
        labels = editing.labels[plane].copy()
        part = labels[box]
        part[region & (part == 0)] = mask.layer.selected_label
        if not mask.apply({plane: labels}):
            show_info("The region is painted already.")

    def _take_up_tool(self) -> None:
        """Let the mask be painted, erased or looked at as before the waiting, unless another tool was chosen."""
        if self._tool is None:
            return
        (layer, mode), self._tool = self._tool, None
        mask = self._session.mask
        if layer not in self._session.viewer.layers and mask is not None:  # an image of other axes has a new layer
            layer = mask.layer
        if layer.mode == "pan_zoom":
            layer.mode = mode

    def _image(self) -> Image | None:
        """Return the image layer to take intensities from: the selected one, else the one of the mask."""
        shown = self._session.display.shown
        mask = self._session.mask
        active = self._session.viewer.layers.selection.active
        if isinstance(active, Image):
            return active
        if shown is not None and mask is shown.mask and shown.images:
            return next((layer for layer in shown.images if layer.visible), shown.images[0])
        layers = [layer for layer in self._session.viewer.layers if isinstance(layer, Image) and layer.visible]
        return layers[-1] if layers else None

    def _on_click(self, layer: Any, event: Any) -> Generator[None, None, None]:
        """Do what waits for a click; a drag goes on to move the image."""
        place = event.position
        if not (yield from is_click(event)):
            return
        mask = self._session.mask
        if self._waiting is None or mask is None:
            return
        operation, options = self._waiting
        position = mask.pixel_at(place)
        if operation == "snap":
            self.snap(options, position)
        else:
            self.stop_waiting()
            self.fix(operation, options, position)


_ON_PLANE: dict[str, Callable[[Array, Scope, FixOptions], Array]] = {
    "fill_holes": lambda plane, scope, options: fill_holes(plane, scope),
    "remove_small": lambda plane, scope, options: remove_small(plane, scope, options.min_pixels),
    "keep_largest": lambda plane, scope, options: keep_largest(plane, scope),
    "smooth": lambda plane, scope, options: smooth(plane, scope, options.radius),
    "grow": lambda plane, scope, options: grow(plane, scope, options.radius),
    "shrink": lambda plane, scope, options: shrink(plane, scope, options.radius),
}
_NOTHING = {
    "fill_holes": "There are no holes to fill.",
    "remove_small": "No object is that small.",
    "keep_largest": "There is only one object.",
    "interpolate": "The planes in between are painted already.",
}


def _scope(mask: MaskLayer, options: FixOptions, position: tuple[int, int] | None) -> Scope:
    if options.scope == "region":
        return Scope("region", position=position or (-1, -1))
    if options.scope == "plane":
        return Scope("plane")
    return Scope("class", value=int(mask.layer.selected_label))


def _work(
    operation: str, labels: Array, plane: tuple[int, ...], scope: Scope, options: FixOptions
) -> Callable[[], Planes]:
    """Return what computes the new planes of a correction."""
    on_plane = _ON_PLANE.get(operation)
    if on_plane is not None:
        before = labels[plane].copy()
        return lambda: {plane: on_plane(before, scope, options)}
    value = scope.value if scope.kind == "class" else None
    last = plane[-1] if plane else 0
    planes = labels.shape[-3] if plane else 1
    if operation in ("copy_previous", "copy_next"):
        source = last + (1 if operation == "copy_next" else -1)
        if not 0 <= source < planes:
            side = "after" if operation == "copy_next" else "before"
            raise AttnSegError(f"There is no plane {side} this one to copy.")
        from_plane = labels[(*plane[:-1], source)]
        return lambda: {plane: copy_plane(from_plane, labels[plane], value)}
    if operation == "interpolate":
        if not plane:
            raise AttnSegError("This image has one plane only; there is nothing in between to fill in.")
        from napari_attnseg.annotation.corrections.interpolate import (
            interpolate_stack,  # late: the dock should open at once
        )

        stack = labels[plane[:-1]]
        return lambda: {(*plane[:-1], z): new for z, new in interpolate_stack(stack, last, value).items()}
    raise ValueError(f"There is no correction '{operation}'.")


def _snapped(
    image: Image, plane: tuple[int, ...], position: tuple[int, int], tolerance: float | None
) -> tuple[tuple[slice, slice], Array]:
    """Find the region of like intensity in a window around a click; return the window and the region in it."""
    from napari_attnseg.annotation.corrections.snap import snap  # late: the dock should open at once

    data = image.data[0] if image.multiscale else image.data
    pixels = data[plane]
    rows, columns = pixels.shape[:2]
    reach = 256
    top, left = max(0, position[0] - reach), max(0, position[1] - reach)
    box = (slice(top, min(rows, position[0] + reach)), slice(left, min(columns, position[1] + reach)))
    window = np.asarray(pixels[box])
    return box, snap(window, (position[0] - top, position[1] - left), tolerance=tolerance)
