"""Editing a mask: what was painted becomes steps that can be undone, and goes to the journal.

Nothing here knows how painting works. The mask as it was last known is kept beside the one that is painted on, and
what differs between the two, tile by tile, is the change. That holds for every tool, whatever it tells of itself.

A mask that was undone or redone until it is as it was saved is not modified, and then there is no journal to restore.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from napari_attnseg.annotation.masks.document import Array, Document
from napari_attnseg.annotation.masks.history import Change, History, changed_tiles, tiles_of
from napari_attnseg.annotation.masks.journal import Journal
from napari_attnseg.annotation.masks.journal_header import header_of
from napari_attnseg.data.classes import Classes
from napari_attnseg.data.convention import MaskConvention

Box = tuple[slice, ...]


@dataclass(frozen=True)
class SaveMark:
    """The moment whose labels are being saved, for the document and for the journal."""

    revision: int
    token: int


class Editing:
    """A document with its undo history and its journal."""

    def __init__(self, document: Document, journal: Journal) -> None:
        self.document = document
        self.journal = journal
        self.history = History(document.revision)
        self._saves = 0  # that are under way
        self._unfinished = False  # the journal holds a part of a stroke that is no step yet
        # np.zeros takes memory only where something is painted
        empty = not document.has_mask
        self._known = np.zeros(document.labels.shape, document.labels.dtype) if empty else document.labels.copy()

    @property
    def labels(self) -> Array:
        """The mask that is edited, (stack axes..., y, x)."""
        return self.document.labels

    def note(self, boxes: Iterable[Box]) -> bool:
        """Take over what was painted inside `boxes`, as one undo step; return whether anything was.

        Parameters
        ----------
        boxes
            Parts of the whole mask, a slice with start and stop for each axis.
        """
        changes = self._changes(boxes)
        self._unfinished = False  # also if an undo has taken back what was painted so far
        if changes:
            self._take(changes)
        return bool(changes)

    def note_unfinished(self, box: Box) -> None:
        """Bring a stroke that is not finished to the journal; its undo step comes with `note`."""
        changes = self._changes([box])
        self._unfinished |= bool(changes)
        self._write(changes)

    def apply(self, planes: Mapping[tuple[int, ...], Array]) -> bool:
        """Replace whole planes as one undo step; return whether that changed anything.

        Parameters
        ----------
        planes
            Indices along the stack axes (empty for a single plane) to new labels (y, x).
        """
        boxes = []
        for index, plane in planes.items():
            if np.array_equal(self.labels[index], plane):
                continue
            self.labels[index] = plane
            boxes.append((*(slice(i, i + 1) for i in index), slice(0, plane.shape[0]), slice(0, plane.shape[1])))
        return self.note(boxes)

    def apply_part(self, box: Box, values: Array) -> bool:
        """Replace a part of the mask as one undo step; return whether that changed anything.

        Parameters
        ----------
        box
            A slice with start and stop for each axis.
        values
            New labels (y, x), or of the shape of the box.
        """
        self.labels[box] = values
        return self.note([box])

    def undo(self) -> tuple[Box, ...]:
        """Undo the last step, on whichever planes it was; return where, nothing if there is none."""
        return self._replayed(self.history.undo(self.labels, self._known))

    def redo(self) -> tuple[Box, ...]:
        """Do again what was undone last; return where, nothing if there is none."""
        return self._replayed(self.history.redo(self.labels, self._known))

    def begin_save(self) -> SaveMark:
        """Say that the labels as they are now are going to be written; call `end_save` afterwards in any case."""
        self._saves += 1
        # nothing that is undone or done again leads back to a part of a stroke
        revision = self.document.new_revision() if self._unfinished else self.document.revision
        return SaveMark(revision, self.journal.mark())

    def end_save(self, mark: SaveMark, *, written: bool) -> None:
        """Say whether the labels of `begin_save` are on disk now; then the journal keeps only what came later."""
        self._saves -= 1
        if written:
            self.document.saved(mark.revision)
            self.journal.forget(mark.token, header_of(self.document))
        self._drop_needless_journal()

    def with_classes(self, classes: Classes) -> None:
        """Take over an edited list of classes; see `Document.with_classes`."""
        self.document.with_classes(classes)
        self.journal.set_header(header_of(self.document))

    def with_convention(self, convention: MaskConvention) -> None:
        """Take over what the masks of the folder mean by now; see `Document.with_convention`."""
        before = self.document.convention
        self.document.with_convention(convention)
        if self.document.convention != before:
            self.journal.set_header(header_of(self.document))

    def _drop_needless_journal(self) -> None:
        """Empty the journal if the mask is as it was saved; while it is being saved what was undone is still needed."""
        if not (self._saves or self._unfinished or self.document.is_modified):
            self.journal.forget()

    def _replayed(self, boxes: tuple[Box, ...]) -> tuple[Box, ...]:
        if boxes:
            self.document.return_to(self.history.revision)
            self.journal.add((tuple(part.start for part in box), self.labels[box]) for box in boxes)
            self._drop_needless_journal()
        return boxes

    def _changes(self, boxes: Iterable[Box]) -> list[Change]:
        tiles = {tuple(part.start for part in tile): tile for box in boxes for tile in tiles_of(self.labels.shape, box)}
        return [
            change
            for start, tile in tiles.items()
            for change in changed_tiles(self._known[tile], self.labels[tile], start)
        ]

    def _take(self, changes: list[Change]) -> None:
        for change in changes:
            self._known[change.box] = self.labels[change.box]
        self.document.touch()
        self.history.record(changes, self.document.revision)
        self._write(changes)

    def _write(self, changes: list[Change]) -> None:
        self.journal.add((tuple(part.start for part in change.box), self.labels[change.box]) for change in changes)
