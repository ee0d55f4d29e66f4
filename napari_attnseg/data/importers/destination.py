"""The folder that is imported into: only one import's, and safe to go on with after an interruption."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_attnseg.data.atomic import write_json
from napari_attnseg.data.classes import FILE_NAME, read_classes
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.importers.item import Plan
from napari_attnseg.data.importers.listing import visible
from napari_attnseg.data.importers.meaning import Before, contradiction, joined
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.errors import DataError, SaveError

MARK = "import.json"
"""Says in the destination which import it is of, what its files are called and what its masks mean."""
REPORT = "import-report.csv"


@dataclass(frozen=True)
class Job:
    """What is imported how: two equal ones belong into the same destination."""

    layout: str
    source: Path
    options: Mapping[str, Any]
    """The options of the layout; what JSON can hold."""

    def to_json(self) -> dict[str, Any]:
        """Return what the mark says of it."""
        return {"layout": self.layout, "source": str(self.source.resolve()), "options": dict(self.options)}

    def relative(self, path: Path) -> str:
        """Name a file of the source for a report: relative to the source."""
        return path.relative_to(self.source).as_posix() if path.is_relative_to(self.source) else str(path)


def require_free(destination: Path, job: Job) -> None:
    """Check, without writing anything, that an import may write to a folder.

    It may if the folder is missing or empty, or holds the same import, finished or not: that one goes on with what is
    not there yet.

    Raises
    ------
    DataError
        The folder is the source, in it or around it, is a file, or holds something else.
    """
    source, target = job.source.resolve(), destination.resolve()
    if target == source or source in target.parents:
        raise DataError(
            f"The destination {destination} is {'' if target == source else 'in '}the source, so that originals and "
            "imported files would mix; choose a folder elsewhere."
        )
    if destination.exists() and not destination.is_dir():
        raise DataError(f"The destination {destination} is a file; name a folder, which need not exist yet.")
    content = sorted(path.name for path in visible(destination)) if destination.is_dir() else []
    if not content:
        return
    earlier = _earlier(destination / MARK)
    if earlier is None:
        raise DataError(
            f"The destination {destination} already holds other files ({content[0]}); choose an empty folder, or one "
            "that does not exist yet."
        )
    differs = next((name for name, value in job.to_json().items() if earlier.get(name) != value), None)
    if differs is not None:
        raise DataError(
            f"The destination {destination} holds another import ({_text(earlier, differs)}); choose another folder, "
            "or repeat that import to go on with it."
        )


def before_in(destination: Path) -> Before:
    """Say what an earlier run of the import left.

    Raises
    ------
    DataError
        Its classes.json or its mark is damaged, or a folder may not be read.
    """
    if not destination.is_dir():
        return Before()
    mark = _earlier(destination / MARK) or {}
    classes = destination / FILE_NAME
    names = mark.get("names")
    if mark and names is None and find_pairs(destination).pairs:
        raise DataError(
            f"{destination} was imported by an earlier version, which named some images in another way, so that they "
            "would come twice; import into another folder."
        )
    return Before(
        MaskConvention.from_dict(mark["masks"]) if "masks" in mark else None,
        read_classes(classes) if classes.exists() else None,
        bool(find_pairs(destination).annotated),
        {str(source): str(name) for source, name in names.items()} if isinstance(names, dict) else {},
    )


def claim(destination: Path, job: Job, plan: Plan, *, overwrite: bool = False) -> bool:
    """Make the folder, if need be, mark it as this import's, and note names and what the masks mean.

    Returns
    -------
    bool
        Whether masks that are there get another meaning, which `overwrite` allows. Call `settle` when none has the old
        one any more.

    Raises
    ------
    DataError
        They would get another meaning, or did in an import that was stopped.
    SaveError
        It cannot be written.
    """
    mark = _earlier(destination / MARK) or {}
    before = before_in(destination)
    problem = contradiction(before, plan.meaning, destination)
    if mark.get("unsettled"):
        problem = (
            f"The import to {destination} was stopped while it gave its masks another meaning, so that some have the "
            "old one; repeat it with --overwrite."
        )
    if problem and not overwrite:
        raise DataError(problem)
    is_continued = before.has_masks and not problem
    meaning = joined(before.meaning, plan.meaning) if is_continued else plan.meaning
    names = {job.relative(item.source): item.stem for item in plan.items}
    content = job.to_json() | {"names": {**before.names, **names}}
    content |= {"masks": meaning.to_dict()} if meaning is not None else {}
    content |= {"unsettled": True} if problem else {}
    make_folder(destination)
    if content != mark:
        write_json(destination / MARK, content)
    return bool(problem)


def settle(destination: Path) -> None:
    """Note that all masks have one meaning again.

    Raises
    ------
    SaveError
        It cannot be written.
    """
    mark = _earlier(destination / MARK) or {}
    write_json(destination / MARK, {name: value for name, value in mark.items() if name != "unsettled"})


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises
    ------
    SaveError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(f"The folder {folder} cannot be made ({reason}); choose another destination.") from error


def _earlier(mark: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "layout" in found else None


def _text(earlier: dict[str, Any], differs: str) -> str:
    value = earlier.get(differs)
    if isinstance(value, dict):
        value = ", ".join(f"{name} {item}" for name, item in value.items() if item is not None)
    return f"{differs} {value}"
