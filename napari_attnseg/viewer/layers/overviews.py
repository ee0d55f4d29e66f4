"""Filling the coarse levels of a large image while it is looked at."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from napari import Viewer
from napari.layers import Layer

from napari_attnseg.data.lazy import LazyImage
from napari_attnseg.viewer.layers.roles import note_of

if TYPE_CHECKING:
    from napari_attnseg.viewer.background import Background

_REFRESH = 0.5  # seconds
_log = logging.getLogger(__name__)


def fill_overview(lazy: LazyImage, viewer: Viewer, background: Background) -> None:
    """Fill the overview of an image in the background, and draw its layers anew now and then.

    Stops for good when the image has no layer any more. Does nothing if there is nothing to fill.
    """
    if lazy.overview is None or lazy.overview.is_complete:
        return
    seen = [time.monotonic(), False]

    def layers() -> list[Layer]:
        return [layer for layer in list(viewer.layers) if note_of(layer).get("lazy") is lazy]

    def refresh() -> None:
        for layer in layers():
            layer.refresh(extent=False)

    def on_progress(done: int, total: int) -> None:
        now = time.monotonic()
        if now - seen[0] > _REFRESH or done == total:
            seen[0] = now
            background.call_here(refresh)

    def should_stop() -> bool:
        # layers come a moment after the image is read: only what was there can be gone
        there = bool(layers())
        gone = bool(seen[1]) and not there
        seen[1] = seen[1] or there
        return gone or background.is_closed

    background.run(
        lambda: lazy.fill_overview(on_progress, should_stop),
        lambda _: refresh(),
        lambda error: _log.warning("%s", error),
        is_long=True,
    )
