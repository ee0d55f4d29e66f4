"""The session: what one viewer has open. The docks show it and ask it; nothing of it is drawn here.

Everything that touches the disk runs in the background.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari import Viewer
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.folder.entries import FolderChoices, ImageEntry
from napari_attnseg.annotation.folder.folder import AnnotationFolder, name_in
from napari_attnseg.annotation.folder.state import note_edited
from napari_attnseg.annotation.masks.document import Document
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.data.classes import Classes
from napari_attnseg.viewer.background import Background
from napari_attnseg.viewer.failures import failure_text
from napari_attnseg.viewer.layers.display import Display
from napari_attnseg.viewer.layers.mask_layer import MaskLayer
from napari_attnseg.viewer.layers.open_masks import OpenMasks
from napari_attnseg.viewer.session.folder_classes import FolderClasses
from napari_attnseg.viewer.session.opening import Opening
from napari_attnseg.viewer.session.saving import Saving, home_of
from napari_attnseg.viewer.session.showing import Showing
from napari_attnseg.viewer.session.unsaved import Unsaved

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.learning import Learning

_log = logging.getLogger(__name__)
# The session of each viewer, for as long as there is the viewer: readers and docks are made by napari, without us.
_sessions: WeakKeyDictionary[Viewer, Session] = WeakKeyDictionary()


class Session(QObject):
    """The folder, the image that is shown, and all masks with edits of one viewer.

    `Opening` has the folder, `Showing` the image, `OpenMasks` the layers, `Unsaved` and `Saving` what was painted.
    """

    folder_changed = Signal()
    """Another folder is open, or its images were listed anew."""
    folder_failed = Signal(str)
    """A folder could not be listed; a sentence."""
    entry_changed = Signal(object)
    """The state of one image has changed; its ImageEntry."""
    shown_changed = Signal()
    """Another image is shown, or none."""
    edited = Signal()
    """Something was painted, undone or saved: what can be saved or undone may have changed."""
    convention_changed = Signal()
    """It is known (better) what the masks' values mean."""
    shared_with = Signal(object)
    """The Owner of the other window that has this folder open, or None."""
    loading = Signal(bool)
    """Whether something is read that the user waits for."""
    closing = Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer.window._qt_window)
        self.viewer = viewer
        self.has_dock = False
        """Whether there is a dock for annotating, so that images without a mask get an empty one."""
        self.has_offered = False
        """Whether unsaved work of an earlier session has been asked about."""
        self.is_closing = False
        """Whether the window is being closed, so that layers go without the user's doing."""
        self.order: Callable[[], list[Path]] = self._by_path
        """The images in the order in which the user sees them; set by what lists them."""
        self.display = Display(viewer)
        self.background = Background(parent=self)
        self.saving = Saving(self)
        self._masks = OpenMasks(self)
        self._unsaved = Unsaved(self)
        self._showing = Showing(self, self._masks, self._unsaved)
        self._opening = Opening(self, self._showing)
        self._classes = FolderClasses(self, self._showing)
        self._learning: Learning | None = None
        self.at_risk: list[Callable[[], list[str]]] = []
        """Functions that say what else would be lost with the window: names of images whose objects were corrected."""
        self._masks.adopted.connect(self._on_adopted)
        self._masks.edited.connect(self._on_edited)
        self._masks.lost.connect(lambda mask: self._unsaved.leave(mask.editing))
        self._masks.lost.connect(self.edited)

    # What is open

    @property
    def folder(self) -> AnnotationFolder | None:
        """The folder that is open."""
        return self._opening.folder

    @property
    def shown(self) -> Path | None:
        """The image that is shown."""
        return self.display.shown.image if self.display.shown is not None else None

    @property
    def mask(self) -> MaskLayer | None:
        """The mask that the docks act on: of the selected layer, else of the image that is shown."""
        active, shown = self.viewer.layers.selection.active, self.display.shown
        selected = next((mask for mask in self.masks if mask.layer is active), None)
        return selected or (shown.mask if shown is not None else None)

    @property
    def masks(self) -> list[MaskLayer]:
        """All masks on layers of the viewer."""
        return self._masks.all

    @property
    def unsaved(self) -> dict[Path, Editing]:
        """Masks with edits that are not saved, on a layer or not, by their image."""
        return self._unsaved.all

    def entries(self) -> list[ImageEntry]:
        """Describe all images of the folder."""
        return self.folder.entries(frozenset(self.unsaved)) if self.folder is not None else []

    def root_of(self, image: Path) -> Path | None:
        """Return the open folder if an image lies in it."""
        folder = self.folder
        return folder.root if folder is not None and image.is_relative_to(folder.root) else None

    def uses_class(self, number: int) -> bool:
        """Whether a mask that was read or is being edited holds a class."""
        return self._classes.uses(number)

    @property
    def learning(self) -> Learning:
        """Trainings and predictions; made at the first use."""
        if self._learning is None:
            from napari_attnseg.viewer.session.learning import Learning  # takes longer than a dock should take to open

            self._learning = Learning(self)
        return self._learning

    @property
    def is_training(self) -> bool:
        """Whether a training that this window follows is under way."""
        return self._learning is not None and self._learning.training.run.is_active

    # Opening

    def open_folder(self, path: Path, then: Callable[[], None] = lambda: None) -> None:
        """List a folder (or a single image's) in the background, and show its first image.

        `folder_changed` is emitted when it is there, `folder_failed` with a sentence when it cannot be listed.
        """
        self._opening.open_folder(path, then)

    def open_file(self, path: Path) -> None:
        """Open one file: an image with its mask, or a mask with its image."""
        self.open_files([path])

    def open_files(self, paths: Sequence[Path]) -> None:
        """List files, images with their masks or masks with their images, and show the first of them."""
        self._opening.open_files(paths)

    def show(self, image: Path) -> None:
        """Show an image of the folder with its mask; edits of the mask shown before stay, saved or not."""
        self._showing.show(image)

    def bring_back(self, image: Path) -> None:
        """Show the image that is shown anew if the user has removed layers of it."""
        shown = self.display.shown
        if shown is not None and shown.image == image and self.display.has_lost_layers:
            self.show(image)

    def set_choices(self, choices: FolderChoices, then: Callable[[], None] = lambda: None) -> None:
        """Read the folder in another way from now on; `then` is called once it is read so."""
        self._opening.set_choices(choices, then)

    # Editing

    def use_dock(self) -> None:
        """Note that there is a dock for annotating; images that are open already can be painted on from now on."""
        self.has_dock = True
        self._masks.offer_masks()

    def set_classes(self, classes: Classes) -> None:
        """Take over an edited list of classes at once; it is written to `classes.json` in the background."""
        self._classes.change(classes)

    def undo(self) -> None:
        """Undo the last step on the mask that the docks act on."""
        if self.mask is not None:
            self.mask.undo()

    def redo(self) -> None:
        """Do again what was undone last."""
        if self.mask is not None:
            self.mask.redo()

    def take(self, image: Path, editing: Editing) -> None:
        """Take over a mask with unsaved edits that is on no layer yet, such as one restored after a crash.

        If the image has been painted on in the meantime, that stays, and what is restored waits for the next start.
        """
        self._masks.finish()
        self._classes.give(editing)
        if self._unsaved.take(editing):
            self._opened_anew(image)
            self._showing.change_mask(editing)
            self._masks.change_mask(editing)

    def reload(self, image: Path) -> None:
        """Open an image's mask anew from the disk; edits that are not saved go to the discarded journals."""
        self._unsaved.drop(image)
        self._opened_anew(image)
        self._masks.reopen(image)
        if self.shown == image:
            self.show(image)

    def note_saved(self, editing: Editing) -> None:
        """Note that a mask has been written."""
        image, home, folder = editing.document.image, home_of(editing.document, self.folder), self.folder
        self._unsaved.note(editing)
        if all(mask.editing is not editing for mask in self.masks):
            self._unsaved.leave(editing)
        if folder is not None and folder.pair(image) is not None:
            folder.note_saved(image, editing.document.mask_path)
            self.background.do(folder.save, quiet=True)
            self.background.do(lambda: folder.survey_saved(image), quiet=True, is_long=True)
        if home is not None and (folder is None or home != folder.root):
            self.background.do(lambda: note_edited(home, name_in(home, image)), quiet=True)
        self._opened_anew(image)

    def save_now(self, document: Document) -> bool:
        """Write a mask while the caller waits, for napari's own way of saving; return whether it is open here.

        Raises
        ------
        AttnSegError
            See `Document.save`.
        """
        return self.saving.save_now(document)

    def close(self) -> None:
        """End: strokes that are not saved are brought to the journal, the folder is free for others."""
        self.closing.emit()
        self._masks.stop()
        self._unsaved.close()
        self._opening.close()
        self._showing.close()
        self.background.close()
        _sessions.pop(self.viewer, None)

    def announce(self, image: Path) -> None:
        """Tell those who list images that something about one of them has changed."""
        if self.folder is not None and self.folder.pair(image) is not None:
            self.entry_changed.emit(self.folder.entry(image, unsaved=image in self.unsaved))

    def tell_failed(self, path: Path, error: Exception) -> None:
        """Tell the user that something cannot be opened."""
        self.loading.emit(False)
        show_warning(failure_text(error, f"{path.name} cannot be opened"))

    def _by_path(self) -> list[Path]:
        return [pair.image for pair in self.folder.pairs] if self.folder is not None else []

    def _on_adopted(self, mask: MaskLayer) -> None:
        self._classes.give(mask.editing)
        self._opening.list_document(mask.editing.document)
        self.edited.emit()

    def _on_edited(self, mask: MaskLayer) -> None:
        if self._unsaved.note(mask.editing):
            self.announce(mask.editing.document.image)
        self.edited.emit()

    def _opened_anew(self, image: Path) -> None:
        """Note that an image's mask is not what was read ahead."""
        self._showing.forget(image)
        self.announce(image)
        self.edited.emit()


def session_of(viewer: Viewer) -> Session:
    """Return the session of a viewer, made at the first call."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # napari hands plugins a proxy
    session = _sessions.get(viewer)
    if session is None:
        session = _sessions[viewer] = Session(viewer)
        from napari_attnseg.viewer.session.closing import guard_window

        guard_window(session)
    return session
