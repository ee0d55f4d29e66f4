"""The trainings of a folder: where they are kept, how one is ordered, and which of them are running.

A training is a folder of its own, `FOLDER/attnseg_runs/YYYYmmdd-HHMMSS/`; where FOLDER cannot be written to it is in
the user's data folder. What became of the earlier ones stands in `run_history`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from errno import EDQUOT, ENOSPC
from itertools import count
from pathlib import Path

from napari_attnseg.annotation.elsewhere import can_write_into, place_for
from napari_attnseg.data.atomic import write_json
from napari_attnseg.errors import SaveError
from napari_attnseg.job_process import find_process, read_job_record
from napari_attnseg.settings import RunSettings

RUNS = "attnseg_runs"
ORDER = "run.json"
NAME = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class TrainingOrder:
    """What a training is to do."""

    source: Path
    """The folder of images with masks, or the only image."""
    settings: RunSettings
    init: Path | None = None
    """The model file to start from; None for a new model."""
    focus: tuple[Path, ...] = ()
    """Images that more of the patches are taken from, such as those corrected since the last training."""


def runs_folder(root: Path) -> Path:
    """Return where the next training of a folder of images goes; it need not exist.

    That is beside the images, so that a model can be shared with them, else in the user's data folder.
    """
    beside, away = _places(root)
    return beside if can_write_into(beside) else away


def new_run(root: Path, order: TrainingOrder) -> Path:
    """Make the folder of a new training, with the order in its run.json.

    Parameters
    ----------
    root
        The folder of images.
    order
        What the training is to do.

    Returns
    -------
    Path
        The run folder, named by the time; `place_notice` says if it could not be made beside the images.

    Raises
    ------
    SaveError
        It can be made neither beside the images nor in the user's data folder, or the disk is full.
    """
    beside, away = _places(root)
    run = None
    if runs_folder(root) == beside:
        try:
            run = _make(beside)
        except OSError as error:  # a network drive may refuse only now; on a full disk another place is no help
            if error.errno in (ENOSPC, EDQUOT):
                raise SaveError(_unmade(beside, error)) from error
    if run is None:
        try:
            run = _make(away)
        except OSError as error:
            raise SaveError(_unmade(away, error)) from error
    try:
        write_json(run / ORDER, _order_json(order))
    except SaveError:
        with suppress(OSError):
            run.rmdir()
        raise
    return run


def place_notice(root: Path, run: Path) -> str | None:
    """Say in a sentence that a training is not kept beside the images; None if it is."""
    if run.parent == _places(root)[0]:
        return None
    return f"{root} cannot be written to; this training and its model are kept in {run.parent}."


def train_command(run: Path) -> list[str]:
    """Return the command that carries out the order in a run folder, for `jobs.start`."""
    return [sys.executable, "-m", "napari_attnseg", "train", str(run / ORDER), "--events"]


def run_folders(root: Path) -> list[Path]:
    """Return all run folders of a folder of images, newest first."""
    found = [path for place in _places(root) for path in _folders_in(place)]
    return sorted(found, key=lambda path: _order_of(path.name), reverse=True)


def running(root: Path) -> list[Path]:
    """Return the run folders of a folder of images in which a training is running on this computer, newest first."""
    return [path for path in run_folders(root) if is_running(path)]


def is_running(run: Path) -> bool:
    """Whether the process that works in a run folder is alive."""
    record = read_job_record(run)
    return record is not None and find_process(record["pid"], record["started"]) is not None


def _places(root: Path) -> tuple[Path, Path]:
    return root / RUNS, place_for("runs", root)


def _folders_in(place: Path) -> Iterator[Path]:
    with suppress(OSError), os.scandir(place) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _order_of(name: str) -> tuple[str, int]:
    """Sort by time, and of one second by the number behind it: '20250301-101500-2' comes after '20250301-101500'."""
    head, _, number = name.rpartition("-")
    if head.count("-") == 1 and number.isdecimal():
        return head, int(number)
    return name, 1


def _make(place: Path) -> Path:
    """Make a folder that is named by the time, with a number if that name is taken."""
    place.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now():{NAME}}"
    for number in count(1):
        run = place / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            run.mkdir()
            return run
    raise AssertionError("there is always another number")


def _order_json(order: TrainingOrder) -> dict[str, object]:
    return {
        "source": os.path.abspath(order.source),
        "settings": order.settings.model_dump(mode="json"),
        "init": os.path.abspath(order.init) if order.init is not None else None,
        "focus": [os.path.abspath(path) for path in order.focus],
    }


def _unmade(place: Path, error: OSError) -> str:
    return (
        f"A folder for the training cannot be made in {place}: {error.strerror or error}. "
        "Make room or allow writing there, then train again."
    )
