"""comparison.json: what was asked for, the splits with their files, and which trainings failed."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_attnseg.comparison.asked import Asked
from napari_attnseg.comparison.folds import Split
from napari_attnseg.comparison.taking_up import Earlier, earlier_of, require_same, taken_up
from napari_attnseg.data.atomic import write_json
from napari_attnseg.data.pairs import Pair
from napari_attnseg.errors import RunFolderError

FORMAT_VERSION = 1
FILE_NAME = "comparison.json"
_LATER = ("digests", "earlier")  # not in the first files of this version
_THEN = " then "
LOCK = ".compare.lock"  # held by the process that works in the folder; see `alone`


@dataclass(frozen=True)
class Record:
    """What comparison.json holds."""

    asked: Asked
    splits: tuple[Split, ...]
    """One, or one for each fold."""
    command: str
    """What to type to have it all again."""
    earlier: Earlier = field(default_factory=dict)
    """What settings were before they were given anew; see `taken_up`."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why a run failed, by its name."""
    digests: dict[str, str] = field(default_factory=dict)
    """What the images and masks were, by path; see `digests_of`."""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(default_factory=lambda: _versions())
    """The numbers by name; 'one then another' where it went on with others."""
    machine: str = field(default_factory=lambda: _machine())
    """What computed, likewise."""

    def split_of(self, fold: int | None) -> Split:
        """Return the split of a fold, or the only one."""
        return self.splits[fold or 0]

    def with_failure(self, run: str, sentence: str | None) -> Record:
        """Return the record with a run's failure noted, or with None taken out."""
        others = {name: text for name, text in self.failures.items() if name != run}
        return replace(self, failures=others if sentence is None else {**others, run: sentence})

    def taken_up(self, asked: Asked, out: Path) -> Record:
        """Return the record of this comparison as it goes on where the same is asked for, see `require_same`."""
        goes_on = taken_up(self.asked, asked)
        earlier = earlier_of(self.asked, goes_on, self.earlier)
        if earlier == self.earlier and goes_on.repeats == self.asked.repeats:
            return self
        return replace(self, asked=goes_on, earlier=earlier, command=goes_on.command(out))

    def computed_here(self) -> Record:
        """Return the record of a comparison of which more is computed now, on this machine."""
        names = dict.fromkeys((*self.versions, *_versions()))
        versions = {name: _then(self.versions.get(name, ""), _versions().get(name, "")) for name in names}
        return replace(self, versions=versions, machine=_then(self.machine, _machine()))

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        return {
            "format_version": FORMAT_VERSION,
            "created": self.created,
            "versions": self.versions,
            "machine": self.machine,
            "command": self.command,
            "asked": self.asked.to_json(),
            "earlier": self.earlier,
            "splits": [{"train": _paths(train), "held_out": _paths(held_out)} for train, held_out in self.splits],
            "runs": [run.name for run in self.asked.runs],
            "failures": self.failures,
            "digests": self.digests,
        }


class ComparisonFolder:
    """The folder of a comparison: comparison.json, runs/NAME of each training, and the report."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.json = path / FILE_NAME

    def run_path(self, name: str) -> Path:
        """Return the run folder of a training."""
        return self.path / "runs" / name

    def read(self) -> Record:
        """Return what comparison.json holds.

        Raises
        ------
        RunFolderError
            It is missing, damaged, or of a newer version.
        """
        if not self.json.is_file():
            raise RunFolderError(f"{self.path} holds no comparison (there is no {FILE_NAME}); give the --out of one.")
        try:
            values = json.loads(self.json.read_text(encoding="utf-8"))
            if values["format_version"] > FORMAT_VERSION:
                raise RunFolderError(f"{self.json} is of a newer version of napari-attnseg; update napari-attnseg.")
            splits = tuple((_pairs(item["train"]), _pairs(item["held_out"])) for item in values["splits"])
            kept = {name: values[name] for name in ("command", "failures", "created", "versions", "machine")}
            later: dict[str, Any] = {name: dict(values.get(name, {})) for name in _LATER}
            return Record(Asked.from_json(values["asked"]), splits, **kept, **later)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{self.json} is damaged ({error!r}); choose another --out.") from error

    def write(self, record: Record) -> None:
        """Write comparison.json.

        Raises
        ------
        SaveError
            It cannot be written.
        """
        write_json(self.json, record.to_json())

    def begun(self, asked: Asked) -> Record | None:
        """Return the record of the same comparison if it has begun here; None if the folder is free.

        Raises
        ------
        RunFolderError
            The folder holds something else, or another comparison.
        """
        if self.json.is_file():
            record = self.read()
            require_same(record.asked, asked, self.path)
            return record
        inside = {item.name for item in self.path.iterdir()} if self.path.is_dir() else set()
        strangers = sorted(inside - {LOCK})
        if strangers:
            raise RunFolderError(
                f"{self.path} is not empty and holds no comparison (there is {strangers[0]}); choose another --out."
            )
        return None


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in ("napari-attnseg", "torch", "numpy")}
    return found | {"python": platform.python_version()}


def _then(before: str, now: str) -> str:
    """Return what was before and what is now, the same only once."""
    known = before.split(_THEN) if before else []
    return before if not now or now in known else _THEN.join((*known, now))


def _machine() -> str:
    """Say what computes, as far as the system tells."""
    name = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return ", ".join(part for part in (f"{platform.system()} {platform.machine()}", name) if part)


def _paths(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    return [{"image": str(pair.image.resolve()), "mask": str(pair.mask.resolve())} for pair in pairs if pair.mask]


def _pairs(values: Sequence[dict[str, str]]) -> tuple[Pair, ...]:
    return tuple(Pair(Path(item["image"]), Path(item["mask"])) for item in values)
