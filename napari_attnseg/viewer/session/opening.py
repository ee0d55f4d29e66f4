"""Opening folders and files for a session: listed in the background, and read as the folder's choices say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning

from napari_attnseg.annotation.folder.entries import FolderChoices
from napari_attnseg.annotation.folder.folder import AnnotationFolder, open_folder
from napari_attnseg.annotation.masks.document import Document
from napari_attnseg.data.pairs import Pair, find_pairs
from napari_attnseg.errors import AttnSegError, SaveError
from napari_attnseg.viewer.failures import failure_text
from napari_attnseg.viewer.session.folder_hold import FolderHold
from napari_attnseg.viewer.session.showing import Showing

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

_log = logging.getLogger(__name__)


class Opening:
    """Has the folder that is open, and opens others; of several that are asked for in a hurry the last one."""

    def __init__(self, session: Session, showing: Showing) -> None:
        self.folder: AnnotationFolder | None = None
        self._session = session
        self._showing = showing
        self._hold = FolderHold(session)
        self._wanted: Path | None = None

    def open_folder(self, path: Path, then: Callable[[], None]) -> None:
        """List a folder (or a single image's) in the background, and show its first image."""
        session = self._session
        session.loading.emit(True)
        self._wanted = path

        def done(folder: AnnotationFolder) -> None:
            if path == self._wanted:
                self._set_folder(folder)
            then()

        session.background.run(lambda: open_folder(path), done, lambda error: self._failed(path, error))

    def open_files(self, paths: Sequence[Path]) -> None:
        """List files, images with their masks or masks with their images, and show the first of them."""
        suffix = self.folder.choices.mask_suffix if self.folder is not None else "_MASK"
        session = self._session

        def done(found: tuple[list[Pair], dict[Path, AttnSegError]]) -> None:
            pairs, problems = found
            for path, error in problems.items():
                session.tell_failed(path, error)
            if pairs and self.folder is None:
                first = pairs[0].image
                # another folder that was asked for in the meantime has nothing to do with these files
                self.open_folder(first, then=lambda: self._list(pairs) if first == self._wanted else None)
            elif pairs:
                self._list(pairs)
                session.show(pairs[0].image)

        session.background.run(
            lambda: _pairs_of(paths, suffix), done, lambda error: session.tell_failed(paths[0], error)
        )

    def list_document(self, document: Document) -> None:
        """Take the image of a mask that came by a drop into the list; its folder is open now if none was."""
        pair = Pair(document.image, document.mask_path if document.has_mask else None)
        if self.folder is not None:
            self._list([pair])
            return

        def done(folder: AnnotationFolder) -> None:
            if self.folder is None:
                self._take(folder)
            else:  # several came at the same time
                self._list([pair])

        self._session.background.run(
            lambda: open_folder(pair.image), done, lambda error: self._session.tell_failed(pair.image, error)
        )

    def set_choices(self, choices: FolderChoices, then: Callable[[], None]) -> None:
        """Read the folder in another way from now on; the image that is shown is opened anew."""
        session, folder = self._session, self.folder
        if folder is None or choices == folder.choices:
            return
        if session.unsaved:
            show_warning("Save the masks first: files are not read in another way while there are unsaved edits.")
            session.folder_changed.emit()  # the forms show again what holds
            return
        suffix_changed = choices.mask_suffix != folder.choices.mask_suffix

        def done(_: None) -> None:
            self._read_anew(folder)
            if suffix_changed:
                self._list_anew()
            else:
                self._show_anew()
            then()

        session.background.run(
            lambda: _choose(folder, choices, lambda: session.background.is_closed),
            done,
            lambda error: session.tell_failed(folder.root, error),
        )

    def close(self) -> None:
        """Let others have the folder."""
        self._hold.close()

    def _list_anew(self) -> None:
        if self.folder is not None:
            source, suffix, shown = self.folder.source, self.folder.choices.mask_suffix, self._session.shown
            self._session.background.run(
                lambda: open_folder(source, suffix),
                lambda folder: self._set_folder(folder, shown),
                lambda error: self._failed(source, error),
            )

    def _set_folder(self, folder: AnnotationFolder, show: Path | None = None) -> None:
        """Take over a folder that was listed, and show one of its images, else the first."""
        session = self._session
        self._take(folder)
        if folder.pairs:
            first = next(iter(session.order()), folder.pairs[0].image)
            session.show(show if show is not None and folder.pair(show) else first)
        else:
            session.loading.emit(False)
            show_warning(f"There are no TIFF images (.tif, .tiff) in {folder.root}; choose the folder of your images.")
        self._survey(folder)

    def _take(self, folder: AnnotationFolder) -> None:
        self.folder = folder
        self._showing.forget_all()
        self._hold.take(folder.root)
        self._session.folder_changed.emit()
        self._session.convention_changed.emit()

    def _survey(self, folder: AnnotationFolder) -> None:
        """Find out from all masks what their values mean; what is shown was opened on the word of a few."""
        session, before = self._session, (folder.convention, folder.problem)

        def surveyed(_: None) -> None:
            if folder is self.folder and (folder.convention, folder.problem) != before:
                self._read_anew(folder)
                self._show_anew()

        def should_stop() -> bool:
            return folder is not self.folder or session.background.is_closed

        def failed(error: Exception) -> None:
            _log.debug("survey failed", exc_info=error)

        session.background.run(lambda: folder.survey(should_stop), surveyed, failed, is_long=True)

    def _read_anew(self, folder: AnnotationFolder) -> None:
        """Read masks by what they mean from now on; strokes made before that was known follow where they can."""
        self._showing.forget_all()
        for editing in self._session.unsaved.values():
            if folder.owns(editing.document):
                editing.with_convention(folder.convention)
        self._session.convention_changed.emit()

    def _show_anew(self) -> None:
        """Open the image that is shown anew, unless it has strokes, which are tied to how it was read."""
        session = self._session
        if session.shown is not None and session.shown not in session.unsaved:
            session.show(session.shown)

    def _list(self, pairs: Sequence[Pair]) -> None:
        """Take images from anywhere into the list."""
        folder = self.folder
        if folder is None:
            return
        new = [pair for pair in pairs if folder.pair(pair.image) is None]
        for pair in new:
            folder.add(pair)
        if new:
            self._session.folder_changed.emit()

    def _failed(self, path: Path, error: Exception) -> None:
        self._session.loading.emit(False)
        text = failure_text(error, f"{path} cannot be opened")
        self._session.folder_failed.emit(text)
        show_warning(text)


def _choose(folder: AnnotationFolder, choices: FolderChoices, should_stop: Callable[[], bool]) -> None:
    """Change how a folder is read, and write it down if that is possible."""
    folder.set_choices(choices)
    folder.survey(should_stop)
    try:
        folder.save()
    except SaveError:
        _log.info("the choices for %s hold until it is closed: it cannot be written to", folder.root)


def _pairs_of(paths: Sequence[Path], suffix: str) -> tuple[list[Pair], dict[Path, AttnSegError]]:
    """Find the image and mask that each file belongs to, each pair once, and what is wrong with the others."""
    pairs: dict[Path, Pair] = {}
    problems: dict[Path, AttnSegError] = {}
    for path in paths:
        try:
            pairs |= {pair.image: pair for pair in find_pairs(path, suffix).pairs if pair.image not in pairs}
        except AttnSegError as error:
            problems[path] = error
    return list(pairs.values()), problems
