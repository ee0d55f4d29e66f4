"""Whether images and masks are still those that a comparison began with, so that its models are measured alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from napari_attnseg.comparison.folds import Split
from napari_attnseg.errors import DataError


def digests_of(splits: Iterable[Split]) -> dict[str, str]:
    """Return what tells each image and mask from any other file, by its path.

    Raises
    ------
    DataError
        A file cannot be read.
    """
    pairs = {pair for train, held_out in splits for pair in (*train, *held_out)}
    files = {path.resolve() for pair in pairs for path in (pair.image, pair.mask) if path is not None}
    return {str(path): _digest(path) for path in sorted(files)}


def require_unchanged(digests: Mapping[str, str], out: Path) -> None:
    """Make sure that all files are as they were.

    Raises
    ------
    DataError
        One has changed or is gone.
    """
    for name, digest in digests.items():
        path = Path(name)
        if not path.is_file():
            raise DataError(
                f"{path} is gone since the comparison in {out} began; put it back to go on with it, or choose another "
                "--out."
            )
        if _digest(path) != digest:
            raise DataError(
                f"{path} has changed since the comparison in {out} began, so that its models would not be measured "
                "alike; put the old file back to go on with it, or choose another --out."
            )


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
