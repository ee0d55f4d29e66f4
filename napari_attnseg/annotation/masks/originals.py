"""A mask that came from elsewhere is kept, byte for byte, before it is overwritten for the first time."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from napari_attnseg.annotation.places import make_private_folder, private_folder
from napari_attnseg.data.atomic import replacing
from napari_attnseg.data.decode import opened
from napari_attnseg.errors import DataError, SaveError

ORIGINALS = "originals"
OUR_SOFTWARE = "napari-attnseg"


def original_of(mask: Path, root: Path) -> Path:
    """Return where the original of a mask is kept, or would be: `root/.attnseg/originals/`, then its path in `root`."""
    inside = Path(os.path.abspath(mask)).relative_to(os.path.abspath(root))
    return private_folder(root) / ORIGINALS / inside


def keep_original(mask: Path, root: Path) -> Path | None:
    """Keep a copy of a mask that another program wrote, unless one is kept already; call before overwriting it.

    Parameters
    ----------
    mask
        The file that is about to be overwritten; it need not exist.
    root
        The folder that is annotated; `mask` lies in it or below.

    Returns
    -------
    Path or None
        The copy; None if none was made because the mask is ours, a copy exists, or there is no mask.

    Raises
    ------
    SaveError
        The copy cannot be written; then the mask must not be overwritten.
    """
    copy = original_of(mask, root)
    if copy.exists() or not mask.exists() or _is_ours(mask):
        return None
    try:
        make_private_folder(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy(mask, copy)
    except (OSError, SaveError) as error:
        raise SaveError(
            f"{mask.name} was not overwritten: it came from elsewhere, and a copy of it could not be kept in "
            f"{copy.parent} ({_reason(error)}). Make room or allow writing there, then save again."
        ) from error
    return copy


def restore_original(mask: Path, root: Path) -> Path | None:
    """Put a kept original back in the place of its mask; the original stays where it is kept.

    Returns
    -------
    Path or None
        A copy of the mask that was replaced, beside the original; None if there was no mask.

    Raises
    ------
    DataError
        No original of this mask is kept.
    SaveError
        A file cannot be written; the mask is unchanged.
    """
    original = original_of(mask, root)
    if not original.is_file():
        raise DataError(f"No original of {mask.name} is kept in {original.parent}; there is nothing to put back.")
    try:
        replaced = _free_name(original) if mask.exists() else None
        if replaced is not None:
            _copy(mask, replaced)
        _copy(original, mask)
    except (OSError, SaveError) as error:
        raise SaveError(
            f"The original of {mask.name} could not be put back: {_reason(error)}. The mask is unchanged; make room or "
            "allow writing, then try again."
        ) from error
    return replaced


def _is_ours(mask: Path) -> bool:
    try:
        with opened(mask) as (tif, _):
            return str(tif.pages.first.software).startswith(OUR_SOFTWARE)
    except DataError:  # whatever it is, we did not write it
        return False


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
        status = source.stat()
        os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))


def _free_name(original: Path) -> Path:
    number = 1
    while (path := original.with_name(f"{original.name}.replaced-{number}")).exists():
        number += 1
    return path


def _reason(error: Exception) -> str:
    """Return what the system said, in lower case and without a full stop."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    return text[:1].lower() + text[1:].rstrip(".")
