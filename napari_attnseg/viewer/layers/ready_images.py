"""Images that are read ahead of being shown."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.annotation.masks.document import Document, Fingerprint
from napari_attnseg.data.lazy import LazyImage
from napari_attnseg.viewer.background import Background
from napari_attnseg.viewer.layers.image_layers import LayerData, image_layers
from napari_attnseg.viewer.layers.roles import KEY

KEPT = 4
LARGEST = 64 << 20  # bytes on disk; reading ahead is for images that are cheap to keep
_log = logging.getLogger(__name__)


@dataclass
class ReadyImage:
    """An image that is read, with its mask, and can be shown."""

    layers: list[LayerData]
    document: Document
    fingerprint: Fingerprint | None
    version: tuple[int, int]
    """How often all images, and this one, had been forgotten when its reading began."""

    @property
    def lazy(self) -> LazyImage | None:
        """The open file of a large image."""
        notes: list[dict[str, Any]] = [options["metadata"][KEY] for _, options, _ in self.layers]
        return next((note["lazy"] for note in notes if note.get("lazy") is not None), None)


class ReadyImages:
    """The few images that were read last, and are not shown yet."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._ready: OrderedDict[Path, ReadyImage] = OrderedDict()
        self._all_forgotten = 0
        self._forgotten: Counter[Path] = Counter()

    def __contains__(self, image: Path) -> bool:
        return image in self._ready

    def read(self, folder: AnnotationFolder, image: Path) -> ReadyImage:
        """Return an image, read now unless it is ready and has not changed on disk; for use in a thread.

        Raises
        ------
        DataError
            The image cannot be read.
        """
        version, found = self._version(image), self._ready.get(image)
        if found is not None and found.fingerprint == Fingerprint.of(image):
            document = found.document
            if document.on_disk == Fingerprint.of(document.mask_path):
                return found
        document = folder.document(image)
        return ReadyImage(image_layers(image, document.axes), document, Fingerprint.of(image), version)

    def is_outdated(self, image: Path, ready: ReadyImage) -> bool:
        """Whether an image was forgotten while it was being read, such as because its mask was saved."""
        return ready.version != self._version(image)

    def keep(self, image: Path, ready: ReadyImage) -> None:
        """Keep an image until it is shown, or others take its place; not one that is outdated."""
        if self.is_outdated(image, ready):
            return
        self._ready[image] = ready
        self._ready.move_to_end(image)
        while len(self._ready) > KEPT:
            self._ready.popitem(last=False)

    def hand_out(self, image: Path) -> None:
        """Keep an image no longer, because it is shown now and its mask will be painted on."""
        self._ready.pop(image, None)

    def forget(self, image: Path) -> None:
        """Read this image anew the next time, and also if it is being read now."""
        self._ready.pop(image, None)
        self._forgotten[image] += 1

    def clear(self) -> None:
        """Read all images anew the next time, those too that are being read now."""
        self._ready.clear()
        self._all_forgotten += 1

    def prepare(self, folder: AnnotationFolder, images: Iterable[Path]) -> None:
        """Read images in the background, as far as they are not ready."""
        for image in images:
            if image not in self._ready:
                self._prepare(folder, image)

    def _version(self, image: Path) -> tuple[int, int]:
        return self._all_forgotten, self._forgotten[image]

    def _prepare(self, folder: AnnotationFolder, image: Path) -> None:
        self._background.run(
            lambda: self.read(folder, image) if image.stat().st_size <= LARGEST else None,
            lambda ready: self.keep(image, ready) if ready is not None else None,
            lambda error: _log.debug("not read ahead", exc_info=error),
        )
