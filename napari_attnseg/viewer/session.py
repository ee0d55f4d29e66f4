"""The session: what one viewer has open. The docks show it and ask it; nothing of it is drawn here.

Everything that touches the disk runs in the background. Of several images that are asked for in a hurry only the last
one is shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakKeyDictionary, WeakSet

from napari import Viewer
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_attnseg.annotation.document import Document
from napari_attnseg.annotation.editing import Editing
from napari_attnseg.annotation.entries import FolderChoices, ImageEntry
from napari_attnseg.annotation.folder import AnnotationFolder, open_folder
from napari_attnseg.annotation.journal import Journal
from napari_attnseg.annotation.lock import FolderLock, Owner
from napari_attnseg.annotation.recovery import header_of, new_journal, set_aside
from napari_attnseg.data.classes import Classes
from napari_attnseg.data.convention import Mode
from napari_attnseg.data.lazy import LazyImage
from napari_attnseg.data.pairs import Pair, find_pairs
from napari_attnseg.errors import AttnSegError, SaveError
from napari_attnseg.viewer.background import Background
from napari_attnseg.viewer.display import Display
from napari_attnseg.viewer.mask_layer import MaskLayer
from napari_attnseg.viewer.open_masks import OpenMasks
from napari_attnseg.viewer.overviews import fill_overview
from napari_attnseg.viewer.ready_images import ReadyImage, ReadyImages
from napari_attnseg.viewer.saving import Saving

HEARTBEAT = 30_000  # milliseconds
_log = logging.getLogger(__name__)
# The session of each viewer, for as long as there is the viewer: readers and docks are made by napari, without us.
_sessions: WeakKeyDictionary[Viewer, Session] = WeakKeyDictionary()


class Session(QObject):
    """The folder, the image that is shown, and all masks with edits of one viewer."""

    folder_changed = Signal()
    """Another folder is open, or its images were listed anew."""
    folder_failed = Signal(str)
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
    closing = Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer.window._qt_window)
        self.viewer = viewer
        self.folder: AnnotationFolder | None = None
        self.display = Display(viewer)
        self.background = Background(parent=self)
        self.saving = Saving(self)
        self._masks = OpenMasks(self)
        self.has_dock = False
        """Whether there is a dock for annotating, so that images without a mask get an empty one."""
        self.has_offered = False
        """Whether unsaved work of an earlier session has been asked about."""
        self.is_closing = False
        """Whether the window is being closed, so that layers go without the user's doing."""
        self.order: Callable[[], list[Path]] = self._by_path
        """The images in the order in which the user sees them; set by what lists them."""
        self._lock: FolderLock | None = None
        self._opening: Path | None = None
        self._wanted: Path | None = None
        self._unsaved: dict[Path, Editing] = {}
        self._ready = ReadyImages(self.background)
        self._lazy: dict[Path, LazyImage] = {}
        self._saved_journals: WeakSet[Journal] = WeakSet()  # their files may not be gone yet
        self._connect()

    # What is open

    @property
    def shown(self) -> Path | None:
        """The image that is shown."""
        return self.display.shown.image if self.display.shown is not None else None

    @property
    def mask(self) -> MaskLayer | None:
        """The mask that the docks act on: of the selected layer, else of the image that is shown."""
        active = self.viewer.layers.selection.active
        for mask in self.masks:
            if mask.layer is active:
                return mask
        return self.display.shown.mask if self.display.shown is not None else None

    @property
    def masks(self) -> list[MaskLayer]:
        """All masks on layers of the viewer."""
        return self._masks.all

    @property
    def unsaved(self) -> dict[Path, Editing]:
        """Masks with edits that are not saved, on a layer or not, by their image."""
        return {image: editing for image, editing in self._unsaved.items() if editing.document.is_modified}

    def entries(self) -> list[ImageEntry]:
        """Describe all images of the folder."""
        return self.folder.entries(frozenset(self.unsaved)) if self.folder is not None else []

    # Opening

    def open_folder(self, path: Path, then: Callable[[], None] = lambda: None) -> None:
        """List a folder (or a single image's) in the background, and show its first image.

        `folder_changed` is emitted when it is there, `folder_failed` with a sentence when it cannot be listed.
        """
        self.loading.emit(True)
        self._opening = path

        def done(folder: AnnotationFolder) -> None:
            if path == self._opening:  # of several that are asked for in a hurry the last one is opened
                self._set_folder(folder)
            then()

        self.background.run(lambda: open_folder(path), done, lambda error: self._failed_folder(path, error))

    def refresh_folder(self) -> None:
        """List the folder again: files may have come or gone."""
        if self.folder is not None:
            source, suffix, shown = self.folder.source, self.folder.choices.mask_suffix, self.shown
            self.background.run(
                lambda: open_folder(source, suffix),
                lambda folder: self._set_folder(folder, shown),
                lambda error: self._failed_folder(source, error),
            )

    def show(self, image: Path) -> None:
        """Show an image of the folder with its mask; edits of the mask shown before stay, saved or not."""
        folder = self.folder
        if folder is None or folder.pair(image) is None:
            return
        self._wanted = image
        for mask in self._masks.others:
            if mask.editing.document.image == image:  # a dropped file: it has its layers already
                self.viewer.layers.selection.active = mask.layer
                return
        self.loading.emit(True)
        self.background.run(
            lambda: self._ready.read(folder, image),
            lambda ready: self._put(folder, image, ready),
            lambda error: self._failed(image, error),
        )

    def open_file(self, path: Path) -> None:
        """Open one file: an image with its mask, or a mask with its image."""
        self.open_files([path])

    def open_files(self, paths: Sequence[Path]) -> None:
        """List files, images with their masks or masks with their images, and show the first of them."""
        suffix = self.folder.choices.mask_suffix if self.folder is not None else "_MASK"

        def done(found: tuple[list[Pair], dict[Path, AttnSegError]]) -> None:
            pairs, problems = found
            for path, error in problems.items():
                self._failed(path, error)
            if pairs and self.folder is None:
                self.open_folder(pairs[0].image, then=lambda: self._list(pairs))
            elif pairs:
                self._list(pairs)
                self.show(pairs[0].image)

        self.background.run(lambda: _pairs_of(paths, suffix), done, lambda error: self._failed(paths[0], error))

    # Editing

    def set_classes(self, classes: Classes) -> None:
        """Take over an edited list of classes; it is written to `classes.json` in the background."""
        folder = self.folder
        if folder is None:
            return
        for editing in [mask.editing for mask in self.masks] + list(self._unsaved.values()):
            editing.document.with_classes(classes)
        self._in_background(lambda: folder.set_classes(classes))
        for mask in self.masks:
            self.display.colour(mask.layer, mask.editing, classes)

    def set_choices(self, choices: FolderChoices) -> None:
        """Read the folder in another way from now on; the image that is shown is opened anew."""
        folder = self.folder
        if folder is None or choices == folder.choices:
            return
        if self.unsaved:
            show_warning("Save the masks first: files are not read in another way while there are unsaved edits.")
            self.folder_changed.emit()  # the forms show again what holds
            return
        suffix_changed = choices.mask_suffix != folder.choices.mask_suffix

        def work() -> None:
            folder.set_choices(choices)
            folder.survey()
            try:
                folder.save()
            except SaveError:
                _log.info("the choices for %s hold until it is closed: it cannot be written to", folder.root)

        def done(_: None) -> None:
            self._ready.clear()
            self.convention_changed.emit()
            if suffix_changed:
                self.refresh_folder()
            elif self.shown is not None:
                self.show(self.shown)

        self.background.run(work, done, lambda error: self._failed(folder.root, error))

    def choose_mask_values(self, mode: Mode) -> None:
        """Read the masks' values in another way: 'auto', 'binary', 'classes' or 'instances'."""
        if self.folder is not None:
            self.set_choices(replace(self.folder.choices, mask_values=mode))

    def uses_class(self, number: int) -> bool:
        """Whether a mask that was read or is being edited holds a class."""
        if self.folder is not None and self.folder.holds_class(number):
            return True
        editings = [mask.editing for mask in self.masks] + list(self._unsaved.values())
        return any(bool((editing.labels == number).any()) for editing in editings)

    def use_dock(self) -> None:
        """Note that there is a dock for annotating; images that are open already can be painted on from now on."""
        self.has_dock = True
        self._masks.offer_masks()

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
        self._masks.sync()
        if image in self.unsaved:
            editing.journal.close()
            show_warning(f"{image.name} has new strokes; those of the earlier session are kept for the next start.")
            return
        self._unsaved[image] = editing
        self._ready.forget(image)
        self._announce(image)

    def reload(self, image: Path) -> None:
        """Open an image's mask anew from the disk; edits that are not saved go to the discarded journals."""
        editing = self._unsaved.pop(image, None)
        if editing is not None:
            self._in_background(lambda: set_aside(editing.journal), quiet=True)
        self._ready.forget(image)
        self._announce(image)
        if self.shown == image:
            self.show(image)

    def note_saved(self, editing: Editing) -> None:
        """Note that a mask has been written."""
        image = editing.document.image
        self._saved_journals.add(editing.journal)
        if not editing.document.is_modified:
            self._unsaved.pop(image, None)
            if all(mask.editing is not editing for mask in self.masks):
                self._in_background(editing.journal.close, quiet=True)
        folder = self.folder
        if folder is not None and folder.pair(image) is not None:
            folder.note_saved(image, editing.document.mask_path)
            self._in_background(folder.save, quiet=True)
        self._ready.forget(image)
        self._announce(image)

    def save_now(self, document: Document) -> bool:
        """Write a mask that is open here while the caller waits, for napari's own way of saving.

        Returns whether it is open here.

        Raises
        ------
        AttnSegError
            See `Document.save`.
        """
        editing = next((mask.editing for mask in self.masks if mask.editing.document is document), None)
        if editing is None:
            return False
        self._masks.sync()
        document.save(root=self.root_of(document.image))
        document.saved(document.revision)
        editing.journal.forget(editing.journal.mark(), header_of(document))
        self.note_saved(editing)
        return True

    def root_of(self, image: Path) -> Path | None:
        """Return the open folder if an image lies in it."""
        folder = self.folder
        return folder.root if folder is not None and image.is_relative_to(folder.root) else None

    def close(self) -> None:
        """End: strokes that are not saved are brought to the journal, the folder is free for others."""
        self.closing.emit()
        self._heartbeat.stop()
        self._masks.stop()
        editings = [mask.editing for mask in self.masks] + list(self._unsaved.values())
        for journal in {editing.journal for editing in editings} | set(self._saved_journals):
            journal.close()
        if self._lock is not None:
            self._lock.release()
        for lazy in self._lazy.values():
            lazy.close()
        self.background.close()
        _sessions.pop(self.viewer, None)

    # Within

    def _connect(self) -> None:
        self._masks.adopted.connect(self._on_adopted)
        self._masks.edited.connect(self._on_edited)
        self._masks.lost.connect(self.edited)
        self._heartbeat = QTimer(self)
        self._heartbeat.timeout.connect(self._on_heartbeat)
        self._heartbeat.start(HEARTBEAT)

    def _set_folder(self, folder: AnnotationFolder, show: Path | None = None) -> None:
        self.folder = folder
        self._ready.clear()
        self._take_lock(folder.root)
        self.folder_changed.emit()
        self.convention_changed.emit()
        before = (folder.convention, folder.problem)

        def surveyed(_: None) -> None:
            if folder is self.folder and (folder.convention, folder.problem) != before:
                self._ready.clear()
                self.convention_changed.emit()
                if self.shown is not None and self.shown not in self.unsaved:
                    self.show(self.shown)

        if folder.pairs:
            first = next(iter(self.order() or self._by_path()))
            self.show(show if show is not None and folder.pair(show) else first)
        else:
            self.loading.emit(False)
            show_warning(f"There are no TIFF images (.tif, .tiff) in {folder.root}; choose the folder of your images.")
        self.background.run(folder.survey, surveyed, lambda error: _log.debug("survey failed", exc_info=error))

    def _list(self, pairs: Sequence[Pair]) -> None:
        """Take images from anywhere into the list."""
        folder = self.folder
        if folder is None:
            return
        new = [pair for pair in pairs if folder.pair(pair.image) is None]
        for pair in new:
            folder.add(pair)
        if new:
            self.folder_changed.emit()

    def _by_path(self) -> list[Path]:
        return [pair.image for pair in self.folder.pairs] if self.folder is not None else []

    def _take_lock(self, root: Path) -> None:
        if self._lock is not None:
            if self._lock.folder == root:
                return
            self._in_background(self._lock.release, quiet=True)
        lock = self._lock = FolderLock(root)

        def taken(owner: Owner | None) -> None:
            if lock is self._lock:
                self.shared_with.emit(owner)

        self.background.run(lock.acquire, taken, lambda error: _log.debug("no lock", exc_info=error))

    def _put(self, folder: AnnotationFolder, image: Path, ready: ReadyImage) -> None:
        if folder is not self.folder:
            return
        self._ready.keep(image, ready)
        if image != self._wanted:
            return
        self._close_shown()
        document = ready.document
        editing = self._unsaved.get(image)
        if editing is None and document.problem is None:
            editing = Editing(document, new_journal(document, self.saving.on_problem))
        self._ready.forget(image)  # its labels are edited from now on
        self._masks.is_placing = True
        try:
            shown = self.display.show(image, ready.layers, editing, folder.classes)
        finally:
            self._masks.is_placing = False
        if shown.mask is not None:
            self._masks.watch(shown.mask)
        elif document.problem is not None:
            show_warning(document.problem)
        self.loading.emit(False)
        self.shown_changed.emit()
        self.edited.emit()
        self._follow_lazy(image, ready.lazy)
        images = self.order()
        after = images.index(image) + 1 if image in images else len(images)
        self._ready.prepare(folder, [path for path in images[after : after + 2] if path not in self._unsaved])

    def _follow_lazy(self, image: Path, lazy: LazyImage | None) -> None:
        """Fill the overview of a large image, and close the file of the one that was shown before."""
        for path in [path for path in self._lazy if path != image and path not in self._ready]:
            self._lazy.pop(path).close()
        if lazy is not None:
            self._lazy[image] = lazy
            fill_overview(lazy, self.viewer, self.background)

    def _close_shown(self) -> None:
        shown = self.display.shown
        if shown is None or shown.mask is None:
            return
        shown.mask.sync()
        editing = shown.mask.editing
        if not editing.document.is_modified and self._unsaved.get(shown.image) is not editing:
            editing.journal.close()

    def _on_edited(self, mask: MaskLayer) -> None:
        image = mask.editing.document.image
        if image not in self._unsaved:
            self._unsaved[image] = mask.editing
            self._announce(image)
        self.edited.emit()

    def _announce(self, image: Path) -> None:
        folder = self.folder
        if folder is not None and folder.pair(image) is not None:
            self.entry_changed.emit(folder.entry(image, unsaved=image in self.unsaved))
        self.edited.emit()

    def _on_adopted(self, mask: MaskLayer) -> None:
        document = mask.editing.document
        pair = Pair(document.image, document.mask_path if document.has_mask else None)
        if self.folder is None:
            self._list_one(pair)
        elif self.folder.pair(pair.image) is None:
            self.folder.add(pair)
            self.folder_changed.emit()
        self.edited.emit()

    def _list_one(self, pair: Pair) -> None:
        def done(folder: AnnotationFolder) -> None:
            if self.folder is None:
                self.folder = folder
                self.folder_changed.emit()
                self.convention_changed.emit()

        self.background.run(lambda: open_folder(pair.image), done, lambda error: self._failed(pair.image, error))

    def _on_heartbeat(self) -> None:
        if self._lock is not None:
            self._in_background(self._lock.heartbeat, quiet=True)

    def _in_background(self, work: Callable[[], object], *, quiet: bool = False) -> None:
        self.background.run(
            work, lambda _: None, lambda error: _log.info("%s", error) if quiet else show_error(str(error))
        )

    def _failed_folder(self, path: Path, error: Exception) -> None:
        self.loading.emit(False)
        text = str(error) if isinstance(error, AttnSegError) else f"{path} cannot be opened: {error}."
        self.folder_failed.emit(text)
        show_warning(text)

    def _failed(self, path: Path, error: Exception) -> None:
        self.loading.emit(False)
        if isinstance(error, AttnSegError):
            show_warning(str(error))
        else:
            _log.error("unexpected error with %s", path, exc_info=error)
            show_error(f"{path.name} cannot be opened: {error}.")


def session_of(viewer: Viewer) -> Session:
    """Return the session of a viewer, made at the first call."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # napari hands plugins a proxy
    session = _sessions.get(viewer)
    if session is None:
        session = _sessions[viewer] = Session(viewer)
        from napari_attnseg.viewer.closing import guard_window

        guard_window(session)
    return session


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
