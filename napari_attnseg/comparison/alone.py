"""One process at a time works on a comparison: two would settle it differently, and train into the same folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_attnseg.comparison.record import LOCK
from napari_attnseg.errors import RunFolderError, SaveError
from napari_attnseg.prediction.claim import claimed


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from working in a folder, which is made if it is missing, and removed if it stays empty.

    Raises
    ------
    RunFolderError
        It is a file.
    SaveError
        Another process works in it, or it cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; choose a folder with --out.")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"The folder {folder} cannot be made ({error.strerror}).") from error
    try:
        with claimed(folder / LOCK, f"A comparison is being made in {folder}"):
            yield
    finally:
        with suppress(OSError):
            for path in made:
                path.rmdir()
