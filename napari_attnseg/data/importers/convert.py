"""Items to pairs of TIFF images, one after the other; what cannot be converted is left out and reported."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_attnseg.data.atomic import write_text
from napari_attnseg.data.classes import FILE_NAME, Classes, make_classes, read_classes, write_classes
from napari_attnseg.data.decode import reason_of
from napari_attnseg.data.importers.destination import REPORT, Job, claim, make_folder, settle
from napari_attnseg.data.importers.item import Item, Output, Plan
from napari_attnseg.data.pairs import OUTPUT_SUFFIXES, find_pairs, mask_path, stem_of
from napari_attnseg.data.write import write_image
from napari_attnseg.errors import DataError
from napari_attnseg.events import EventHandler, Progress, ignore_event

_log = logging.getLogger(__name__)

Result = Literal["converted", "not annotated", "there already", "left out"]


@dataclass(frozen=True)
class Row:
    """What became of one file."""

    result: Result
    """'not annotated': converted without a mask."""
    file: str
    """In the destination; '' if left out."""
    image: str
    """In the source, relative to it."""
    mask: str
    note: str = ""
    """A sentence for the user, or several."""
    files: int = 1
    """How many it stands for; see `LeftOut`."""


@dataclass(frozen=True)
class Outcome:
    """What an import did."""

    rows: tuple[Row, ...]
    stopped: bool = False

    def count(self, *results: Result) -> int:
        """Return how many files have one of these results."""
        return sum(row.files for row in self.rows if row.result in results)


def convert(
    plan: Plan,
    destination: Path,
    job: Job,
    *,
    overwrite: bool = False,
    on_event: EventHandler = ignore_event,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Write the pairs of a plan, and `import-report.csv`, which says what became of each file.

    Each file is written whole or not at all. What is there already is kept, so that an interrupted import goes on where
    it was, and masks that were corrected since stay as they are.

    Parameters
    ----------
    plan
        What to convert.
    destination
        A folder that `destination.require_free` accepts.
    job
        What marks the destination.
    overwrite
        Convert again what is there already.
    on_event
        Receives `Progress`, one for each item.
    should_stop
        Asked before each file.

    Raises
    ------
    DataError
        Masks that are there would get another meaning, or its classes.json is damaged; nothing has been written.
    SaveError
        The destination cannot be written, or has no room left.
    """
    changes_meaning = claim(destination, job, plan, overwrite=overwrite)
    _update_classes(destination / FILE_NAME, plan.classes, anew=overwrite, is_stale=changes_meaning)
    rows = [Row("left out", "", job.relative(item.source), "", item.reason, item.files) for item in plan.left_out]
    taken: dict[str, Item] = {}
    stopped = False
    try:
        for number, item in enumerate(plan.items):
            if stopped := should_stop():
                break
            on_event(Progress(number / len(plan.items), f"Importing {item.source.name}"))
            for row in _convert(item, destination, job, taken, overwrite, should_stop):
                rows.append(row)
        stopped = stopped or should_stop()
        if changes_meaning and not stopped:
            rows += _of_old_meaning(destination, rows)
            settle(destination)
    finally:
        _write_report(destination / REPORT, rows)
    return Outcome(tuple(rows), stopped)


def _update_classes(path: Path, classes: Classes | None, *, anew: bool, is_stale: bool) -> None:
    """Write classes.json, or add new classes to what the user may have changed there."""
    if classes is None:
        if is_stale:
            path.unlink(missing_ok=True)
        return
    there = read_classes(path) if path.exists() and not anew else None
    if there is None:
        write_classes(path, classes)
    elif len(there) < len(classes):
        write_classes(path, make_classes([*there.entries, *classes.entries[len(there) :]], path))


def _of_old_meaning(destination: Path, rows: list[Row]) -> Iterator[Row]:
    """Yield a row for each pair that was not converted with the others."""
    new = {row.file for row in rows if row.result == "converted"}
    note = "Its source was not converted again, so that its mask still means what it did before; remove it."
    for pair in find_pairs(destination).annotated:
        file = pair.image.relative_to(destination).as_posix()
        if file not in new:
            yield Row("there already", file, "", "", note)


def _convert(
    item: Item, destination: Path, job: Job, taken: dict[str, Item], overwrite: bool, should_stop: Callable[[], bool]
) -> Iterator[Row]:
    """Write the files of an item and yield a row for each."""
    image, mask = job.relative(item.source), job.relative(item.mask) if item.mask else ""
    try:
        _require_own_name(item, taken, job)
        if item.is_one_file and not overwrite and _is_there(destination / item.name, item.mask is not None):
            yield Row("there already", item.name, image, mask)
            return
        loaded = item.load()
    except DataError as error:
        yield Row("left out", "", image, mask, str(error))
        return
    except Exception as error:  # whatever a damaged file provokes, the others are still to be converted
        _log.debug("unexpected while importing %s", item.source, exc_info=True)
        note = f"{item.source.name} cannot be imported ({reason_of(error)}); export it again ({item.source})."
        yield Row("left out", "", image, mask, note)
        return
    note = " ".join(loaded.notices)
    for output in loaded.outputs:
        if should_stop():
            return
        path = destination / output.file
        if (first := taken.setdefault(_key(output.file), item)) is not item:
            yield Row("left out", "", image, mask, _of_one_name(first, item, output.file, job))
            continue
        if not overwrite and _is_there(path, output.mask is not None):
            yield Row("there already", output.file, image, mask, note)
            continue
        _write(output, path)
        yield Row("not annotated" if output.mask is None else "converted", output.file, image, mask, note)
        note = ""  # said once for an item


def _is_there(path: Path, has_mask: bool) -> bool:
    """Whether a pair was written whole: the image is written last."""
    return path.exists() and (not has_mask or mask_path(path).exists())


def _write(output: Output, path: Path) -> None:
    make_folder(path.parent)
    info = output.picture.info(path)
    if output.mask is not None:
        write_image(mask_path(path), output.mask.reshape(info.plane_axes_shape), info.plane_axes, like=info)
    picture = output.picture
    write_image(path, picture.pixels, picture.axes, like=info, channel_names=picture.channel_names)


def _require_own_name(item: Item, taken: dict[str, Item], job: Job) -> None:
    """Refuse a name that another item has, in whichever folder, or that would not be read as an image's."""
    first = taken.setdefault(_key(item.name), item)
    if first is not item:
        raise DataError(_of_one_name(first, item, item.name, job))
    stem = _key(item.name)
    wrong = next((end for end in ("_MASK", *OUTPUT_SUFFIXES) if stem.endswith(end.casefold())), None)
    if wrong:
        raise DataError(f"{item.source.name} ends in {wrong}, which names no image here; rename it.")


def _key(file: str) -> str:
    """Return what tells images apart: their predictions may go into one folder, whichever theirs are."""
    return stem_of(Path(file)).casefold()


def _of_one_name(first: Item, second: Item, file: str, job: Job) -> str:
    return (
        f"{job.relative(first.source)} and {job.relative(second.source)} would both become {Path(file).name}; the "
        "second was left out. Rename one of them."
    )


def _write_report(path: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("Result", "File", "Image", "Mask", "Note"))
    writer.writerows((row.result, row.file, row.image, row.mask, row.note) for row in rows)
    write_text(path, text.getvalue())
