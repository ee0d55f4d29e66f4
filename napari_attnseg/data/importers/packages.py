"""Packages that only some imports need."""

from __future__ import annotations

import importlib
from types import ModuleType

from napari_attnseg.errors import DataError


def require_nibabel() -> ModuleType:
    """Return nibabel.

    Raises
    ------
    DataError
        It is not installed.
    """
    return _require("nibabel", "NIfTI")


def require_pydicom() -> ModuleType:
    """Return pydicom.

    Raises
    ------
    DataError
        It is not installed.
    """
    return _require("pydicom", "DICOM")


def _require(package: str, files: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise DataError(
            f"{files} files are read by {package}, which is not installed: pip install 'napari-attnseg[import]'."
        ) from error
