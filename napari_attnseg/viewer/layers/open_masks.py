"""The masks on layers of a viewer: those that came by a drop or a script, and those that the user removes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari import Viewer
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_attnseg.annotation.folder.classes_of_masks import classes_of_masks
from napari_attnseg.annotation.folder.folder import AnnotationFolder, open_folder
from napari_attnseg.annotation.masks.document import Document
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.recovery import new_journal
from napari_attnseg.data.classes import Classes
from napari_attnseg.viewer.layers.image_layers import mask_layer
from napari_attnseg.viewer.layers.mask_layer import MaskLayer
from napari_attnseg.viewer.layers.mask_window import SIDE
from napari_attnseg.viewer.layers.roles import KEY, image_of, note_of, role_of

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

TICK, SETTLE = 1000, 120  # milliseconds


class OpenMasks(QObject):
    """Ties layers to masks as they come and go, and carries what was painted to safety now and then."""

    adopted = Signal(object)
    """A mask came by a drop, the menu or a script; its MaskLayer."""
    edited = Signal(object)
    """Something was painted on a mask; its MaskLayer."""
    lost = Signal(object)
    """The user removed the layer of a mask; its MaskLayer, which has no layer any more."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._viewer = session.viewer
        self.others: list[MaskLayer] = []
        """Those beside the one of the image that is shown."""
        self._asked: set[Path] = set()
        self.is_placing = False
        """Whether layers come by our own doing just now."""
        self._viewer.layers.events.inserted.connect(self._on_inserted)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._tick, self._settle = QTimer(self), QTimer(self)
        self._tick.timeout.connect(self.sync)
        self._tick.start(TICK)
        self._settle.setSingleShot(True)
        self._settle.timeout.connect(self._follow_canvas)
        self._viewer.scene.camera.events.connect(self._on_camera)

    @property
    def all(self) -> list[MaskLayer]:
        """All masks on layers, that of the image that is shown first."""
        shown = self._session.display.shown
        return ([shown.mask] if shown is not None and shown.mask is not None else []) + self.others

    def watch(self, mask: MaskLayer) -> None:
        """Hear of what is painted on a mask."""
        mask.edited.connect(lambda: self.edited.emit(mask))
        mask.replayed.connect(self._go_to_plane)

    def sync(self) -> None:
        """Take over what was painted or changed and not told."""
        for mask in self.all:
            mask.sync()

    def finish(self) -> None:
        """End strokes that are under way, before masks are changed or asked about."""
        for mask in self.all:
            mask.finish()

    def stop(self) -> None:
        """Look after the masks no more."""
        self._tick.stop()
        self._settle.stop()
        self.sync()

    def _on_inserted(self, event: Any) -> None:
        layer = event.value
        if not self.is_placing and role_of(layer) == "image":
            QTimer.singleShot(0, self.offer_masks)
        document = note_of(layer).get("document")
        if not self.is_placing and isinstance(layer, Labels) and isinstance(document, Document):
            # a moment later: napari is not done with the layer, and others may come with it
            QTimer.singleShot(0, lambda: self._adopt(layer, document))

    def _adopt(self, layer: Labels, document: Document) -> None:
        if layer not in self._viewer.layers or any(mask.layer is layer for mask in self.all):  # gone again, or ours
            return
        if any(mask.editing.document is document for mask in self.all):
            _make_independent(layer)
            return
        editing = self._left_with_edits(document) or self._edit(document)
        layer.metadata[KEY]["document"] = editing.document  # napari's own saving writes this one
        mask = MaskLayer(editing, layer, self._viewer.dims)
        self.others.append(mask)
        self.watch(mask)
        self.adopted.emit(mask)

    def _left_with_edits(self, document: Document) -> Editing | None:
        """Return the mask of an image that was left with edits, and is on no layer; it goes on in place of the file."""
        editing = self._session.unsaved.get(document.image)
        if editing is None or any(mask.editing is editing for mask in self.all):
            return None
        return editing if editing.labels.shape == document.labels.shape else None  # else its axes were others

    def reopen(self, image: Path) -> None:
        """Show the mask of an image that came by a drop as it is on the disk now."""
        old = self._other(image)
        if old is None:
            return

        def done(result: tuple[AnnotationFolder, Document]) -> None:
            found, document = result
            if old in self.others:
                old.finish()
            if old not in self.others or image in self._session.unsaved:  # gone, or painted on again meanwhile
                return
            if document.problem is not None:
                show_warning(document.problem)
            editing = None if document.problem is not None else self._edit(document)
            self._replace(old, editing, found.classes)

        self._session.background.run(self._reading(image), done, lambda error: self._session.tell_failed(image, error))

    def change_mask(self, editing: Editing) -> None:
        """Put another state of a mask that came by a drop on its layer, at once: it could be saved at once."""
        old = self._other(editing.document.image)
        if old is not None:
            old.finish()
            self.lost.emit(old)
            self._replace(old, editing, note_of(old.layer).get("classes"))

    def _other(self, image: Path) -> MaskLayer | None:
        """Return the mask of an image that came by a drop."""
        return next((mask for mask in self.others if mask.editing.document.image == image), None)

    def _replace(self, old: MaskLayer, editing: Editing | None, classes: Classes | None) -> None:
        """Put another mask on a layer; without classes, as of numbered objects, those that its values are."""
        if classes is None:
            document = (old.editing if editing is None else editing).document
            classes = classes_of_masks(document.convention, document.image.parent, any_mask=True)
        self.is_placing = True
        try:
            mask = self._session.display.put_mask(old, [], editing, classes)
        finally:
            self.is_placing = False
        self.others.remove(old)
        if mask is not None:
            self.others.append(mask)
            self.watch(mask)
        self._session.edited.emit()

    def offer_masks(self) -> None:
        """Put an empty mask over images without one that came by a drop, so that they can be painted on.

        Only once a dock for annotating is there: who merely looks at images needs no masks.
        """
        if not self._session.has_dock:
            return
        masked = {image_of(layer) for layer in self._viewer.layers if role_of(layer) == "mask"}
        shown = self._session.shown
        for image in {image_of(layer) for layer in self._viewer.layers if role_of(layer) == "image"} - masked:
            if image is not None and image != shown and image not in self._asked:
                self._asked.add(image)
                self._offer_mask(image)

    def _offer_mask(self, image: Path) -> None:
        def done(result: tuple[AnnotationFolder, Document]) -> None:
            self._asked.discard(image)
            found, document = result
            there = [layer for layer in self._viewer.layers if image_of(layer) == image]
            if not there or any(role_of(layer) == "mask" for layer in there) or document.problem is not None:
                return
            mode = document.convention.kind
            name = document.mask_path.name.partition(".")[0]
            labels, options, _ = mask_layer(
                document.labels[..., :SIDE, :SIDE], document.info, found.classes, mode, name, image
            )
            options["metadata"][KEY]["document"] = document
            layer = Labels(labels, **options)
            self._viewer.layers.insert(max(self._viewer.layers.index(item) for item in there) + 1, layer)
            layer.mode = "paint"
            self._viewer.layers.selection.active = layer

        self._session.background.run(self._reading(image), done, lambda error: self._asked.discard(image))

    def _reading(self, image: Path) -> Callable[[], tuple[AnnotationFolder, Document]]:
        """Return what reads an image's mask in a thread, as the open folder's masks are read if it is one of them."""
        folder = self._session.folder
        known = folder is not None and folder.pair(image) is not None

        def work() -> tuple[AnnotationFolder, Document]:
            found = folder if folder is not None and known else open_folder(image)
            return found, found.document(image)

        return work

    def _edit(self, document: Document) -> Editing:
        return Editing(document, new_journal(document, self._session.saving.on_problem))

    def _on_removed(self, event: Any) -> None:
        if self.is_placing or self._session.is_closing:
            return
        for mask in self.all:
            if mask.layer is event.value:
                self._lose(mask)

    def _lose(self, mask: MaskLayer) -> None:
        mask.detach()
        shown = self._session.display.shown
        if mask in self.others:
            self.others.remove(mask)
        elif shown is not None:
            shown.mask = None
        document = mask.editing.document
        if document.is_modified:
            show_warning(
                f"The layer of {document.mask_path.name} was removed with edits that are not saved. They are kept: "
                "open the image again to go on, or press Save all."
            )
        self.lost.emit(mask)

    def _go_to_plane(self, plane: tuple[int, ...]) -> None:
        """Show the plane where something was undone."""
        mask = self._session.mask
        if mask is None or not plane or plane == mask.plane():
            return
        world = mask.layer.data_to_world((*plane, 0, 0))
        dims = self._viewer.dims
        for axis, value in enumerate(world[: len(plane)]):
            dims.set_point(axis + dims.ndim - mask.layer.ndim, float(value))

    def _on_camera(self, event: Any) -> None:
        self._settle.start(SETTLE)

    def _follow_canvas(self) -> None:
        """Let large masks show the part that is on the canvas."""
        if len(self._viewer.dims.displayed) != 2:
            return
        for mask in self.all:
            if mask.layer in self._viewer.layers:
                mask.show_window(part_on_canvas(self._viewer, mask))


def _make_independent(layer: Labels) -> None:
    """Let a duplicate of a mask's layer be a layer of its own, which napari saves as it is; notes were shared."""
    kept = {name: value for name, value in note_of(layer).items() if name in ("image", "channel")}
    layer.metadata = {**layer.metadata, KEY: {**kept, "role": "copy"}}


def part_on_canvas(viewer: Viewer, mask: MaskLayer) -> tuple[float, float, float, float]:
    """Return the top, left, bottom and right of the canvas in pixels of a mask; may reach beyond it."""
    height, width = viewer.window._qt_viewer.canvas.size
    (y, x), zoom = viewer.scene.camera.center[-2:], viewer.scene.camera.zoom
    top, left = mask.pixels((y - height / zoom / 2, x - width / zoom / 2))
    bottom, right = mask.pixels((y + height / zoom / 2, x + width / zoom / 2))
    return top, left, bottom, right
