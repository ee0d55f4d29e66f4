"""Masks with edits that are not saved, whether they are on a layer or not, and the journals that end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from napari.utils.notifications import show_warning

from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.journal import Journal
from napari_attnseg.annotation.masks.recovery import set_aside

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session


class Unsaved:
    """What a session has painted and not saved, by image."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._editings: dict[Path, Editing] = {}
        self._ended: WeakSet[Journal] = WeakSet()  # their files may not be gone yet

    @property
    def all(self) -> dict[Path, Editing]:
        """Masks with edits that are not saved, by their image."""
        return {image: editing for image, editing in self._editings.items() if editing.document.is_modified}

    def note(self, editing: Editing) -> bool:
        """Note that a mask was painted on, undone or saved; return whether it was saved and is not now, or reversed."""
        image = editing.document.image
        was_unsaved = image in self._editings
        if editing.document.is_modified:
            self._editings.setdefault(image, editing)
        elif self._editings.get(image) is editing:
            del self._editings[image]
        return was_unsaved != (image in self._editings)

    def take(self, editing: Editing) -> bool:
        """Take over a mask that is on no layer; return whether there was none for its image, so that it was taken."""
        image = editing.document.image
        if image in self.all:
            editing.journal.release()
            show_warning(f"{image.name} has new strokes; those of the earlier session are kept for the next start.")
            return False
        self._editings[image] = editing
        return True

    def drop(self, image: Path) -> None:
        """Give up the edits of an image; they go to the discarded journals."""
        editing = self._editings.pop(image, None)
        if editing is not None:
            self._session.background.do(lambda: set_aside(editing.journal), quiet=True)

    def leave(self, editing: Editing) -> None:
        """Note that a mask is on no layer any more; its journal ends unless there is something to save."""
        if self._editings.get(editing.document.image) is not editing and not editing.document.is_modified:
            self._ended.add(editing.journal)
            self._session.background.do(editing.journal.close, quiet=True)

    def close(self) -> None:
        """Bring all strokes to the journals, and wait for it; the next viewer offers them, in this process too."""
        editings = {*self._editings.values(), *(mask.editing for mask in self._session.masks)}
        for journal in {editing.journal for editing in editings} | set(self._ended):
            journal.release()
