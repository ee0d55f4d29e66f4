"""Whether an image fits into memory to be predicted there: one rule for the command line and for the viewer.

PyTorch is not needed to know it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import ceil, prod

import numpy as np
import psutil

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.loading import network_channels
from napari_attnseg.errors import SettingsError
from napari_attnseg.settings import DataSettings

MEMORY_VARIABLE = "NAPARI_ATTNSEG_MEMORY"


def free_memory() -> int:
    """Return how many bytes of memory may be taken.

    The environment variable NAPARI_ATTNSEG_MEMORY, in gigabytes, says that it is not more: where a job may not take all
    that the computer has.

    Raises
    ------
    SettingsError
        The variable holds no number.
    """
    free = int(psutil.virtual_memory().available)
    allowed = os.environ.get(MEMORY_VARIABLE, "")
    try:
        return min(free, round(float(allowed) * 1e9)) if allowed else free
    except (ValueError, OverflowError) as error:
        raise SettingsError(
            f"The environment variable {MEMORY_VARIABLE} is '{allowed}'; expected gigabytes, such as 16 or 0.5."
        ) from error


def has_room(
    info: ImageInfo, data: DataSettings, computed: int, kept: int, free: Callable[[], int] = free_memory
) -> bool:
    """Whether half of the memory that is free is enough to predict an image in one piece; see `memory_needed`.

    Raises
    ------
    SettingsError
        See `free_memory`.
    """
    return 2 * memory_needed(info, data, computed, kept) < free()


def memory_needed(info: ImageInfo, data: DataSettings, computed: int, kept: int) -> int:
    """Return about how many bytes it takes to predict an image in memory, all planes with all that is kept of them.

    Parameters
    ----------
    computed
        Channels that the network gives of the plane that is being predicted: classes and attention gates.
    kept
        Channels that are kept of each plane until they are written: those of probability and attention, if any.
    """
    stored = prod(info.shape) * np.dtype(info.dtype).itemsize
    pixels = info.height * info.width
    scaled = 4 * network_channels(info, data) * info.n_planes
    return ceil(2 * stored + pixels * (scaled + (4 * kept + 2) * info.n_planes + 12 * computed))
