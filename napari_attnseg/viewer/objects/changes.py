"""Whether objects are still what was measured, or the mask or their layer has been painted on since."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_attnseg.viewer.objects.layer import ObjectsLayer
from napari_attnseg.viewer.objects.sources import Kind, is_numbered
from napari_attnseg.viewer.objects.work import Found, State

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session


class ObjectChanges:
    """Compares what objects were made of with what is there now."""

    def __init__(self, session: Session, layer: ObjectsLayer) -> None:
        self._session = session
        self._layer = layer
        self._seen: tuple[Path, int] | None = None
        """The image whose mask was looked at last, and the revision that it had."""

    def state(self, image: Path, kind: Kind, found: Found | None, *, from_layer: bool) -> State:
        """Return what objects come from that are made now: the layer of objects, or a mask or a prediction."""
        if not from_layer or found is None:
            return State(from_layer, 0, kind == "mask", self._revision(image))
        edits, before = self._layer.edits, found.state
        return replace(before, from_layer=True, edits=edits, corrected=before.corrected or edits > 0)

    def looked_at(self, found: Found) -> Found:
        """Note how the mask is now; one that is seen for the first time since its image was left is as it was then."""
        revision = self._revision(found.image)
        if revision is None:
            return found
        self._seen = (found.image, revision)
        if found.state.of_mask and found.state.revision is None:
            return replace(found, state=replace(found.state, revision=revision))
        return found

    def said(self, found: Found) -> str:
        """Say what has changed since objects were measured; '' if nothing has."""
        if self._layer.layer is not None and found.state.edits != self._layer.edits:
            return ". The objects have been corrected since: press 'Measure'."
        revision = self._revision(found.image)
        if found.state.of_mask and revision is not None and found.state.revision != revision:
            button = "Measure" if is_numbered(self._session, "mask") else "Separate objects"
            return f". The mask has changed since: press '{button}'."
        return ""

    def is_corrected(self, found: Found | None) -> bool:
        """Whether objects that are shown were changed by hand."""
        return found is not None and (found.state.corrected or self._layer.edits > 0)

    def kept(self, found: Found) -> Found:
        """Return objects for when their image is shown again, where edits and revisions are counted anew."""
        state, edits = found.state, self._layer.edits
        is_same = self._seen in (None, (found.image, state.revision))
        state = replace(
            state,
            edits=0 if state.edits == edits else None,
            revision=None if is_same else -1,
            corrected=state.corrected or edits > 0,
        )
        return replace(found, state=state)

    def _revision(self, image: Path) -> int | None:
        """Return what tells later changes of an image's mask; None if it is not open."""
        mask = self._session.mask
        own = mask is not None and mask.editing.document.image == image
        return mask.editing.document.revision if own and mask is not None else None
