"""Where something of a folder is kept if the folder itself cannot be written to: in the user's data folder."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from napari_attnseg.annotation.places import user_data_folder


def place_for(kind: str, root: Path) -> Path:
    """Return the user's folder for something of a folder of images; it need not exist.

    Parameters
    ----------
    kind
        What is kept, such as 'runs'.
    root
        The folder of images; its name and 8 letters made of its whole path tell it from others.
    """
    whole = os.path.abspath(root)
    name = re.sub(r"[^\w.-]+", "_", Path(whole).name)[:60] or "disk"
    digest = hashlib.blake2b(os.path.normcase(whole).encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    return user_data_folder() / kind / f"{name}-{digest}"


def can_write_into(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the first one above it that there is.

    On some systems it is known only once it is tried; then this says yes.
    """
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)
