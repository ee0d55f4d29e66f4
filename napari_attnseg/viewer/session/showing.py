"""Showing one image of the folder after the other: read in the background, put on layers, the next ones read ahead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning

from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.recovery import new_journal
from napari_attnseg.data.lazy import LazyImage
from napari_attnseg.viewer.layers.open_masks import OpenMasks
from napari_attnseg.viewer.layers.overviews import fill_overview
from napari_attnseg.viewer.layers.ready_images import ReadyImage, ReadyImages
from napari_attnseg.viewer.session.unsaved import Unsaved

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

AHEAD = 2  # images that are read before they are asked for


class Showing:
    """Shows images for a session; of several that are asked for in a hurry only the last one is shown."""

    def __init__(self, session: Session, masks: OpenMasks, unsaved: Unsaved) -> None:
        self._session = session
        self._masks = masks
        self._unsaved = unsaved
        self._wanted: Path | None = None
        self._ready = ReadyImages(session.background)
        self._lazy: dict[Path, LazyImage] = {}

    def show(self, image: Path) -> None:
        """Show an image of the folder with its mask; edits of the mask shown before stay, saved or not."""
        session, folder = self._session, self._session.folder
        if folder is None or folder.pair(image) is None:
            return
        self._wanted = image
        for mask in self._masks.others:
            if mask.editing.document.image == image:  # a dropped file: it has its layers already
                session.viewer.layers.selection.active = mask.layer
                session.loading.emit(False)  # what was asked for before will not be shown
                return
        session.loading.emit(True)
        session.background.run(
            lambda: self._ready.read(folder, image),
            lambda ready: self._put(folder, image, ready),
            lambda error: session.tell_failed(image, error),
        )

    def change_mask(self, editing: Editing) -> None:
        """Put another state of the mask of the image that is shown on its layer, at once: it could be saved at once."""
        session = self._session
        shown, folder = session.display.shown, session.folder
        if shown is None or folder is None or shown.image != editing.document.image:
            return
        self._leave_shown()
        self._masks.is_placing = True
        try:
            mask = session.display.change_mask(editing, folder.classes)
        finally:
            self._masks.is_placing = False
        if mask is not None:
            self._masks.watch(mask)
        session.shown_changed.emit()
        session.edited.emit()

    def forget(self, image: Path) -> None:
        """Read this image anew the next time, and also if it is being read now."""
        self._ready.forget(image)

    def forget_all(self) -> None:
        """Read all images anew the next time, those too that are being read now."""
        self._ready.clear()

    def close(self) -> None:
        """Close the files of large images."""
        for lazy in self._lazy.values():
            lazy.close()

    def _put(self, folder: AnnotationFolder, image: Path, ready: ReadyImage) -> None:
        session = self._session
        if folder is not session.folder:
            return
        if self._ready.is_outdated(image, ready):
            if image == self._wanted:
                self.show(image)
            return
        self._ready.keep(image, ready)
        if image != self._wanted:
            return
        self._leave_shown()
        document = ready.document
        editing = self._unsaved.all.get(image) or session.saving.being_saved(image)
        if editing is not None:
            if folder.owns(editing.document):  # it may have been opened before all masks were surveyed
                editing.with_convention(folder.convention)
        elif document.problem is None:
            editing = Editing(document, new_journal(document, session.saving.on_problem))
        self._ready.hand_out(image)
        self._masks.is_placing = True
        try:
            shown = session.display.show(image, ready.layers, editing, folder.classes)
        finally:
            self._masks.is_placing = False
        if shown.mask is not None:
            self._masks.watch(shown.mask)
        elif document.problem is not None:
            show_warning(document.problem)
        session.loading.emit(False)
        session.shown_changed.emit()
        session.edited.emit()
        self._follow_lazy(image, ready.lazy)
        self._read_ahead(folder, image)

    def _leave_shown(self) -> None:
        shown = self._session.display.shown
        if shown is not None and shown.mask is not None:
            shown.mask.finish()
            self._unsaved.leave(shown.mask.editing)

    def _follow_lazy(self, image: Path, lazy: LazyImage | None) -> None:
        """Fill the overview of a large image, and close the file of the one that was shown before."""
        for path in [path for path in self._lazy if path != image and path not in self._ready]:
            self._lazy.pop(path).close()
        if lazy is not None:
            self._lazy[image] = lazy
            fill_overview(lazy, self._session.viewer, self._session.background)

    def _read_ahead(self, folder: AnnotationFolder, image: Path) -> None:
        images = self._session.order()
        after = images.index(image) + 1 if image in images else len(images)
        edited = self._unsaved.all
        self._ready.prepare(folder, [path for path in images[after : after + AHEAD] if path not in edited])
