"""A note of ours on the pixels of a TIFF, in a tag of its own, which other readers pass over.

Some programs carry tags over when they save other pixels, as Pillow does. So the note names the moment that is set as
the file's time: once a file is saved anew, the note counts no more. What we save without a note has none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_attnseg.data.atomic import replacing
from napari_attnseg.data.decode import opened
from napari_attnseg.errors import DataError

NOTE_TAG = 65137  # 65000 to 65535 may be used by anybody
_COARSEST = 2 * 10**9  # nanoseconds that file systems count in, FAT on USB disks

Tags = list[tuple[Any, ...]]


@contextmanager
def replacing_with_note(path: Path, note: str, workplace: Path | None = None) -> Iterator[tuple[Path, Tags]]:
    """Yield what `atomic.replacing` yields, and what tifffile takes as `extratags` to write a note.

    Parameters
    ----------
    note
        ASCII; '' for none.
    workplace
        See `atomic.replacing`.

    Raises
    ------
    SaveError
        See `atomic.replacing`.
    """
    moment = time.time_ns() // _COARSEST * _COARSEST  # which is kept as it is wherever the file goes
    with replacing(path, workplace) as temporary:
        yield temporary, [(NOTE_TAG, "s", 0, f"{moment} {note}", True)] if note else []
        if note:
            with suppress(OSError):  # where a file's time cannot be set, the note does not count
                os.utime(temporary, ns=(moment, moment))


def read_note(path: Path) -> str:
    """Return the note on the pixels of a TIFF; '' if there is none that counts, or no readable file."""
    if not path.is_file():
        return ""
    try:
        with opened(path) as (tif, _):
            tag = tif.pages.first.tags.get(NOTE_TAG)
            moment, _, note = str(tag.value if tag is not None else "").partition(" ")
            return note if moment == str(path.stat().st_mtime_ns) else ""
    except (DataError, OSError):
        return ""
