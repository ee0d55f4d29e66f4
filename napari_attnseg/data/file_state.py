"""Whether a file is still the one that it was: its size, and when it was changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_attnseg.errors import ChangedError, DataError


def state_of(image: Path) -> tuple[int, int]:
    """Return the size of an image file in bytes, and when it was changed, in nanoseconds.

    Raises
    ------
    DataError
        It is gone.
    """
    try:
        status = image.stat()
    except OSError as error:
        raise DataError(f"{image} cannot be read any more ({error.strerror}).") from error
    return status.st_size, status.st_mtime_ns


@contextmanager
def unchanged(image: Path) -> Iterator[None]:
    """Refuse what is read of a file within this block if the file is changed meanwhile.

    Raises
    ------
    ChangedError
        It was changed, or is gone: what was read may be of one image in parts, and of another one in the rest.
    """
    before = None
    # opened, because a network drive may say from memory what a file was some seconds ago, and asks anew at opening
    with suppress(DataError, OSError), image.open("rb"):  # whoever opens it then says what is wrong
        before = state_of(image)
    try:
        yield
    except DataError as error:
        if before is not None and state_of(image) != before:  # and so it only looked damaged
            raise _changed(image) from error
        raise
    require_unchanged(image, before)


def require_unchanged(image: Path, before: tuple[int, int] | None) -> None:
    """Refuse a file that is not the one whose `state_of` is given.

    Raises
    ------
    ChangedError
        It was changed.
    DataError
        It is gone.
    """
    if state_of(image) != before:
        raise _changed(image)


def _changed(image: Path) -> ChangedError:
    return ChangedError(f"{image.name} was changed while it was being read; begin again when it is whole ({image}).")
