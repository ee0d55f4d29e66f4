"""The journal of a document, and documents out of the journals that a crash left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_attnseg.annotation.masks.abandoned import Abandoned, discard, find_abandoned, new_journal_path
from napari_attnseg.annotation.masks.document import Array, Document, open_document
from napari_attnseg.annotation.masks.editing import Editing
from napari_attnseg.annotation.masks.journal import Journal
from napari_attnseg.annotation.masks.journal_file import apply, read
from napari_attnseg.annotation.masks.journal_header import header_of
from napari_attnseg.annotation.places import journals_folder
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.pairs import Pair
from napari_attnseg.errors import DataError

OnProblem = Callable[[str | None], None]


def new_journal(document: Document, on_problem: OnProblem | None = None) -> Journal:
    """Return a journal for the edits of a document; its file is made with the first of them."""
    return Journal(new_journal_path(journals_folder(), document.image), header_of(document), on_problem)


def set_aside(journal: Journal) -> None:
    """End a journal whose edits are not wanted; they are kept for a while among the discarded ones.

    Raises
    ------
    SaveError
        The file cannot be moved; it is still there.
    """
    journal.close()
    discard(journal.path)


@dataclass(frozen=True)
class Recovered:
    """What a journal would restore."""

    abandoned: Abandoned
    document: Document | None
    """The image with its mask as it is on disk; None if nothing can be restored."""
    labels: Array | None
    """The mask with the edits of the journal, (stack axes..., y, x)."""
    problem: str | None = None
    """Why nothing can be restored, a sentence."""

    @property
    def pixels(self) -> int:
        """How many pixels differ from the mask on disk."""
        if self.document is None or self.labels is None:
            return 0
        return int(np.count_nonzero(self.document.labels != self.labels))


def find_recoverable() -> list[Recovered]:
    """Read all journals whose viewer is gone, and what they would restore; newest edit first.

    Those of other computers are among them: this one may have had another name. A journal that holds nothing the mask
    on disk has not is put away, unless it may be in use elsewhere.
    """
    found = []
    for item in find_abandoned(journals_folder(), other_hosts=True):
        recovered = _recover(item)
        if recovered.problem is not None or recovered.pixels > 0:
            found.append(recovered)
        elif not item.elsewhere:
            discard(item.path)
    return found


def restore(recovered: Recovered, on_problem: OnProblem | None = None) -> Editing:
    """Make a document that can be edited and saved, with all edits of a journal as its last undo step.

    The old journal is put away once the new one has all of it on the disk.

    Raises
    ------
    DataError
        There is nothing that can be restored.
    """
    document, labels = recovered.document, recovered.labels
    if document is None or labels is None:
        raise DataError(recovered.problem or f"{recovered.abandoned.path} holds nothing that can be restored.")
    if document.labels.dtype != labels.dtype:
        document.labels = document.labels.astype(labels.dtype)
    editing = Editing(document, new_journal(document, on_problem))
    document.labels[...] = labels
    editing.note([tuple(slice(0, length) for length in labels.shape)])
    if editing.journal.flush():
        discard(recovered.abandoned.path)
    return editing


def _recover(item: Abandoned) -> Recovered:
    header = item.header
    if header is None:
        return Recovered(item, None, None, item.problem)
    try:
        content = read(item.path)
        mask: Path | None = header.mask if header.mask.exists() else None
        convention = MaskConvention.from_dict(header.convention)
        document = open_document(Pair(header.image, mask), convention, axes=header.axes)
        document.mask_path = header.mask
        if document.problem is not None:
            raise DataError(document.problem)
        labels = document.labels.astype(np.result_type(document.labels.dtype, content.dtype))
        apply(content, labels)
    except (DataError, OSError) as error:
        return Recovered(item, None, None, str(error))
    return Recovered(item, document, labels)
