"""Where the numbers of objects go: into memory, or into a temporary file if they are many."""

from __future__ import annotations

import errno
import math
import mmap
import os
import shutil
import tempfile
from typing import Any

import numpy as np

from napari_attnseg.errors import DataError
from napari_attnseg.objects.separate import smallest_type

MOST_IN_MEMORY = 512 * 2**20  # bytes

Array = np.ndarray[Any, Any]


def blank(shape: tuple[int, ...]) -> Array:
    """Return zeros, uint32; of a large stack in a temporary file that goes when the array does.

    Raises
    ------
    DataError
        The disk has no room for it.
    """
    if _bytes(shape) <= MOST_IN_MEMORY:
        return np.zeros(shape, np.uint32)
    try:
        with tempfile.TemporaryFile() as file:
            _reserve(file.fileno(), _bytes(shape))
            return np.memmap(file, np.uint32, "w+", shape=shape)
    except OSError as error:
        raise _no_room(shape, error.strerror or "the disk is full") from error


def require_disk(shape: tuple[int, ...]) -> None:
    """Refuse what `blank` would have no room for.

    Raises
    ------
    DataError
        The disk has no room for it.
    """
    if _bytes(shape) > max(MOST_IN_MEMORY, shutil.disk_usage(tempfile.gettempdir()).free):
        raise _no_room(shape, os.strerror(errno.ENOSPC))


def release(labels: Array) -> None:
    """Have what lies in a temporary file take no memory of this process until it is looked at again."""
    own = isinstance(labels, np.memmap) and labels.mode != "c"  # of which changes are in memory alone
    mapped: Any = getattr(labels, "_mmap", None) if own else None
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def of_smallest_type(labels: Array, count: int) -> Array:
    """Return labels in the smallest type for `count` objects; what lies in a file stays as it is."""
    return labels if isinstance(labels, np.memmap) else smallest_type(labels, count)


def _bytes(shape: tuple[int, ...]) -> int:
    return 4 * math.prod(shape)


def _no_room(shape: tuple[int, ...], reason: str) -> DataError:
    return DataError(
        f"The numbers of the objects take {_bytes(shape) / 1e9:.1f} GB in {tempfile.gettempdir()}, the folder of "
        f"temporary files, which has no room for them ({reason}); make room there, or name another folder in the "
        "environment variable TMPDIR."
    )


def _reserve(handle: int, size: int) -> None:
    """Take the space of an open file on the disk: where that ends later, writing into a mapped file kills the program.

    Raises
    ------
    OSError
        There is not as much.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # which a file system says that cannot do it
                raise
    if shutil.disk_usage(tempfile.gettempdir()).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
