"""`napari-attnseg objects`: masks, predictions or images to numbered objects and a table of what they measure."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from napari_attnseg.cli.object_work import Work, predicted_work, work_on_masks
from napari_attnseg.cli.options import Commands, HelpFormatter, add_settings, given_settings
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.errors import AttnSegError, DataError, SaveError, SettingsError, Stopped
from napari_attnseg.events import EventHandler, Notice, Progress
from napari_attnseg.settings import DataSettings, ObjectSettings, PredictionSettings, make
from napari_attnseg.wording import counted

if TYPE_CHECKING:
    from napari_attnseg.objects.table import Row, Table

FOLDER = "attnseg_objects"
TABLES = ("objects.csv", "summary.csv")
_DATA = ("mask_suffix", "axes", "mask_values")
_PREDICTION = ("channels", "tile_size", "overlap", "batch_size", "device", "precision")


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "objects",
        help="number and measure the objects in masks or predictions",
        description="Number the objects in masks or predictions, those that touch apart, as NAME_OBJECTS.tiff, and "
        "measure them: objects.csv has a row an object, summary.csv a row an image.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="a folder with masks or predictions, or one of them; images with --model",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder to write to (default: {FOLDER} in DATA)")
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="the images, for intensities, where they do not lie beside"
    )
    parser.add_argument(
        "--take", choices=("masks", "predictions"), help="what is taken where DATA holds both (default: masks)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="MODEL", help="predict the images in DATA with this model, and take that"
    )
    add_settings(parser, ObjectSettings, "objects")
    add_settings(parser, DataSettings, "data", without=_without(DataSettings, _DATA))
    add_settings(parser, PredictionSettings, "with --model", without=_without(PredictionSettings, _PREDICTION))
    parser.set_defaults(command=run)


@dataclass
class _Outcome:
    """What came of the images so far."""

    tables: list[Table] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    uncalibrated: int = 0
    objects: int = 0


def run(options: argparse.Namespace) -> int:
    """Run the command; an image that fails is named and the others go on."""
    given = given_settings(options)
    out: Path = options.out or (options.data if options.data.is_dir() else options.data.parent) / FOLDER
    outcome = _Outcome()
    with stop_on_interrupt() as interrupt, shown("Finding objects") as on_event:
        work = _work(options, given, out, on_event)
        is_new = not out.exists()
        _make_folder(out)
        before = [name for name in TABLES if (out / name).exists()]
        try:
            _do(work, outcome, on_event, interrupt)
        finally:  # also where the disk is full, or Ctrl-C came twice: what is done stays known
            _write_tables(out, outcome)
            if is_new and not outcome.tables:
                with contextlib.suppress(OSError):  # it may hold something by now
                    out.rmdir()
        if before and outcome.tables:
            on_event(Notice(f"{' and '.join(before)} of an earlier call were replaced in {out}."))
        if outcome.uncalibrated:
            on_event(
                Notice(f"{counted(outcome.uncalibrated, 'image')} without a known pixel size: measured in pixels only.")
            )
    place = f"; see {out}" if outcome.tables else ""
    print(f"Found {counted(outcome.objects, 'object')} in {counted(len(outcome.tables), 'image')}{place}.")
    if interrupt.requested:
        return 130
    if outcome.failed:
        total = len(outcome.failed) + len(outcome.tables)
        raise AttnSegError(f"{len(outcome.failed)} of {counted(total, 'image')} failed: {outcome.failed[0]}")
    return 0


def _work(options: argparse.Namespace, given: dict[str, Any], out: Path, on_event: EventHandler) -> list[Work]:
    """Return what there is to do."""
    settings = make(ObjectSettings, _of(ObjectSettings, given))
    data = make(DataSettings, {name: value for name, value in given.items() if name in _DATA})
    prediction = {name: value for name, value in given.items() if name in _PREDICTION}
    _require_sense(options, prediction)
    if options.model is None:
        return work_on_masks(options, settings, data, out, on_event)
    values = prediction | {"probability": True}
    values |= {"axes": data.axes} if data.axes else {}
    values |= {"threshold": settings.threshold} if settings.threshold is not None else {}
    return predicted_work(options, settings, make(PredictionSettings, values), out, on_event)


def _do(work: list[Work], outcome: _Outcome, on_event: EventHandler, should_stop: Callable[[], bool]) -> None:
    """Do the images one after the other; stop where that is asked for."""
    from napari_attnseg.objects.one_image import write_objects

    for number, one in enumerate(work):

        def on_progress(share: float, number: int = number, one: Work = one) -> None:
            on_event(Progress((number + share) / len(work), f"{number + 1} of {len(work)}, {one.name}"))

        on_progress(0.0)
        try:
            result = one.do(on_progress, should_stop)
        except Stopped:
            break
        except (DataError, SettingsError, MemoryError) as error:
            outcome.failed.append(str(error) or f"{one.name} is too large for this computer's memory.")
            on_event(Notice(outcome.failed[-1]))
            continue
        if result.notice:
            on_event(Notice(result.notice))
        _make_folder(one.path.parent)
        write_objects(one.path, result)
        outcome.tables.append(result.table)
        outcome.rows += result.summary
        outcome.objects += result.objects.count
        outcome.uncalibrated += not result.geometry.is_calibrated
        if should_stop():
            break


def _require_sense(options: argparse.Namespace, prediction: dict[str, Any]) -> None:
    """Refuse options that would have no effect."""
    if options.model is None and prediction:
        name = next(iter(prediction)).replace("_", "-")
        raise SettingsError(f"--{name} has an effect only with --model, which predicts the images first.")
    if options.model is not None and (options.take or options.images):
        raise SettingsError("With --model the images in DATA are predicted, so that --take and --images have no place.")


def _write_tables(out: Path, outcome: _Outcome) -> None:
    from napari_attnseg.objects.table import joined, table_of, write_table

    if outcome.tables:
        for name, table in zip(TABLES, (joined(outcome.tables), table_of(outcome.rows)), strict=True):
            write_table(out / name, table)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"The folder {folder} cannot be made ({error.strerror}); choose another with --out.") from error
    if not os.access(folder, os.W_OK):
        raise SaveError(f"The folder {folder} cannot be written to; choose another with --out.")


def _without(kind: type[BaseModel], wanted: tuple[str, ...]) -> list[str]:
    return [name for name in kind.model_fields if name not in wanted]


def _of(kind: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in kind.model_fields}
