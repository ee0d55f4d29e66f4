"""A document: one image and its mask while it is edited.

The mask is wholly in memory as labels; the file on disk changes only when it is saved. Whoever edits `labels` says so
with `touch`, and whoever undoes an edit with `return_to`, so that it is known whether anything is unsaved. Before a
save the file is compared with what was opened: what another program wrote in the meantime is never overwritten without
a question.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.annotation.masks.originals import keep_original
from napari_attnseg.data.classes import Classes
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.mask_values import read_labels
from napari_attnseg.data.masks import read_mask, write_mask, write_values
from napari_attnseg.data.pairs import Pair, mask_path
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]


class MaskChangedError(DataError):
    """The mask on disk is not the one that was opened: another program changed, made or removed it."""


@dataclass(frozen=True)
class Fingerprint:
    """What tells a file on disk from a later one of the same name."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Fingerprint | None:
        """Take the fingerprint of a file; None if there is none."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        return cls(status.st_size, status.st_mtime_ns)


@dataclass
class Document:
    """An image and its mask in editing; made by `open_document`."""

    image: Path
    info: ImageInfo
    mask_path: Path
    """Where the mask is, or will be once saved."""
    convention: MaskConvention
    labels: Array
    """(stack axes..., y, x): class ids as uint8; of numbered objects ('instances') the numbers, uint16 or uint32."""
    on_disk: Fingerprint | None
    """The mask as it was opened or last saved; None if there was none."""
    problem: str | None = None
    """Why the mask on disk cannot be edited, a sentence; then `labels` is empty of content and nothing is saved."""
    revision: int = 0
    """Names what `labels` hold now: no two contents have the same number."""
    saved_revision: int = 0
    axes: str | None = None
    """The axes that the user gave for the image; None if the image itself says what they are."""
    root: Path | None = None
    """The folder whose masks and classes it was read by; None if it was read by the image's own word alone."""
    _newest_revision: int = field(default=0, repr=False)
    _mask_info: ImageInfo | None = field(default=None, repr=False)

    @property
    def has_mask(self) -> bool:
        """Whether there is a mask on disk, as far as we know."""
        return self.on_disk is not None

    @property
    def is_modified(self) -> bool:
        """Whether there are edits that are not saved."""
        return self.revision != self.saved_revision

    @property
    def counts_objects(self) -> bool:
        """Whether the labels are numbers of objects, not classes."""
        return self.convention.kind == "instances"

    def touch(self) -> None:
        """Note that `labels` has been edited."""
        self.revision = self.new_revision()

    def new_revision(self) -> int:
        """Return a number that no content has had; it is not the present one unless that is said."""
        self._newest_revision += 1
        return self._newest_revision

    def return_to(self, revision: int) -> None:
        """Note that `labels` are again, to the pixel, as they were at `revision`."""
        self.revision = revision

    def require_unchanged_on_disk(self) -> None:
        """Check that the mask on disk is still the one that was opened or saved last.

        Raises
        ------
        MaskChangedError
            Another program has changed, removed or made it.
        """
        now = Fingerprint.of(self.mask_path)
        if now == self.on_disk:
            return
        if now is None:
            what = "was removed or renamed"
        elif self.on_disk is None:
            what = "was made by another program"
        else:
            what = "was changed by another program"
        raise MaskChangedError(f"{self.mask_path.name} {what} since it was opened here ({self.mask_path.parent}).")

    def save(self, labels: Array | None = None, *, root: Path | None = None, overwrite: bool = False) -> None:
        """Write the mask at once, by the conventions of the folder and of the file that it replaces.

        Safe to call in a thread, with a copy of the labels. The caller notes the saved revision itself, see `saved`.

        Parameters
        ----------
        labels
            A snapshot of the labels; None for the present ones.
        root
            The folder whose `.attnseg/originals` keeps the mask that came from elsewhere; None: the image's folder.
        overwrite
            Write even if another program has changed the mask on disk.

        Raises
        ------
        MaskChangedError
            The mask on disk is not the one that was opened, and `overwrite` is False.
        DataError
            The mask on disk was of no use when it was opened, or a label has no meaning.
        SaveError
            The file cannot be written; what was there before is unchanged.
        """
        if self.problem is not None:
            raise DataError(
                f"The mask of {self.image.name} is not saved, to spare the file that is there: {self.problem}"
            )
        if not overwrite:
            self.require_unchanged_on_disk()
        values = (self.labels if labels is None else labels).reshape((-1, self.info.height, self.info.width))
        existing = self._mask_info
        if not self.mask_path.exists():
            existing = None
        elif existing is None or overwrite:
            existing = read_info(self.mask_path)
        if existing is not None:
            keep_original(self.mask_path, root or self.image.parent)
        if self.counts_objects:
            write_values(self.mask_path, values, like=self.info, existing=existing)
        else:
            write_mask(self.mask_path, values, self.convention, like=self.info, existing=existing)
        self.on_disk = Fingerprint.of(self.mask_path)
        self._mask_info = read_info(self.mask_path)

    def saved(self, revision: int) -> None:
        """Note that the labels as they were at `revision` are on disk."""
        self.saved_revision = revision

    def with_classes(self, classes: Classes) -> None:
        """Take over names and values of an edited list of classes; class ids in the labels keep their meaning."""
        kind = "classes" if len(classes) > 2 else self.convention.kind
        if kind == "instances":
            return
        values = dict(self.convention.values) if kind == "binary" else _merged(self.convention, classes)
        self.convention = MaskConvention("classes" if kind == "classes" else "binary", values, classes.names)

    def with_convention(self, convention: MaskConvention) -> None:
        """Take over what the masks of the folder mean by now; a mask that is on disk keeps the values that it has."""
        objects = "instances" in (self.convention.kind, convention.kind)  # their labels are no classes
        if not (self.has_mask or objects or convention.n_classes < self.convention.n_classes):
            self.convention = convention


