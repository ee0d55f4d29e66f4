"""The classes of the open folder on its masks: those of other folders may be open beside them, with other classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.data.classes import Classes

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session
    from napari_attnseg.viewer.session.showing import Showing


class FolderClasses:
    """Carries edits of a folder's list of classes to its masks, and to no others."""

    def __init__(self, session: Session, showing: Showing) -> None:
        self._session = session
        self._showing = showing

    def uses(self, number: int) -> bool:
        """Whether a mask that was read or is being edited holds a class."""
        folder = self._session.folder
        known = folder is not None and folder.holds_class(number)
        return known or any(bool((editing.labels == number).any()) for editing in self._editings())

    def change(self, classes: Classes) -> None:
        """Take over an edited list of classes at once; it is written to `classes.json` in the background."""
        session, folder = self._session, self._session.folder
        if folder is None:
            return
        folder.set_classes(classes)
        for editing in self._editings():
            editing.with_classes(classes)
        self._showing.forget_all()  # what is read ahead would be saved by the old classes
        session.background.do(folder.save_classes)
        for mask in session.masks:
            if folder.owns(mask.editing.document):
                session.display.colour(mask.layer, mask.editing, classes)

    def give(self, editing: Editing) -> None:
        """Let a mask have the classes that the folder has by now; none is taken from it."""
        folder, document = self._session.folder, editing.document
        if folder is None or not folder.owns(document):
            return
        if len(folder.classes) >= document.convention.n_classes:
            editing.with_classes(folder.classes)

    def _editings(self) -> list[Editing]:
        """Return the open masks that are read and written by the folder's classes."""
        session, folder = self._session, self._session.folder
        editings = [*(mask.editing for mask in session.masks), *session.unsaved.values()]
        return [one for one in editings if folder is not None and folder.owns(one.document)]
