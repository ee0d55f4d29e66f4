"""Where the program keeps files of its own: in the user's data folder, and in a hidden folder beside the images."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from napari_attnseg.data.atomic import write_text

DATA_VARIABLE = "NAPARI_ATTNSEG_DATA"
PRIVATE = ".attnseg"
README = "README.txt"
_README_TEXT = """\
napari-attnseg keeps here what belongs to the images around: choices, who has the folder open, and masks as they came.
The folder may be deleted while no napari window shows the images; the masks in 'originals' are gone then.
"""


def user_data_folder() -> Path:
    """Return the folder for what the program keeps for a user; it need not exist.

    The environment variable NAPARI_ATTNSEG_DATA names another one.
    """
    chosen = os.environ.get(DATA_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "napari-attnseg"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "napari-attnseg"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "napari-attnseg"


def journals_folder() -> Path:
    """Return the folder of the journals; it need not exist.

    It is not in the folder of images, which can be slow, full or read-only.
    """
    return user_data_folder() / "journals"


def private_folder(folder: Path) -> Path:
    """Return the hidden folder for what is kept beside the images of `folder`; it need not exist."""
    return folder / PRIVATE


def make_private_folder(folder: Path) -> Path:
    """Make the hidden folder of `folder`, with a note that says what it is for, and return it.

    Raises
    ------
    OSError
        It cannot be made.
    SaveError
        The note cannot be written.
    """
    place = private_folder(folder)
    place.mkdir(exist_ok=True)
    if not (place / README).exists():
        write_text(place / README, _README_TEXT)
    return place
