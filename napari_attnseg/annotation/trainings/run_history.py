"""What became of the trainings of a folder, read from their files without PyTorch.

Most of it stands in the model card and in the last event. A training that was killed has no last event that ends it.
"""

from __future__ import annotations

import csv
import json
import logging
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from napari_attnseg.annotation.trainings.runs import NAME, ORDER, is_running, run_folders
from napari_attnseg.errors import AttnSegError, ModelFileError
from napari_attnseg.events import Cancelled, CheckpointSaved, EpochEnd, Event, Failed, Finished, event_from_json
from napari_attnseg.models.model_card import ModelCard, load_card

State = Literal["running", "finished", "cancelled", "failed", "interrupted"]
BEST, LAST, METRICS, EVENTS = "best.safetensors", "last.safetensors", "metrics.csv", "events.jsonl"
HEAD, TAIL = 1 << 20, 1 << 16  # bytes of the events that are looked through
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunRecord:
    """One training of a folder."""

    path: Path
    """The run folder."""
    when: datetime
    """When it was started, with a time zone."""
    state: State
    """'interrupted': it was killed, or the computer was switched off."""
    source: Path
    """What it learnt from."""
    init: Path | None
    """The model that it started from."""
    model: Path | None
    """The best model; None if none was saved."""
    card: ModelCard | None = field(repr=False)
    """The card of `model`."""
    images: int | None
    """Images trained on; None if it did not get that far."""
    held_out: int | None
    score: float | None
    """Score of the best model on the held-out images; None if it was not measured."""
    start_score: float | None
    """Score of the starting model on the same images."""
    improved: bool | None
    """Whether the best model is better than the starting one; None without one, or if that is not known (yet)."""
    class_scores: dict[str, float]
    """Dice of each class on the held-out images; empty if there is only one."""
    message: str
    """How it ended, a sentence; '' if that is not known."""


class RunHistory:
    """The trainings of a folder of images; what was read of one is kept until its files change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, tuple[object, RunRecord | None]] = {}

    def records(self) -> list[RunRecord]:
        """List the trainings, newest first; a damaged one is left out and noted in the log."""
        found: dict[Path, tuple[object, RunRecord | None]] = {}
        for path in run_folders(self.root):
            stamp = _stamp(path)
            known = self._known.get(path)
            found[path] = known if known is not None and known[0] == stamp else (stamp, read_record(path))
        self._known = found
        return [record for _, record in found.values() if record is not None]


def history(root: Path) -> list[RunRecord]:
    """List the trainings of a folder of images, newest first; see `RunHistory` for doing so again and again."""
    return RunHistory(root).records()


def read_record(path: Path) -> RunRecord | None:
    """Read what became of one training; None, with a line in the log, if its folder is damaged."""
    try:
        return _read(path)
    except (AttnSegError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("The training in %s is left out: %r", path, error)
        return None


def read_metrics(run: Path) -> list[dict[str, float]]:
    """Return the rows of a training's metrics.csv, one an epoch; none if there is no such file or it is damaged."""
    try:
        with (run / METRICS).open(newline="", encoding="utf-8") as file:
            return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error):
        return []


def last_progress(run: Path) -> dict[str, Any] | None:
    """Return the fields of the last progress that a training reported with a speed; None if there is none."""
    for line in reversed(_lines_at_end(run / EVENTS)):
        if b'"progress"' in line:
            event = _event(line)
            if event is not None and getattr(event, "images_per_second", None):
                return vars(event)
    return None


def _read(path: Path) -> RunRecord:
    order = json.loads((path / ORDER).read_text(encoding="utf-8"))
    source, init = Path(order["source"]), Path(order["init"]) if order.get("init") else None
    card = _card(path / BEST)
    end = _last_event(path / EVENTS)
    results = end.results if isinstance(end, Finished | Cancelled) else {}
    split = order.get("split") or {}
    score = _number(results.get("score"))
    if score is None:
        score = _score_so_far(path, card)
    start_score = _number(results.get("start_score"))
    if start_score is None and init is not None and end is not None and not isinstance(end, Failed):
        start_score = _first_score(path / EVENTS)
    return RunRecord(
        path=path,
        when=_when(path, order),
        state=_state(path, end),
        source=source,
        init=init,
        model=path / BEST if card is not None else None,
        card=card,
        images=len(split["train"]) if "train" in split else None,
        held_out=len(split["held_out"]) if "held_out" in split else None,
        score=score,
        start_score=start_score,
        improved=_improved(results.get("improved"), init, score, start_score),
        class_scores=_class_scores(card),
        message=end.message if isinstance(end, Finished | Cancelled | Failed) else "",
    )


def _stamp(run: Path) -> object:
    """Return what changes when anything becomes of a training."""
    found: list[object] = [is_running(run)]
    for name in (ORDER, BEST, METRICS, EVENTS):
        try:
            status = (run / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return found


def _card(model: Path) -> ModelCard | None:
    if not model.exists():
        return None
    try:
        return load_card(model)
    except ModelFileError as error:
        _log.warning("%s", error)
        return None


def _state(path: Path, end: Event | None) -> State:
    if is_running(path):
        return "running"
    states: dict[type[Event], State] = {Finished: "finished", Cancelled: "cancelled", Failed: "failed"}
    return states.get(type(end), "interrupted") if end is not None else "interrupted"


def _when(path: Path, order: dict[str, Any]) -> datetime:
    """Take the time from the folder's name; of one with a name of its own, that in the order, or of its file."""
    try:
        return datetime.strptime("-".join(path.name.split("-")[:2]), NAME).astimezone()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(str(order["created"])).astimezone()
    except (KeyError, ValueError):
        return datetime.fromtimestamp((path / ORDER).stat().st_mtime).astimezone()


def _last_event(path: Path) -> Event | None:
    """Return the last event; a run that was resumed after an end and then killed has others behind that end."""
    for line in reversed(_lines_at_end(path)):
        event = _event(line)
        if event is not None:
            return event
    return None


def _lines_at_end(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, 0))
            return file.read(TAIL).splitlines()
    except OSError:
        return []


def _first_score(path: Path) -> float | None:
    """Return the score of the model that was saved before the first epoch, which is the starting one."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    saved, epoch = head.find(f'"{CheckpointSaved.kind}"'.encode()), head.find(f'"{EpochEnd.kind}"'.encode())
    if saved < 0 or 0 <= epoch < saved:
        return None
    start = head.rfind(b"\n", 0, saved) + 1
    event = _event(head[start : head.find(b"\n", saved)])
    return _number(event.score) if isinstance(event, CheckpointSaved) else None


def _event(line: bytes) -> Event | None:
    return event_from_json(line.decode("utf-8", "replace"))


def _score_so_far(path: Path, card: ModelCard | None) -> float | None:
    if card is not None and "score" in card.scores:
        return card.scores["score"]
    return max((row["val_score"] for row in read_metrics(path) if "val_score" in row), default=None)


def _class_scores(card: ModelCard | None) -> dict[str, float]:
    if card is None:
        return {}
    prefix = "dice_"
    found = {name.removeprefix(prefix): value for name, value in card.scores.items() if name.startswith(prefix)}
    return {name: value for name, value in found.items() if name != card.class_names[0]}


def _improved(said: Any, init: Path | None, score: float | None, start: float | None) -> bool | None:
    if init is None:
        return None
    if isinstance(said, bool):
        return said
    return score > start if score is not None and start is not None else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
