"""Files that an import cannot read: one row of the report for each kind, which says what to do."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from napari_attnseg.data.classes import FILE_NAME
from napari_attnseg.data.importers.dicom import DICOMS, has_dicom_mark
from napari_attnseg.data.importers.item import LeftOut
from napari_attnseg.data.importers.listing import READABLE, extension, natural
from napari_attnseg.data.report import names_text
from napari_attnseg.wording import counted

_DICOM = "DICOM"
_SIDE = {
    ".csv", ".tsv", ".json", ".txt", ".md", ".rst", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".log", ".html",
    ".htm", ".pdf", ".doc", ".docx", ".rtf", ".odt", ".xls", ".xlsx", ".ods", ".ppt", ".pptx", ".py", ".ipynb", ".m",
    ".r", ".ijm", ".sh", ".bat", ".bib", ".sha256", ".md5", ".license", ".lnk", ".url",
}  # fmt: skip
_SIDE_NAMES = {"readme", "license", "licence", "copying", "changelog", "authors", "citation", "dicomdir", "version"}
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
_VOLUMES = {".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh", ".mnc", ".hdr", ".img"}
_FOLDERS = {".zarr", ".n5"}
_HOW_DICOM = (
    "In the layout of CHAOS, with folders DICOM_anon, it is read by: napari-attnseg import chaos. Convert other DICOM "
    "to NIfTI, such as with dcm2niix, and import that."
)


def not_read(files: Iterable[Path], instead: str = "") -> list[LeftOut]:
    """Say of files what they are and what to do, a row a kind; side files such as tables and texts are the last row.

    Parameters
    ----------
    files
        What the importer does not read; a `classes.json` among them is passed over.
    instead
        What is read, as the beginning of a sentence such as 'The volumes here are NIfTI', for images that another
        import would read.
    """
    kinds: dict[str, set[Path]] = defaultdict(set)
    side = []
    without: dict[Path, str] = {}  # by folder, what files without extension are: an archive may have thousands
    for path in files:
        if is_side_file(path):
            side += [path] * (path.name != FILE_NAME)
            continue
        whole = next((folder for folder in path.parents if folder.suffix.lower() in _FOLDERS), path)
        kind = _kind(whole)
        if not kind:
            if whole.parent not in without:
                without[whole.parent] = _looked_into(whole)
            kind = without[whole.parent]
        kinds[kind].add(whole)
    rows = [_row(kind, sorted(found, key=natural), instead) for kind, found in sorted(kinds.items())]
    if side:
        is_one = len(side) == 1
        told = f"{counted(len(side), 'other file')} {'is' if is_one else 'are'} no image{'' if is_one else 's'}"
        rows.append(LeftOut(_place(side, ""), f"{told} and {'was' if is_one else 'were'} not used.", files=0))
    return rows


def is_side_file(path: Path) -> bool:
    """Whether a file, by its name, is a table, a text or the like, which lies beside images and is none."""
    return path.suffix.lower() in _SIDE or path.stem.lower() in _SIDE_NAMES


def _kind(path: Path) -> str:
    """Return an extension in lower case, 'DICOM' for those of DICOM, or '' for a file without one."""
    found = extension(path) or path.suffix.lower()
    found = "" if found[1:].isdecimal() or " " in found else found
    return _DICOM if found in DICOMS else found


def _looked_into(path: Path) -> str:
    """Return 'DICOM' or '' for a file without an extension; those beside it are taken for the same."""
    try:
        return _DICOM if path.is_file() and has_dicom_mark(path) else ""
    except OSError:
        return ""


def _row(kind: str, files: list[Path], instead: str) -> LeftOut:
    is_one = len(files) == 1
    if kind == _DICOM:
        what, todo = "is DICOM" if is_one else "are DICOM", _HOW_DICOM
    elif kind in READABLE:
        what, todo = "was not used" if is_one else "were not used", f"{instead}."
    else:
        what, todo = "cannot be read", _todo(kind, "it" if is_one else "them")
    of_kind = counted(len(files), "file") + (f" {kind}" if kind not in ("", _DICOM) else "")
    ending = files[0].suffix if len({path.suffix for path in files}) == 1 else ""
    return LeftOut(_place(files, ending), f"{of_kind} {what} ({names_text(files)}). {todo}", files=len(files))


def _todo(kind: str, them: str) -> str:
    if kind in _ARCHIVES:
        return f"Unpack {them} first, and import again."
    if kind in _VOLUMES:
        return f"Save {them} as NIfTI, such as in 3D Slicer, and import again."
    if not kind:
        return f"If {them} should be an image, save {them} as TIFF or PNG, and import again."
    return f"Save {them} as TIFF, in Fiji or the program that wrote {them}, and import again."


def _place(files: list[Path], ending: str) -> Path:
    """Return one file, or the folder of several with a pattern for their names."""
    if len(files) == 1:
        return files[0]
    return Path(os.path.commonpath([path.parent for path in files])) / f"*{ending}"
