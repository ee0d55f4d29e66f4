"""The run folder: all files of one training, each written whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_attnseg.data.atomic import write_bytes, write_json, write_text
from napari_attnseg.errors import RunFolderError, SaveError
from napari_attnseg.events import Event, append_event

MetricsRow = dict[str, float]


def new_run_path(source: Path) -> Path:
    """Return a folder name that is not taken: runs/DATA-DATE-TIME in the working folder."""
    name = source.resolve().name if source.is_dir() else source.stem
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


class RunFolder:
    """Paths, reading and writing of a run folder; see the README for what each file holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_json = path / "run.json"
        self.metrics = path / "metrics.csv"
        self.events = path / "events.jsonl"
        self.best = path / "best.safetensors"
        self.last = path / "last.safetensors"
        self.state = path / "state.pt"
        self.curves = path / "curves.png"

    @property
    def is_started(self) -> bool:
        """Whether a run has begun here; a run.json that only orders one has no split yet."""
        return self.run_json.exists() and "split" in self.read_run()

    def require_free(self) -> None:
        """Make sure that no run has begun here.

        Raises
        ------
        RunFolderError
            One has.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"'{self.path}' is a file; choose a folder with --run.")
        if not self.run_json.exists() and (self.best.exists() or self.last.exists()):
            raise RunFolderError(
                f"'{self.path}' holds a model but no run.json, so it cannot be resumed; choose another folder with "
                "--run, or start from that model with --init."
            )
        if self.is_started or self.best.exists() or self.last.exists():
            raise RunFolderError(
                f"The run folder '{self.path}' already holds a run; choose another with --run, or go on with --resume."
            )

    def create(self) -> None:
        """Make the folder.

        Raises
        ------
        SaveError
            It cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(f"The run folder '{self.path}' cannot be made ({error.strerror}).") from error

    def read_run(self) -> dict[str, Any]:
        """Return what run.json holds."""
        try:
            values = json.loads(self.run_json.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunFolderError(
                f"'{self.run_json}' cannot be read ({error}); expected the run.json of a run."
            ) from error
        if not isinstance(values, dict):
            raise RunFolderError(f"'{self.run_json}' is not the run.json of a run.")
        return values

    def write_run(self, values: dict[str, Any]) -> None:
        """Write run.json."""
        write_json(self.run_json, values)

    def read_metrics(self) -> list[MetricsRow]:
        """Return the rows of metrics.csv; none if there is no such file.

        Raises
        ------
        RunFolderError
            The file is damaged.
        """
        if not self.metrics.exists():
            return []
        try:
            with self.metrics.open(newline="", encoding="utf-8") as file:
                rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
        except (OSError, ValueError, TypeError) as error:
            raise RunFolderError(f"'{self.metrics}' is damaged ({error}); correct it, or remove it.") from error
        if not all("epoch" in row for row in rows):
            raise RunFolderError(f"'{self.metrics}' is damaged (a row has no epoch); correct it, or remove it.")
        return rows

    def write_metrics(self, rows: list[MetricsRow]) -> None:
        """Write metrics.csv, a row an epoch."""
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
        write_text(self.metrics, text.getvalue())

    def append_event(self, event: Event) -> None:
        """Add one line to events.jsonl.

        Raises
        ------
        SaveError
            It cannot be written.
        """
        try:
            append_event(self.events, event)
        except OSError as error:
            raise SaveError(f"'{self.events}' cannot be written ({error.strerror}).") from error

    def read_state(self) -> dict[str, Any] | None:
        """Return the training state, or None if none was saved yet.

        Raises
        ------
        RunFolderError
            The file is damaged.
        """
        import torch  # here: a command looks at run folders before it has taken the time to import this

        if not self.state.exists():
            return None
        try:
            state = torch.load(self.state, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises half a dozen unrelated kinds for a damaged file
            raise RunFolderError(f"'{self.state}' is damaged and cannot be resumed from ({error}).") from error
        if not isinstance(state, dict):
            raise RunFolderError(f"'{self.state}' holds no training state.")
        return state

    def write_state(self, state: dict[str, Any]) -> None:
        """Write the training state."""
        import torch

        buffer = io.BytesIO()  # written in one piece: on a full disk torch itself raises anything but OSError
        torch.save(state, buffer)
        write_bytes(self.state, buffer.getvalue())
