"""Whether napari opens TIFFs, and folders, with this plugin without asking."""

from __future__ import annotations

from napari.settings import get_settings

PLUGIN = "napari-attnseg"
FILES = ("*.tif", "*.tiff", "*.TIF", "*.TIFF", "*.ome.tif", "*.ome.tiff")
# napari matches a folder by its whole path with a separator at the end. Together these are all folders but '*.zarr',
# which other readers take as images: a pattern for each letter, from the end on, in which a name can differ from
# '.zarr', because a pattern cannot say 'not' of more than one letter. In napari's order they come last: any folder or
# pattern for folders that the user has chosen a reader for goes before.
FOLDERS = ("*[!rR]/", "*[!rR][rR]/", "*[!aA][rR][rR]/", "*[!zZ][aA][rR][rR]/", "*[!.][zZ][aA][rR][rR]/")


def is_own_reader() -> bool:
    """Return whether napari's settings name this plugin for TIFFs and folders."""
    chosen = get_settings().plugins.extension2reader
    return all(chosen.get(pattern) == PLUGIN for pattern in (*FILES[:2], *FOLDERS))


def set_own_reader(own: bool) -> None:
    """Make this plugin napari's choice for TIFFs and for folders, or leave the choice to napari again.

    Only our own entries are touched; folders named '*.zarr' are left to other readers.
    """
    chosen = dict(get_settings().plugins.extension2reader)
    for pattern in (*FILES, *FOLDERS):
        if own:
            chosen[pattern] = PLUGIN
        elif chosen.get(pattern) == PLUGIN:
            del chosen[pattern]
    get_settings().plugins.extension2reader = chosen
