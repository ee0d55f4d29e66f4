"""The first line of a journal: whose it is.

It has the format's name and version, a checksum, and a JSON object.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.annotation.masks.document import Document, Fingerprint
from napari_attnseg.annotation.processes import this_host, this_process
from napari_attnseg.errors import DataError

_FORMAT = b"napari-attnseg-journal"
_VERSION = b"1"


@dataclass(frozen=True)
class Header:
    """Whose journal it is; made by `new_header`."""

    image: Path
    mask: Path
    """Where the mask is, or will be once saved."""
    name: str
    """What the image is called in messages."""
    fingerprint: Fingerprint | None
    """The mask on disk that the edits began from; None if there was none."""
    shape: tuple[int, ...]
    """Of the whole mask (stack axes..., y, x)."""
    dtype: str
    convention: dict[str, Any]
    """What the values of masks mean, as `MaskConvention.to_dict` has it."""
    pid: int
    created: float
    """When the process that writes the journal started, in seconds since 1970."""
    host: str
    started: str
    """When editing began, as ISO 8601 with the time zone."""
    axes: str | None = None
    """The axes that the user gave for the image; None if the image says them, and in journals of earlier versions."""
    released: bool = False
    """Whether its viewer was closed: the journal is nobody's, though the process may go on."""


def new_header(
    image: Path,
    mask: Path,
    *,
    name: str,
    fingerprint: Fingerprint | None,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    convention: dict[str, Any],
    axes: str | None = None,
) -> Header:
    """Make the header of a journal that this process begins now; see `Header`. Paths are made absolute."""
    pid, created = this_process()
    image, mask = Path(os.path.abspath(image)), Path(os.path.abspath(mask))
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return Header(
        image, mask, name, fingerprint, tuple(shape), dtype.name, convention, pid, created, this_host(), now, axes
    )


def header_of(document: Document) -> Header:
    """Say in a journal's words what a document is now."""
    return new_header(
        document.image,
        document.mask_path,
        name=document.image.name,
        fingerprint=document.on_disk,
        shape=document.labels.shape,
        dtype=document.labels.dtype,
        convention=document.convention.to_dict(),
        axes=document.axes,
    )


def header_line(header: Header) -> bytes:
    """Return a journal's first line."""
    text = json.dumps(asdict(header), default=os.fspath).encode()  # ASCII, also for names that are no valid Unicode
    return b"%s %s %08x %s\n" % (_FORMAT, _VERSION, zlib.crc32(text), text)


def read_header(path: Path, line: bytes) -> Header:
    """Read the first line of the journal `path`, without its line end.

    Raises
    ------
    DataError
        It is no journal's, of another version, or damaged.
    """
    fields = line.split(b" ", 3)
    if fields[0] != _FORMAT or len(fields) < 4:
        raise DataError(f"{path} is no journal, or its beginning is damaged.")
    if fields[1] != _VERSION:
        raise DataError(f"The journal {path} was written by another version of napari-attnseg; open it with that one.")
    try:
        if int(fields[2], 16) != zlib.crc32(fields[3]):
            raise ValueError("the checksum is wrong")
        values = json.loads(fields[3])
        fingerprint = values.pop("fingerprint")
        return Header(
            image=Path(values.pop("image")),
            mask=Path(values.pop("mask")),
            shape=tuple(values.pop("shape")),
            fingerprint=None if fingerprint is None else Fingerprint(**fingerprint),
            **values,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"The beginning of the journal {path} is damaged ({error}).") from error
