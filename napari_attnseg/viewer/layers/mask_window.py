"""Which part of a large mask the Labels layer shows.

napari draws and edits a Labels layer at one resolution, and a plane of 20,000 x 20,000 pixels is more than a texture
holds. So the layer shows a window of the mask around what is on the canvas, at full resolution, which can be painted;
zoomed out further than a window reaches, it shows every n-th pixel, which cannot. Both are views of the same memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_attnseg.annotation.masks.document import Array

SIDE = 4096  # pixels of a window; also the largest plane that is shown whole
MARGIN = 512  # what a window has more than the canvas shows, on each side


@dataclass(frozen=True)
class MaskWindow:
    """A part of the last two axes of a mask, or all of it at a coarser step."""

    y: int
    x: int
    height: int
    """In pixels of the mask."""
    width: int
    step: int = 1
    """1: every pixel, to be painted; n: every n-th, to be looked at."""

    def view(self, labels: Array) -> Array:
        """Return this part of a mask (stack axes..., y, x), sharing its memory."""
        rows = slice(self.y, self.y + self.height, self.step)
        columns = slice(self.x, self.x + self.width, self.step)
        return labels[..., rows, columns]

    def covers(self, top: float, left: float, bottom: float, right: float) -> bool:
        """Whether a part of the mask, in pixels, lies inside."""
        return self.y <= top and self.x <= left and bottom <= self.y + self.height and right <= self.x + self.width


def window_for(
    shape: tuple[int, int],
    seen: tuple[float, float, float, float],
    now: MaskWindow | None = None,
) -> MaskWindow:
    """Choose the window for what is on the canvas.

    Parameters
    ----------
    shape
        Height and width of the mask.
    seen
        Top, left, bottom and right of the canvas in pixels of the mask; may reach beyond it.
    now
        The window shown now; kept while it covers what is seen.

    Returns
    -------
    MaskWindow
        `now` itself if it can stay.
    """
    height, width = shape
    if max(height, width) <= SIDE:
        return MaskWindow(0, 0, height, width)
    top, bottom = np.clip([seen[0], seen[2]], 0, height)
    left, right = np.clip([seen[1], seen[3]], 0, width)
    if bottom - top > SIDE or right - left > SIDE:
        step = -(-max(height, width) // (SIDE // 2))
        whole = MaskWindow(0, 0, height, width, step)
        return now if now == whole and now is not None else whole
    if now is not None and now.step == 1 and now.covers(top, left, bottom, right):
        return now
    y, rows = _placed((top + bottom) / 2, bottom - top, height)
    x, columns = _placed((left + right) / 2, right - left, width)
    return MaskWindow(y, x, rows, columns)


def first_view(labels: Array) -> Array:
    """Return what is shown of a mask at first: all of it, of a large one every n-th pixel."""
    height, width = labels.shape[-2:]
    return window_for((height, width), (0.0, 0.0, float(height), float(width))).view(labels)


def _placed(middle: float, length: float, limit: int) -> tuple[int, int]:
    """Place a side of the window around `middle`; return its start and its length."""
    size = min(limit, max(SIDE // 2, int(length) + 2 * MARGIN), SIDE)
    start = min(max(0, int(middle - size / 2)), limit - size)
    return start, size
