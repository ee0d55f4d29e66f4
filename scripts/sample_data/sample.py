"""A drawn image with its mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """An image, its mask, and the keyword arguments `tifffile.imwrite` needs for both."""

    image: NDArray[np.generic]
    mask: NDArray[np.uint8]
    tiff: dict[str, Any]
