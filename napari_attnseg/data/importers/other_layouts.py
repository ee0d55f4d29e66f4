"""What another importer would read better: told to who imports it as any folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from napari_attnseg.data.importers.lgg import is_mask, is_of_patient
from napari_attnseg.data.importers.listing import PICTURES, TIFFS, extension, stem


def other_layouts(root: Path, files: Iterable[Path]) -> tuple[str, ...]:
    """Name the importers that know the layouts below a folder, a sentence each.

    Parameters
    ----------
    root
        The folder.
    files
        All files below it.
    """
    by_folder = defaultdict(list)
    for path in files:
        by_folder[path.parent].append(path)
    chaos = set()
    for folder in by_folder:
        inner = folder.relative_to(root).parts
        chaos |= {root.joinpath(*inner[:level]) for level, part in enumerate(inner) if part.lower() == "dicom_anon"}
    nuclei = {folder.parent for folder in by_folder if _is_of_nuclei(folder, by_folder)}
    brains = {folder for folder, found in by_folder.items() if _is_of_brains(folder, found)}
    return tuple(
        _told(root, sorted(folders), layout, why)
        for folders, layout, why in (
            (chaos, "chaos", "reads DICOM"),
            (nuclei, "dsb2018", "joins the masks of an image's nuclei"),
            (brains, "lgg", "says how to keep the slices of a patient together"),
        )
        if folders
    )


def _is_of_nuclei(folder: Path, by_folder: dict[Path, list[Path]]) -> bool:
    """Whether a folder is `<id>/images` of one `<id>.png`, with nuclei in `<id>/masks`, not a mask of its name."""
    if folder.name.lower() != "images":
        return False
    images = [stem(path) for path in by_folder[folder] if extension(path) in (*PICTURES, *TIFFS)]
    masks = [stem(path) for path in by_folder.get(folder.parent / "masks", ())]
    return images == [folder.parent.name] and bool(masks) and masks != images


def _is_of_brains(folder: Path, files: list[Path]) -> bool:
    slices = [path for path in files if extension(path) in TIFFS and is_of_patient(path, folder)]
    return any(map(is_mask, slices)) and not all(map(is_mask, slices))


def _told(root: Path, folders: list[Path], layout: str, why: str) -> str:
    first = folders[0].relative_to(root).as_posix() if folders[0] != root else root.name
    one = f"The folder {first} is" if len(folders) == 1 else f"{len(folders)} folders, such as {first}, are"
    return f"{one} in the layout of another import, which {why}: napari-attnseg import {layout}."
