"""The objects of the images that were looked at last, for leafing back."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from napari_attnseg.viewer.objects.work import Found

KEPT = 256 << 20  # bytes


class KeptObjects:
    """Remembers what was found, and forgets the oldest of too much; what was corrected by hand is never forgotten."""

    def __init__(self) -> None:
        self._found: OrderedDict[Path, Found] = OrderedDict()

    def get(self, image: Path | None) -> Found | None:
        """Return what was found in an image."""
        return None if image is None else self._found.get(image)

    @property
    def corrected(self) -> list[Path]:
        """The images whose objects were corrected by hand."""
        return [found.image for found in self._found.values() if found.state.corrected]

    def keep(self, found: Found) -> None:
        """Remember what was found, in the place of what was known of the image."""
        self._found[found.image] = found
        self._found.move_to_end(found.image)
        others = [one for one in self._found.values() if one is not found and not one.state.corrected]
        size = sum(one.labels.nbytes for one in others) + found.labels.nbytes
        for one in others:
            if size <= KEPT:
                break
            del self._found[one.image]
            size -= one.labels.nbytes
