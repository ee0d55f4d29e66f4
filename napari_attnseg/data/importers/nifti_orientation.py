"""How NIfTI volumes and their masks are turned.

NIfTI stores (X, Y, Z[, volume]) and an affine that says where its axes point, as right, anterior and superior (RAS).
What is written is (Z, Y, X) as DICOM shows it, so that both give the same picture of the same patient. The third axis
stays the one of the slices, nothing is resampled:

================  ====================  =====================  ====================
slices            columns go            rows go                slices go
================  ====================  =====================  ====================
axial             right to left         anterior to posterior  inferior to superior
coronal           right to left         superior to inferior   anterior to posterior
sagittal          anterior to posterior superior to inferior   left to right
================  ====================  =====================  ====================

Oblique volumes are turned by the nearest of these. Without an affine (both codes 0) X becomes the columns and Y the
rows, as stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.importers.packages import require_nibabel

Array = np.ndarray[Any, Any]

# by the world axis of the slices (0 right, 1 anterior, 2 superior): those of columns and rows, and the slices' sign
_SHOWN: dict[int, tuple[int, int, int]] = {0: (1, 2, 1), 1: (0, 2, -1), 2: (0, 1, 1)}


@dataclass(frozen=True)
class Turn:
    """How a stored (X, Y, Z) becomes (Z, Y, X)."""

    rows: int = 1
    columns: int = 0
    flipped: tuple[int, ...] = ()

    def __call__(self, volume: Array) -> Array:
        return np.flip(volume, self.flipped).transpose(2, self.rows, self.columns)


def turn_of(affine: Array | None) -> Turn:
    """Return how an affine asks a volume to be turned; as stored without one."""
    if affine is None:
        return Turn()
    found = require_nibabel().orientations.io_orientation(affine)
    if not np.isfinite(found).all():
        return Turn()  # the affine flattens an axis and so says nothing
    world = [int(axis) for axis in found[:, 0]]
    columns, rows, slices = _SHOWN[world[2]]
    wanted = {columns: -1, rows: -1, world[2]: slices}
    flipped = tuple(axis for axis in range(3) if found[axis, 1] != wanted[world[axis]])
    return Turn(world.index(rows), world.index(columns), flipped)


def affine_of_mask(
    path: Path, affine: Array | None, image: Path, of_image: Array | None
) -> tuple[Array | None, tuple[str, ...]]:
    """Decide by which affine a mask is turned, from its own and its image's; with sentences for the user."""
    if affine is None or _is_identity(affine) or _agree(affine, of_image):
        return of_image, ()
    if of_image is None:
        # a program that reads such an image assumes a position for it, and may write that into the mask's header
        if turn_of(affine) == Turn():
            return None, ()
        return None, (
            f"The header of {image.name} does not say how it lies, that of {path.name} does; both were taken as they "
            "are stored, so look whether the mask lies where it should.",
        )
    return affine, (
        f"The headers of {path.name} and {image.name} place them differently; each was turned by its own, so "
        "look whether the mask lies where it should.",
    )


def _is_identity(affine: Array) -> bool:
    """Whether it is what programs write that know no position."""
    return bool(np.allclose(affine, np.eye(4)))


def _agree(affine: Array, other: Array | None) -> bool:
    """Whether two affines place a volume alike, within a tenth of a voxel's side for each axis."""
    if other is None:
        return False
    scale = np.abs(affine[:3, :3]).max() or 1.0
    return bool(np.abs(affine[:3, :3] - other[:3, :3]).max() < 0.01 * scale) and bool(
        np.abs(affine[:3, 3] - other[:3, 3]).max() < 0.1 * scale
    )
