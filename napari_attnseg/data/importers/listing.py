"""Looking at a folder that somebody else has laid out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from napari_attnseg.errors import DataError
from napari_attnseg.wording import counted

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
TIFFS = (".ome.tiff", ".ome.tif", ".tiff", ".tif")
NIFTIS = (".nii.gz", ".nii")
READABLE = (*PICTURES, *TIFFS, *NIFTIS)
_NO_FILES = {"thumbs.db", "desktop.ini"}
_MOST_SHOWN = 3


def require_folder(source: Path) -> None:
    """Check that there is something to import.

    Raises
    ------
    DataError
        `source` is missing, a file, an empty folder, or one that may not be read.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist; give the folder that holds the data set.")
    if not source.is_dir():
        hint = "; unpack it first, and give the folder" if source.suffix.lower() in (".zip", ".tar", ".gz") else ""
        raise DataError(f"{source} is a file, but an import needs the folder that holds the data set{hint}.")
    try:
        is_empty = next(visible(source), None) is None
    except OSError as error:
        raise DataError(f"The folder {source} cannot be read ({error.strerror or error}).") from error
    if is_empty:
        raise DataError(f"The folder {source} is empty; give the folder that holds the data set.")


def wrong_layout(source: Path, wanted: str) -> DataError:
    """Return the error for a folder that is laid out in another way; `wanted` says how it should be."""
    return DataError(f"{source} is not laid out as expected: {wanted} was looked for, but {content_text(source)}.")


def content_text(folder: Path) -> str:
    """Say in a few words what a folder holds."""
    content = sorted(visible(folder), key=natural)
    folders = [path.name for path in content if path.is_dir()]
    files = [path.name for path in content if not path.is_dir()]
    parts = [
        f"{counted(len(names), noun)} ({', '.join(names[:_MOST_SHOWN])}{', ...' * (len(names) > _MOST_SHOWN)})"
        for names, noun in ((folders, "folder"), (files, "file"))
        if names
    ]
    return f"it holds {' and '.join(parts)}" if parts else "it is empty"


def visible(folder: Path) -> Iterator[Path]:
    """List a folder without hidden files and what Windows and macOS add."""
    for path in folder.iterdir():
        if not path.name.startswith((".", "__MACOSX")) and path.name.lower() not in _NO_FILES:
            yield path


def walk(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder from `folder` down with its visible files, in natural order."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted((name for name in folders if not name.startswith((".", "__MACOSX"))), key=natural_text)
        shown = [name for name in files if not name.startswith(".") and name.lower() not in _NO_FILES]
        yield Path(root), [Path(root, name) for name in sorted(shown, key=natural_text)]


def child(folder: Path, name: str) -> Path | None:
    """Return the sub-folder of this name, in any case; None if there is none."""
    if not folder.is_dir():
        return None
    return next((path for path in visible(folder) if path.name.lower() == name.lower() and path.is_dir()), None)


def extension(path: Path) -> str:
    """Return the extension of an image that can be imported, in lower case, such as '.nii.gz'; '' of other files."""
    lower = path.name.lower()
    return next((item for item in (*NIFTIS, *TIFFS, *PICTURES) if lower.endswith(item)), "")


def stem(path: Path) -> str:
    """Return the name of an image without its extension."""
    return path.name[: len(path.name) - len(extension(path))]


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which slice 9 comes before slice 10."""
    return natural_text(path.name)


def natural_text(text: str) -> list[tuple[int, int, str]]:
    """Sort key of a name; see `natural`."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
