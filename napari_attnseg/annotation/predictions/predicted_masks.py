"""Predictions on disk as they were shown: a compressed file an image, read without executing anything."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.atomic import write_bytes
from napari_attnseg.errors import SaveError

Array = np.ndarray[Any, Any]
Index = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Kept:
    """What was predicted for an image."""

    image: str
    """The image's name in the folder."""
    model: str
    """The key of the model."""
    when: float
    """When it was shown first, in seconds since 1970."""
    planes: dict[Index, Array]
    """Class ids (y, x), by the indices along the stack axes."""

    def fits(self, labels: Array) -> bool:
        """Whether these are planes of a mask (stack axes..., y, x)."""
        stack, size = labels.shape[:-2], labels.shape[-2:]
        return all(
            plane.shape == size
            and len(index) == len(stack)
            and all(0 <= at < length for at, length in zip(index, stack, strict=True))
            for index, plane in self.planes.items()
        )


def write_kept(folder: Path, kept: Kept) -> None:
    """Write what was predicted for an image, in place of what was kept of it before.

    Raises
    ------
    SaveError
        It cannot be written.
    """
    indices = list(kept.planes)
    data = io.BytesIO()
    np.savez_compressed(
        data,
        image=np.array(kept.image),
        model=np.array(kept.model),
        when=np.array(kept.when),
        indices=np.array(indices, np.int64).reshape((len(indices), -1)),
        labels=np.stack([kept.planes[index] for index in indices]).astype(np.uint8),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"{folder} cannot be made: {error.strerror or error}.") from error
    write_bytes(_path(folder, kept.image), data.getvalue())


def read_kept(folder: Path, image: str) -> Kept | None:
    """Read what was predicted for an image; None if nothing was kept, or the file is damaged."""
    try:
        with _path(folder, image).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            indices, labels = file["indices"], file["labels"]
            planes = {tuple(int(at) for at in index): plane for index, plane in zip(indices, labels, strict=True)}
            return Kept(str(file["image"]), str(file["model"]), float(file["when"]), planes)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _path(folder: Path, image: str) -> Path:
    """Name the file after the image, and after its whole path, for sub-folders hold images of the same name."""
    name = re.sub(r"[^\w.-]+", "_", image.rpartition("/")[2])[:60]
    digest = hashlib.blake2b(image.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    return folder / f"{name}-{digest}.npz"
