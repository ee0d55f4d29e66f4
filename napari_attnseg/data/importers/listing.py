"""Looking at a folder that somebody else has laid out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_attnseg.data.importers.item import LeftOut
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
    try:
        is_there = source.exists()
    except OSError as error:
        raise DataError(unreadable_text(source, error)) from error
    if not is_there:
        raise DataError(f"{source} does not exist; give the folder that holds the data set.")
    if not source.is_dir():
        hint = "; unpack it first, and give the folder" if source.suffix.lower() in (".zip", ".tar", ".gz") else ""
        raise DataError(f"{source} is a file, but an import needs the folder that holds the data set{hint}.")
    if not visible(source):
        raise DataError(f"The folder {source} is empty; give the folder that holds the data set.")


def wrong_layout(source: Path, wanted: str, unreadable: Sequence[LeftOut] = ()) -> DataError:
    """Return the error for a folder that is laid out in another way, or of which the wanted part may not be read.

    `wanted` says how it should be laid out, `unreadable` which folders could not be looked into.
    """
    if unreadable:
        return DataError(unreadable[0].reason)
    return DataError(f"{source} is not laid out as expected: {wanted} was looked for, but {content_text(source)}.")


def content_text(folder: Path) -> str:
    """Say in a few words what a folder holds."""
    content = sorted(visible(folder), key=natural)
    inner = [path.name for path in content if os.path.isdir(path)]
    others = [path.name for path in content if not os.path.isdir(path)]
    parts = [
        f"{counted(len(names), noun)} ({', '.join(names[:_MOST_SHOWN])}{', ...' * (len(names) > _MOST_SHOWN)})"
        for names, noun in ((inner, "folder"), (others, "file"))
        if names
    ]
    return f"it holds {' and '.join(parts)}" if parts else "it is empty"


def visible(folder: Path, unreadable: list[LeftOut] | None = None) -> list[Path]:
    """List a folder without hidden files and what Windows and macOS add.

    Parameters
    ----------
    folder
        The folder.
    unreadable
        Where a folder that may not be read is added, once; nothing is listed of it.

    Raises
    ------
    DataError
        It may not be read, and there is no `unreadable`.
    """
    return [Path(entry.path) for entry in _entries(folder, unreadable)]


def folders(folder: Path, unreadable: list[LeftOut] | None = None) -> list[Path]:
    """List the sub-folders in natural order; see `visible`."""
    found = [Path(entry.path) for entry in _entries(folder, unreadable) if _is_folder(entry)]
    return sorted(found, key=natural)


def files(folder: Path, unreadable: list[LeftOut] | None = None) -> list[Path]:
    """List the files in natural order; see `visible`."""
    return sorted((Path(entry.path) for entry in _entries(folder, unreadable) if _is_file(entry)), key=natural)


def walk(folder: Path, unreadable: list[LeftOut]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder from `folder` down with its visible files, in natural order; see `visible`."""

    def note(error: OSError) -> None:
        _note(Path(error.filename or folder), error, unreadable)

    for root, below, names in os.walk(folder, onerror=note):
        below[:] = sorted((name for name in below if not name.startswith((".", "__MACOSX"))), key=natural_text)
        shown = [name for name in names if not name.startswith(".") and name.lower() not in _NO_FILES]
        yield Path(root), [Path(root, name) for name in sorted(shown, key=natural_text)]


def child(folder: Path, name: str, unreadable: list[LeftOut] | None = None) -> Path | None:
    """Return the sub-folder of this name, in any case; None if there is none. See `visible`."""
    if not os.path.isdir(folder):
        return None
    return next((path for path in folders(folder, unreadable) if path.name.lower() == name.lower()), None)


def unreadable_text(path: Path, error: OSError) -> str:
    """Say that a file or a folder may not be read, and what to do."""
    reason = (error.strerror or str(error)).lower()
    return f"{path.name} cannot be read ({reason}); allow reading it and import again ({path})."


def _entries(folder: Path, unreadable: list[LeftOut] | None) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            shown = [item for item in entries if not item.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        if unreadable is None:
            raise DataError(unreadable_text(folder, error)) from error
        _note(folder, error, unreadable)
        return []
    return [item for item in shown if item.name.lower() not in _NO_FILES]


def _note(folder: Path, error: OSError, unreadable: list[LeftOut]) -> None:
    if all(item.source != folder for item in unreadable):
        unreadable.append(LeftOut(folder, unreadable_text(folder, error)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or something that may not be looked at: reading it then says why."""
    try:
        return entry.is_file()
    except OSError:
        return True


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
