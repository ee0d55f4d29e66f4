"""napari's reader: TIFF images with their masks, and folders of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari import Viewer, current_viewer
from napari.utils.notifications import show_warning

from napari_attnseg.data.pairs import Pair, extension_of, find_pairs, stem_of
from napari_attnseg.errors import DataError
from napari_attnseg.viewer.layers.image_layers import LayerData, image_layers, mask_layer
from napari_attnseg.viewer.layers.roles import KEY, image_of, role_of
from napari_attnseg.viewer.waiting import run_beside_window

if TYPE_CHECKING:
    from napari_attnseg.annotation.folder.folder import AnnotationFolder

Paths = str | Sequence[str]
NO_LAYERS: list[Any] = [(None,)]
"""What napari takes for 'read, but there is nothing to add'."""

PLUGIN = "napari-attnseg"
DOCK = "Annotate"
MOST_WITHOUT_WINDOW = 100
_ZARR = (".zattrs", ".zgroup", ".zarray", "zarr.json")
# the longest side of a mask that is handed over as a whole; of a larger one the session shows the part in sight
_LARGEST_MASK = 4096


@dataclass
class _Read:
    """Layers, and what the user should know about them."""

    layers: list[LayerData]
    problems: list[str]


def get_reader(path: Paths) -> Callable[[Paths], list[Any]] | None:
    """Return our reader if all paths are named as TIFF files or are folders, else None.

    Parameters
    ----------
    path
        One path, or several that are opened together.
    """
    paths = _paths(path)
    ours = bool(paths) and all(extension_of(item) or (item.is_dir() and not _is_zarr(item)) for item in paths)
    return read if ours else None


def read(path: Paths) -> list[Any]:
    """Read images with their masks.

    An image brings its mask, a mask its image, each once; what is open in the viewer already is not read again. In a
    viewer a folder is opened in the dock, which shows its list and the first image.

    Returns
    -------
    list
        Layer data: for each image its layers, then its mask; `NO_LAYERS` if there is nothing to add.

    Raises
    ------
    DataError
        A file is no TIFF, is damaged, or there are too many images to be read without a window.
    """
    paths = _paths(path)
    viewer = current_viewer()
    folders = [item for item in paths if item.is_dir()]
    files = [item for item in paths if item not in folders]
    if viewer is None:
        read_all = _read_files([*files, *_images_of(folders)], {}, None)
        for problem in read_all.problems:
            show_warning(problem)
        return list(read_all.layers) or NO_LAYERS
    if folders:
        open_folder_in(viewer, folders[0])
        if len(folders) > 1:
            show_warning(one_folder_text(folders[0]))
    return _read_into(viewer, files) if files else NO_LAYERS


def one_folder_text(folder: Path) -> str:
    """Say which of several folders is opened."""
    return f"One folder is open at a time: {folder.name}. Drop the others again one by one."


def open_folder_in(viewer: Viewer, folder: Path) -> None:
    """Open a folder in a viewer's session, and show the dock with its list."""
    from napari_attnseg.viewer.session.session import session_of

    session_of(viewer).open_folder(folder)
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    dock.show()  # it may have been closed


def _paths(path: Paths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | Path) else [Path(item) for item in path]


def _is_zarr(folder: Path) -> bool:
    return folder.suffix.lower() == ".zarr" or any((folder / name).exists() for name in _ZARR)


def _images_of(folders: Sequence[Path]) -> list[Path]:
    images = [pair.image for folder in folders for pair in find_pairs(folder).pairs]
    if len(images) > MOST_WITHOUT_WINDOW:
        raise DataError(
            f"{folders[0]} holds {len(images)} images; at most {MOST_WITHOUT_WINDOW} are read without a window. "
            "Open the folder in a napari window, or give some of its images."
        )
    if folders and not images:
        raise DataError(f"There are no TIFF images (.tif, .tiff) in {folders[0]}; give the folder of your images.")
    return images


def _read_into(viewer: Viewer, files: Sequence[Path]) -> list[Any]:
    """Read files while the window goes on living; leave out what it shows already."""
    from napari_attnseg.viewer.layers.overviews import fill_overview
    from napari_attnseg.viewer.session.session import session_of

    session = session_of(viewer)  # watches for the layers that come
    found = run_beside_window(lambda: _read_files(files, _open_in(viewer), session.folder))
    if current_viewer() is None:  # closed in the meantime
        return NO_LAYERS
    open_now = _open_in(viewer)  # the same file may have been dropped twice in a hurry
    layers = [item for item in found.layers if not _is_open(item, open_now)]
    for problem in found.problems:
        show_warning(problem)
    for lazy in {
        id(item): item for item in (_note(layer).get("lazy") for layer in layers) if item is not None
    }.values():
        fill_overview(lazy, viewer, session.background)
    return list(layers) or NO_LAYERS


def _open_in(viewer: Viewer) -> dict[Path, set[str]]:
    """Return the images that a viewer shows, each with the roles of its layers: 'image', 'mask'."""
    found: dict[Path, set[str]] = {}
    for layer in viewer.layers:
        image = image_of(layer)
        if image is not None:
            found.setdefault(image.resolve(), set()).add(role_of(layer))
    return found


def _is_open(layer: LayerData, shown: dict[Path, set[str]]) -> bool:
    note = _note(layer)
    return note["role"] in shown.get(Path(note["image"]).resolve(), set())


def _note(layer: LayerData) -> dict[str, Any]:
    note: dict[str, Any] = layer[1]["metadata"][KEY]
    return note


def _read_files(files: Sequence[Path], shown: dict[Path, set[str]], folder: AnnotationFolder | None) -> _Read:
    """Read images and masks; no window is needed."""
    found = _Read([], [])
    done: set[Path] = set()
    for file in files:
        suffix = folder.choices.mask_suffix if folder is not None else "_MASK"
        for pair in find_pairs(file, suffix).pairs:
            image = pair.image.resolve()
            if image not in done:
                done.add(image)
                _read_pair(pair, shown.get(image, set()), folder, found)
    return found


def _read_pair(pair: Pair, shown: set[str], folder: AnnotationFolder | None, found: _Read) -> None:
    """Read one image, and its mask as the open folder's masks are read, else as its own values say."""
    from napari_attnseg.annotation.folder.folder import open_folder

    known = folder is not None and folder.pair(pair.image) is not None
    folder = folder if folder is not None and known else open_folder(pair.image)
    document = None if pair.mask is None or "mask" in shown else folder.document(pair.image)
    axes = document.info.axes if document is not None and folder.choices.axes else None
    if "image" not in shown:
        found.layers += image_layers(pair.image, axes)
    if document is None or pair.mask is None:
        return
    if document.problem is not None:
        found.problems.append(document.problem)
        return
    labels = document.labels[..., :_LARGEST_MASK, :_LARGEST_MASK] if current_viewer() else document.labels
    layer = mask_layer(
        labels, document.info, folder.classes, document.convention.kind, stem_of(pair.mask), pair.image
    )  # fmt: skip
    _note(layer)["document"] = document
    found.layers.append(layer)
    if folder.problem is not None:
        found.problems.append(folder.problem)
