"""Journals that a crash left behind: find them, and put away those that are done with."""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_attnseg.annotation.masks.document import Fingerprint
from napari_attnseg.annotation.masks.journal_file import SUFFIX, read
from napari_attnseg.annotation.masks.journal_header import Header
from napari_attnseg.annotation.processes import this_host
from napari_attnseg.errors import DataError, SaveError
from napari_attnseg.job_process import find_process

DISCARDED = "discarded"
KEPT = 20


@dataclass(frozen=True)
class Abandoned:
    """A journal whose viewer is gone."""

    path: Path
    header: Header | None
    """Whose journal it is; None if its beginning is damaged, so that nothing can be restored from it."""
    last_time: float
    """When the last edit was made, in seconds since 1970."""
    damaged: bool
    """Whether a part of the journal cannot be used."""
    mask_changed: bool
    """Whether the mask on disk is another one than the edits began from."""
    problem: str | None = None
    """Why nothing can be restored, a sentence."""
    elsewhere: str = ""
    """The computer that it is of, if that is another one where its viewer may still be open."""


def new_journal_path(folder: Path, image: Path) -> Path:
    """Return a new name in the folder of journals for the journal of an image."""
    name = re.sub(r"[^\w.-]+", "_", image.stem)[:60]
    return folder / f"{name}-{secrets.token_hex(6)}{SUFFIX}"


def find_abandoned(folder: Path, *, other_hosts: bool = False) -> list[Abandoned]:
    """List the journals in a folder whose viewer is gone, newest edit first; reads them all.

    Parameters
    ----------
    folder
        The folder of journals; it need not exist.
    other_hosts
        Whether to list journals of other computers too, of which it is not known whether they are in use.
    """
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            if path.suffix == SUFFIX and not path.name.startswith("."):
                item = _look_at(path, other_hosts)
                if item is not None:
                    found.append(item)
    return sorted(found, key=lambda item: item.last_time, reverse=True)


def discard(path: Path) -> Path | None:
    """Put a journal away into `discarded` beside it, where the newest 20 are kept.

    Returns
    -------
    Path or None
        Where it is now; None if it was gone.

    Raises
    ------
    SaveError
        It cannot be moved; it is still there.
    """
    place = path.parent / DISCARDED
    target = place / path.name
    try:
        place.mkdir(exist_ok=True)
        if target.exists():
            target = place / f"{path.stem}-{secrets.token_hex(3)}{path.suffix}"
        os.replace(path, target)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SaveError(
            f"The journal {path} could not be put away: {error.strerror or error}. It is still there; allow writing in "
            f"{path.parent}, then try again."
        ) from error
    with suppress(OSError):  # the order in which they were put away decides which ones stay
        os.utime(target)
        _thin_out(place, target)
    return target


def _look_at(path: Path, other_hosts: bool) -> Abandoned | None:
    try:
        content = read(path)
    except DataError as error:
        if not path.exists():  # its owner has just saved
            return None
        return Abandoned(path, None, _modified(path), damaged=True, mask_changed=False, problem=str(error))
    header = content.header
    elsewhere = "" if header.released or header.host == this_host() else header.host
    if elsewhere and not other_hosts:
        return None
    if not (elsewhere or header.released) and find_process(header.pid, header.created) is not None:
        return None
    last = content.last_time
    try:
        changed = Fingerprint.of(header.mask) != header.fingerprint
    except OSError:  # its disk is away
        changed = True
    when = _modified(path) if last is None else last
    return Abandoned(path, header, when, damaged=content.damaged, mask_changed=changed, elsewhere=elsewhere)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _thin_out(place: Path, newest: Path) -> None:
    others = sorted((p for p in place.glob(f"*{SUFFIX}") if p != newest), key=_modified, reverse=True)
    for path in others[KEPT - 1 :]:
        path.unlink(missing_ok=True)
