"""The folder that is imported into: only one import's, and safe to go on with after an interruption."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_attnseg.data.atomic import write_json
from napari_attnseg.data.importers.listing import visible
from napari_attnseg.errors import DataError, SaveError

MARK = "import.json"
"""Says in the destination which import it is of."""
REPORT = "import-report.csv"


@dataclass(frozen=True)
class Job:
    """What is imported how: two equal ones belong into the same destination."""

    layout: str
    source: Path
    options: Mapping[str, Any]
    """The options of the layout; what JSON can hold."""

    def to_json(self) -> dict[str, Any]:
        """Return what the mark holds."""
        return {"layout": self.layout, "source": str(self.source.resolve()), "options": dict(self.options)}


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
    if earlier != job.to_json():
        differs = next((name for name, value in job.to_json().items() if earlier.get(name) != value), "options")
        raise DataError(
            f"The destination {destination} holds another import ({_text(earlier, differs)}); choose another folder, "
            "or repeat that import to go on with it."
        )


def claim(destination: Path, job: Job) -> None:
    """Make the folder, if need be, and mark it as this import's.

    Raises
    ------
    SaveError
        It cannot be written.
    """
    make_folder(destination)
    if _earlier(destination / MARK) is None:
        write_json(destination / MARK, job.to_json())


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
