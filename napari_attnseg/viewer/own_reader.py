"""Whether napari opens TIFFs with this plugin without asking."""

from __future__ import annotations

from napari.settings import get_settings

PLUGIN = "napari-attnseg"
PATTERNS = ("*.tif", "*.tiff", "*.TIF", "*.TIFF", "*.ome.tif", "*.ome.tiff")


def is_own_reader() -> bool:
    """Return whether napari's settings name this plugin for TIFFs."""
    chosen = get_settings().plugins.extension2reader
    return all(chosen.get(pattern) == PLUGIN for pattern in PATTERNS[:2])


def set_own_reader(own: bool) -> None:
    """Make this plugin napari's choice for TIFFs, or leave the choice to napari again; only our entries are touched."""
    chosen = dict(get_settings().plugins.extension2reader)
    for pattern in PATTERNS:
        if own:
            chosen[pattern] = PLUGIN
        elif chosen.get(pattern) == PLUGIN:
            del chosen[pattern]
    get_settings().plugins.extension2reader = chosen