def _merged(convention: MaskConvention, classes: Classes) -> dict[int, int]:
    """Values on disk for the classes: those known keep theirs, new ones get what `classes` says."""
    if convention.kind == "binary":
        return dict(classes.values)
    values = {value: number for value, number in convention.values.items() if number < len(classes)}
    known = set(values.values())
    for entry in classes.entries:
        if entry.id not in known:
            values[entry.value if entry.value not in values else max(values) + 1] = entry.id
    return values


def open_document(
    pair: Pair,
    convention: MaskConvention,
    *,
    mask_suffix: str = "_MASK",
    axes: str | None = None,
) -> Document:
    """Open an image's mask for editing, an empty one if it has none.

    A mask that cannot be used (of another size, coloured, damaged) gives a document with a `problem`, so that the image
    can still be looked at and the file is never overwritten.

    Raises
    ------
    DataError
        The image cannot be described.
    """
    info = read_info(pair.image, axes)
    shape = (*info.stack_shape, info.height, info.width)
    target = pair.mask or mask_path(pair.image, mask_suffix)
    fingerprint = Fingerprint.of(target)
    kind = np.uint32 if convention.kind == "instances" else np.uint8
    if fingerprint is None:
        return Document(pair.image, info, target, convention, np.zeros(shape, kind), None, axes=axes)
    try:
        if convention.kind == "instances":
            labels, mask_info = read_labels(target, info)
            labels = labels.astype(np.uint32 if labels.dtype.itemsize >= 4 else np.uint16)
        else:
            labels, mask_info = read_mask(target, convention, info), read_info(target)
    except DataError as error:
        empty = np.zeros(shape, kind)
        return Document(pair.image, info, target, convention, empty, fingerprint, str(error), axes=axes)
    labels = labels.reshape(shape)
    return Document(pair.image, info, target, convention, labels, fingerprint, axes=axes, _mask_info=mask_info)
