"""Whether a file is still the one that it was: its size, and when it was changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_attnseg.errors import DataError


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
    DataError
        It was changed, or is gone: what was read may be of one image in parts, and of another one in the rest.
    """
    before = None
    with suppress(DataError):  # whoever opens it says what is wrong
        before = state_of(image)
    try:
        yield
    except DataError as error:
        if before is not None and state_of(image) != before:  # and so it only looked damaged
            raise _changed(image) from error
        raise
    if state_of(image) != before:
        raise _changed(image)


def _changed(image: Path) -> DataError:
    return DataError(f"{image.name} was changed while it was being read; begin again when it is whole ({image}).")
