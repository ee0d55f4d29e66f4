"""Clicks on the canvas."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

_STILL = 3  # pixels of the screen that the mouse may move and still have clicked


def is_click(press: Any) -> Generator[None, None, bool]:
    """Wait in a mouse-drag callback of napari until the button is released or the mouse has moved.

    Use it as `if (yield from is_click(event)):`; a drag, which napari takes to move the image, makes it False at once.
    """
    start = np.array(press.pos, dtype=float)  # napari goes on with the same object
    yield
    while press.type == "mouse_move":
        if np.abs(np.array(press.pos, dtype=float) - start).max() > _STILL:
            return False
        yield
    return True
