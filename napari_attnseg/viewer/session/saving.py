"""Saving masks in the background, and what to do when that goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.annotation.masks.document import Document, MaskChangedError
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.viewer.failures import failure_text
from napari_attnseg.viewer.questions import ask_overwrite

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Order:
    """A mask that is to be written, and who wants to know whether that worked."""

    editing: Editing
    overwrite: bool = False
    thens: tuple[Callable[[bool], None], ...] = ()

    def after(self, before: _Order) -> _Order:
        """Return the one order that does for this one and for one that is still waiting."""
        return _Order(self.editing, self.overwrite or before.overwrite, before.thens + self.thens)

    def tell(self, worked: bool) -> None:
        """Tell those who wait."""
        for then in self.thens:
            then(worked)


class Saving(QObject):
    """Saves masks of a session, one write at a time for each of them."""

    saved = Signal(object, object)
    """A mask has been written, on a layer or not: its Document, and the labels that were written."""
    problem_changed = Signal(str)
    """Why strokes cannot be brought to safety just now, a sentence; '' when all is well."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._running: dict[Path, Editing] = {}
        self._waiting: dict[Path, _Order] = {}  # what is to be written after it

    @property
    def is_busy(self) -> bool:
        """Whether a mask is being written."""
        return bool(self._running)

    def being_saved(self, image: Path) -> Editing | None:
        """Return the mask of an image that is being written, perhaps as it was before the last edits were undone."""
        return self._running.get(image)

    def save(self, editing: Editing, *, then: Callable[[bool], None] | None = None) -> None:
        """Write a mask in the background; `then` is told whether it worked.

        If the mask is being written already, it is written once more afterwards, with what was painted since; all who
        ask for that meanwhile are told.
        """
        self._save(_Order(editing, thens=() if then is None else (then,)))

    def save_now(self, document: Document) -> bool:
        """Write a mask of the session while the caller waits; return whether it is one.

        Raises
        ------
        AttnSegError
            See `Document.save`.
        """
        found = next((mask for mask in self._session.masks if mask.editing.document is document), None)
        if found is None:
            return False
        found.sync()
        editing, written = found.editing, False
        mark, labels = editing.begin_save(), document.labels.copy()
        try:
            document.save(labels, root=home_of(document, self._session.folder))
            written = True
        finally:
            editing.end_save(mark, written=written)
        self._session.note_saved(editing)
        self.saved.emit(document, labels)
        return True

    def save_all(self, then: Callable[[bool], None] | None = None) -> None:
        """Write all masks with edits that are not saved; `then` is told whether all of it worked."""
        editings = list(self._session.unsaved.values())
        results: list[bool] = []
        if not editings and then is not None:
            then(True)

        def one_done(worked: bool) -> None:
            results.append(worked)
            if len(results) == len(editings) and then is not None:
                then(all(results))

        for editing in editings:
            self.save(editing, then=one_done)

    def on_problem(self, sentence: str | None) -> None:
        """Tell the user that the journal cannot be written; called by journals, in their thread."""
        self._session.background.call_here(lambda: self._tell(sentence))

    def _tell(self, sentence: str | None) -> None:
        self.problem_changed.emit(sentence or "")
        if sentence:
            show_warning(sentence)
        else:
            show_info("Your strokes are brought to safety again.")

    def _save(self, order: _Order) -> None:
        image = order.editing.document.image
        if image in self._running:
            waiting = self._waiting.get(image)
            self._waiting[image] = order if waiting is None else order.after(waiting)
            return
        self._running[image] = order.editing
        self._write(order)

    def _write(self, order: _Order) -> None:
        editing, session = order.editing, self._session
        document = editing.document
        for mask in session.masks:
            if mask.editing is editing:
                mask.sync()
        mark = editing.begin_save()
        labels = document.labels.copy()
        root = home_of(document, session.folder)

        def done(_: None) -> None:
            editing.end_save(mark, written=True)
            session.note_saved(editing)
            self.saved.emit(document, labels)
            self._finished(document.image)
            order.tell(True)

        def failed(error: Exception) -> None:
            editing.end_save(mark, written=False)
            self._finished(document.image)
            self._failed(order, error)

        session.background.run(lambda: document.save(labels, root=root, overwrite=order.overwrite), done, failed)

    def _finished(self, image: Path) -> None:
        del self._running[image]
        again = self._waiting.pop(image, None)
        if again is not None:
            self._save(again)

    def _failed(self, order: _Order, error: Exception) -> None:
        editing = order.editing
        if isinstance(error, MaskChangedError):
            answer = ask_overwrite(self._session.viewer.window._qt_window, str(error))
            if answer == "overwrite":
                self._save(replace(order, overwrite=True))
                return
            if answer == "reload":
                self._session.reload(editing.document.image)
        else:
            text = failure_text(error, f"{editing.document.mask_path.name} could not be saved")
            show_error(f"{text} Your strokes are kept in the journal on this computer.")
        order.tell(False)


def names_of(editings: Iterable[Editing]) -> list[str]:
    """Name masks for a question."""
    return sorted(editing.document.mask_path.name for editing in editings)


def home_of(document: Document, folder: AnnotationFolder | None) -> Path | None:
    """Return the folder that a mask lies in: the open one, else the one that it was read by; None if in neither."""
    folders = [folder.root if folder is not None else None, document.root]
    return next((root for root in folders if root is not None and document.mask_path.is_relative_to(root)), None)
