"""File > Open Sample: the images that come with the program, as a folder of the user's own.

They are copied once, because what is installed must stay as it is however much is painted.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from napari import current_viewer

from napari_attnseg.annotation.places import user_data_folder
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.samples import sample_folder
from napari_attnseg.errors import SaveError
from napari_attnseg.viewer.layers.image_layers import LayerData, image_layers
from napari_attnseg.viewer.layers.roles import KEY, note_of

_MARK = "sample"


def open_nuclei() -> list[LayerData]:
    """Open 26 images of nuclei of three kinds."""
    return _open("nuclei")


def open_organs() -> list[LayerData]:
    """Open slices of a body with masks of five classes."""
    return _open("organs")


def open_stack() -> list[LayerData]:
    """Open a stack of nuclei."""
    return _open("stack")


def own_copy(name: str) -> Path:
    """Return the user's own copy of a sample, made at the first call.

    Parameters
    ----------
    name
        'nuclei', 'organs' or 'stack'.

    Raises
    ------
    DataError
        The sample is not installed.
    SaveError
        It cannot be copied.
    """
    target = user_data_folder() / "samples" / name
    if target.is_dir():
        return target
    source = sample_folder(name)
    try:
        _copy(source, target)
    except OSError as error:
        raise SaveError(f"The sample '{name}' cannot be copied to {target}: {error.strerror or error}.") from error
    return target


def _copy(source: Path, target: Path) -> None:
    """Copy a folder so that the target is there wholly or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        copied = scratch / target.name
        shutil.copytree(source, copied, copy_function=shutil.copyfile)
        for folder in (copied, *(item for item in copied.rglob("*") if item.is_dir())):
            folder.chmod(0o755)  # what is installed may be read-only
        copied.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _open(name: str) -> list[LayerData]:
    """Open a sample in the dock.

    napari takes a sample without layers for an error. So its first image is returned, and removed as soon as the
    folder's own first image is shown.
    """
    folder = own_copy(name)
    viewer = current_viewer()
    layers = image_layers(find_pairs(folder).pairs[0].image)
    if viewer is None:
        return layers
    for _, options, _ in layers:
        options["name"] = f"sample {name}"  # else the image that comes would have to be called '... [1]'
        options["metadata"] = {KEY: {_MARK: name}}
    _replace_when_shown(viewer, folder, layers)
    return layers


def _replace_when_shown(viewer: Any, folder: Path, layers: list[LayerData]) -> None:
    from napari_attnseg.viewer.layers.display import take_units
    from napari_attnseg.viewer.reader import open_folder_in
    from napari_attnseg.viewer.session.session import session_of

    session = session_of(viewer)
    shown = session.display.shown
    if shown is not None:
        for layer in [*shown.images, *([shown.mask.layer] if shown.mask is not None else [])]:
            take_units(layer, layers)

    def replace() -> None:
        session.shown_changed.disconnect(replace)
        for layer in [layer for layer in viewer.layers if _MARK in note_of(layer)]:
            viewer.layers.remove(layer)
        viewer.reset_view()

    session.shown_changed.connect(replace)
    open_folder_in(viewer, folder)
