"""What napari loads when the first image is shown, loaded while the user is still choosing a folder.

Without it the first image appears after a second or two in which the window does not answer.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pint

from napari_attnseg.viewer.background import Background

# imported at the first use: by thumbnails, by the table of a mask's classes, by us, by large images, and to train
_MODULES = (
    "scipy.ndimage", "pandas",
    "napari_attnseg.viewer.layers.image_layers", "dask.array", "napari_attnseg.viewer.session.learning",
)  # fmt: skip
_units: Any = pint.application_registry
_log = logging.getLogger(__name__)


def warm_up(background: Background, then: Callable[[], object] = lambda: None) -> None:
    """Load in a thread what the first image needs, and call `then` in this one."""

    def done(registry: Any) -> None:
        _take_units(registry)
        then()

    background.run(_load, done, lambda error: _log.debug("not loaded ahead", exc_info=error))


def _load() -> Any:
    for name in _MODULES:
        with suppress(ImportError):
            importlib.import_module(name)
    return pint.UnitRegistry() if _is_lazy() else None


def _take_units(registry: Any) -> None:
    """Make the table of units the application's, unless there is one by now.

    pint reads its own at the first use, and two threads must not be in that at once: so ours is read apart from it.
    """
    if registry is not None and _is_lazy():
        _units.set(registry)


def _is_lazy() -> bool:
    return isinstance(_units.get(), pint.registry.LazyRegistry)
