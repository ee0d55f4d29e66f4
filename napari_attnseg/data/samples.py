"""Where the sample images are."""

from __future__ import annotations

from pathlib import Path

from napari_attnseg.errors import DataError

_PACKAGE = Path(__file__).resolve().parents[1]


def sample_folder(name: str) -> Path:
    """Return the folder of a sample, which is not to be written to.

    Samples are installed within the package; a program that runs from its source tree has them beside it.

    Parameters
    ----------
    name
        'nuclei', 'organs' or 'stack'.

    Raises
    ------
    DataError
        The samples are not there.
    """
    for place in (_PACKAGE / "sample_data", _PACKAGE.parent / "sample_data"):
        if (place / name).is_dir():
            return place / name
    raise DataError(f"The sample images '{name}' are not installed ({_PACKAGE}); install napari-attnseg again.")
