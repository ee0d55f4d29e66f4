"""Whether an image fits into memory to be predicted there: one rule for the command line and for the viewer.

PyTorch is not needed to know it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.loading import network_channels
from napari_attnseg.data.memory import MEMORY_VARIABLE, free_memory
from napari_attnseg.settings import DataSettings

__all__ = ["MEMORY_VARIABLE", "free_memory", "has_room", "memory_needed"]


def has_room(
    info: ImageInfo, data: DataSettings, computed: int, kept: int, free: Callable[[], int] = free_memory
) -> bool:
    """Whether half of the memory that is free is enough to predict an image in one piece; see `memory_needed`.

    Raises
    ------
    SettingsError
        See `memory.free_memory`.
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
