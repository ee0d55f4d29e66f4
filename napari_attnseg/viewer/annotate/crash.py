"""Unsaved work of a viewer that is gone: what there is, what it looks like, and what becomes of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info, show_warning
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QWidget

from napari_attnseg.annotation.masks.abandoned import discard
from napari_attnseg.annotation.masks.recovery import Recovered, find_recoverable, restore
from napari_attnseg.data.tiff import read_planes
from napari_attnseg.errors import AttnSegError
from napari_attnseg.viewer.failures import failure_text
from napari_attnseg.viewer.layers.image_layers import contrast_limits
from napari_attnseg.viewer.widgets.crash_restore import Decision, RestoreDialog, UnsavedWork, preview

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

LARGEST_PREVIEW = 512
_log = logging.getLogger(__name__)


def offer_unsaved_work(session: Session, parent: QWidget) -> None:
    """Look for unsaved work in the background, and ask what to do with it."""
    if session.has_offered:
        return
    session.has_offered = True
    session.background.run(
        _find,
        lambda found: _ask(session, parent, *found),
        lambda error: _log.warning("the journals could not be read: %s", error),
    )


def _find() -> tuple[list[Recovered], list[UnsavedWork], list[str]]:
    """Return what can be restored, what is shown of each, and why the rest cannot be; runs in a thread."""
    found = find_recoverable()
    usable = [item for item in found if item.problem is None]
    return usable, [_work_of(item) for item in usable], [item.problem for item in found if item.problem is not None]


def _ask(
    session: Session, parent: QWidget, usable: list[Recovered], works: list[UnsavedWork], problems: list[str]
) -> None:
    for problem in problems:
        show_warning(f"Unsaved strokes of an earlier session cannot be restored now; they are kept. {problem}")
    if not usable:
        return
    dialog = RestoreDialog(works, parent.window())

    def draw(number: int) -> None:
        session.background.run(
            lambda: picture_of(usable[number]),
            lambda picture: dialog.setPreview(number, picture),
            lambda error: dialog.setPreview(number, None),
        )

    dialog.previewAsked.connect(draw)
    dialog.exec_()
    decisions = list(zip(usable, dialog.decisions(), strict=True))
    for item, decision in decisions:
        if decision is Decision.DISCARD:
            _discard(session, item)
    _restore_all(session, [item for item, decision in decisions if decision is Decision.RESTORE])


def _restore_all(session: Session, items: list[Recovered]) -> None:
    """Restore masks, with the folder of the first one open if none is; those of other folders come into its list."""

    def begin() -> None:
        for item in items:
            _restore(session, item)

    if items and session.folder is None:
        header = items[0].abandoned.header
        assert header is not None  # it is usable
        session.open_folder(header.image.parent, then=begin)
    else:
        begin()


def _restore(session: Session, item: Recovered) -> None:
    def done(editing: Any) -> None:
        document = editing.document
        show_info(f"{document.mask_path.name} has its strokes again; it is not saved yet.")
        session.take(document.image, editing)
        session.open_file(document.image)

    def failed(error: Exception) -> None:
        show_warning(f"{failure_text(error, 'The strokes could not be restored')} The journal is kept.")

    session.background.run(lambda: restore(item, session.saving.on_problem), done, failed)


def _discard(session: Session, item: Recovered) -> None:
    session.background.run(
        lambda: discard(item.abandoned.path), lambda _: None, lambda error: show_warning(failure_text(error))
    )


def _work_of(item: Recovered) -> UnsavedWork:
    header = item.abandoned.header
    assert header is not None  # it is usable
    return UnsavedWork(
        header.name,
        header.image,
        item.pixels,
        item.abandoned.last_time,
        damaged=item.abandoned.damaged,
        mask_changed=item.abandoned.mask_changed,
        elsewhere=item.abandoned.elsewhere,
    )


def picture_of(item: Recovered) -> QImage | None:
    """Draw what would be restored, on the plane where most of it is; None if the image cannot be read."""
    document, labels = item.document, item.labels
    if document is None or labels is None:
        return None
    shape = (-1, *labels.shape[-2:])
    before, after = document.labels.reshape(shape), labels.reshape(shape)
    changed = [np.count_nonzero(a != b) for a, b in zip(before, after, strict=True)]
    plane = int(np.argmax(changed))
    step = max(1, -(-max(shape[1:]) // LARGEST_PREVIEW))
    try:
        pixels = read_planes(document.image, [plane], document.axes).pixels[0, :, ::step, ::step]
    except AttnSegError:
        return None
    channels = pixels[:3] if len(pixels) >= 3 else pixels[[0, 0, 0]]
    low, high = contrast_limits(channels.reshape(-1))
    grey = np.clip((channels.astype(np.float32) - low) / (high - low), 0, 1) * 255
    image = np.ascontiguousarray(np.moveaxis(grey, 0, -1).astype(np.uint8))
    return preview(image, before[plane, ::step, ::step], after[plane, ::step, ::step])
