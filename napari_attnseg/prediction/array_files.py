"""Arrays that are handed to another process as .npy files, written plane by plane.

They are written, not mapped: on a full disk a mapped file kills its writer, where writing raises an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from napari_attnseg.errors import SaveError

Array = np.ndarray[Any, Any]


class ArrayFile:
    """A .npy file of planes, written one after the other.

    Raises
    ------
    SaveError
        The file cannot be made.
    """

    def __init__(self, path: Path, planes: int, dtype: type[np.floating[Any]]) -> None:
        self.path = path
        self._planes = planes
        self._dtype = np.dtype(dtype)
        self._begun = False
        try:
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise self._failed(error) from error

    def add(self, plane: Array) -> None:
        """Write the next plane, of any shape that is the same for all.

        Raises
        ------
        SaveError
            The disk is full.
        """
        try:
            if not self._begun:
                header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._planes, *plane.shape)}
                np.lib.format.write_array_header_2_0(self._file, header)
                self._begun = True
            np.ascontiguousarray(plane, self._dtype).tofile(self._file)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Finish the file.

        Raises
        ------
        SaveError
            The disk is full.
        """
        try:
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error

    def discard(self) -> None:
        """Remove the file."""
        try:
            self._file.close()
        finally:
            self.path.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> SaveError:
        reason = error.strerror or "the disk is full"
        return SaveError(
            f"A prediction cannot be kept in {self.path.parent}: {reason}. Make room there, then try again."
        )
