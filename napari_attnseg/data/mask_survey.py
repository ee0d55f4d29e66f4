"""What values masks hold: large ones are gone through some rows at a time."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.lazy import is_large
from napari_attnseg.data.mask_rows import MaskRows, can_be_read_in_rows
from napari_attnseg.data.mask_values import MOST_LISTED, MaskValues, distinct, read_labels
from napari_attnseg.data.parts import parts_of
from napari_attnseg.data.tiff import read_info

_AT_ONCE = 2**25  # pixels

Array = np.ndarray[Any, Any]


def survey_masks(paths: Iterable[Path]) -> dict[Path, MaskValues]:
    """Read the masks and list their values, one entry a path.

    Raises
    ------
    DataError
        A mask is unreadable, coloured, or holds fractions, NaN or negative values.
    """
    return {path: survey_mask(path) for path in paths}


def survey_mask(path: Path) -> MaskValues:
    """List the values of one mask; see `survey_masks`."""
    info = read_info(path)
    if is_large(info) and can_be_read_in_rows(info):
        values, foreground = None, 0
        with closing(MaskRows(path)) as mask:
            for plane, rows in parts_of(info, _AT_ONCE):
                found = distinct(part := mask.part(plane, rows))
                values = found if values is None else np.union1d(values, found)
                foreground += int(np.count_nonzero(part))
        assert values is not None
        return _found(values, foreground, (info.n_planes, info.height, info.width), info)
    labels, info = read_labels(path)
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    return _found(distinct(labels), int(np.count_nonzero(labels)), shape, info)


def _found(values: Array, foreground: int, shape: tuple[int, int, int], info: ImageInfo) -> MaskValues:
    return MaskValues(
        values=tuple(int(value) for value in values[:MOST_LISTED]),
        count=len(values),
        dtype=info.dtype,
        shape=shape,
        foreground=foreground,
        min_is_white=info.inverted,
    )
