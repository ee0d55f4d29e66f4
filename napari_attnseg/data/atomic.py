"""Writing files so that a crash, a full disk or a power cut leaves either the old file or the new one, whole."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_attnseg.errors import SaveError

_TEMPORARY = ".attnseg-"


@contextmanager
def replacing(path: Path, workplace: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; put what was written there in the place of `path` at the end.

    The temporary file has the suffix of `path` and a name that starts with a dot, so that nothing lists it. It is
    flushed to the disk before it replaces `path`, and removed when anything goes wrong, Ctrl-C included. A symbolic
    link stays a link: the file that it points to is replaced. The permissions of an existing file are kept.

    Parameters
    ----------
    workplace
        A folder beside `path` for the temporary file, so that what a process that was killed has left is found there.

    Raises
    ------
    SaveError
        The folder is missing or read-only, the file is write-protected, or the disk is full. What was in `path`
        before is still there.
    """
    path = Path(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    is_link = target != path
    temporary = (workplace if workplace and not is_link else target.parent) / _temporary_name(target)
    try:
        _refuse_protected(target)
        yield temporary
        _flush(temporary)
        if target.exists():
            os.chmod(temporary, target.stat().st_mode & 0o7777)
        os.replace(temporary, target)
    except OSError as error:
        raise SaveError(_sentence(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _flush_folder(target.parent)


def remove_temporary(workplace: Path) -> None:
    """Remove what `replacing` has left in a workplace because its process was killed."""
    for path in workplace.glob(f"{_TEMPORARY}*"):
        with suppress(OSError):
            path.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file at once; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, with line ends as given, at once; see `replacing`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, obj: Any) -> None:
    """Write `obj` as indented JSON at once; a path is written as its text; see `replacing`."""
    write_text(path, json.dumps(obj, indent=2, ensure_ascii=False, default=_plain) + "\n")


def _temporary_name(path: Path) -> str:
    return f"{_TEMPORARY}{secrets.token_hex(6)}{path.suffix}"


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _refuse_protected(target: Path) -> None:
    if target.is_dir():
        raise IsADirectoryError(21, "a folder of this name is in the way")
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(13, "the file is write-protected")


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the renaming itself last; Windows and some network folders cannot, and need not."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sentence(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if not path.parent.is_dir():
        reason = f"the folder {path.parent} does not exist"
    before = "the previous file is unchanged" if path.exists() else "nothing was written"
    return (
        f"{path.name} could not be saved in {path.parent}: {reason[0].lower() + reason[1:]}; {before}. "
        "Make room or choose a folder that can be written to, then save again."
    )
