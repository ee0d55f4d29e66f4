"""What the Predict dock says of an image that is too large to be predicted in memory."""

from __future__ import annotations

from napari_attnseg.annotation.predictions.large_files import OUTPUT, Found, LargeWork, in_words
from napari_attnseg.data.pairs import PREDICTION
from napari_attnseg.prediction.disk import gigabytes
from napari_attnseg.prediction.from_card import layouts_of
from napari_attnseg.prediction.working_store import read_progress


def about(work: LargeWork, found: Found) -> str:
    """Say what is there of an image that is shown, and what Predict will do."""
    name = work.image.name
    if found.state == "done":
        made = found.origin.model if found.origin is not None else work.model.name
        more = ""
        if found.origin is not None and found.origin.gaps:
            more = f" {len(found.origin.gaps)} tiles of it could not be decoded, and are gaps."
        return f"{name} is predicted, by {made}: the files are {_files(work)}.{more}"
    if found.state == "begun" and found.progress is not None:
        done, rows = found.progress.rows_done, found.progress.rows
        return f"{name} is predicted up to row {done} of {rows}; Predict goes on from there.{_objects(work, found)}"
    other = ""
    if found.other is not None:
        what = "another model" if found.other.image == name and found.other.model != work.model.name else "earlier"
        other = f" It takes the place of a prediction from {what}, {found.other.model}."
    return f"{_too_large(work)} {_where(work)}{other}"


def begins(work: LargeWork, found: Found) -> str:
    """Say what is being done from now on."""
    if found.state == "begun" and found.progress is not None:
        done, rows = found.progress.rows_done, found.progress.rows
        where = f"with the threshold {work.settings.threshold:g}, into {_files(work)}"
        said = f"{work.image.name} goes on after row {done} of {rows}, {where}. It can be cancelled at any time."
        return f"{said}{_without_probability(work)}"
    return f"{_too_large(work)} {_where(work)}{_without_attention(work)}"


def ended(work: LargeWork, state: str, reason: str) -> str:
    """Say how a prediction has ended; '' where what `about` says is enough."""
    name = work.image.name
    progress = read_progress(work.partial)
    kept = ""
    if progress is not None and progress.rows_done:
        kept = f"rows 1 to {progress.rows_done} of {progress.rows} are kept, and Predict goes on after them"
    if state == "cancelled":
        return f"Cancelled: {kept}." if kept else f"Cancelled before the first row of {name} was finished."
    if state == "failed":
        return f"{reason} {kept[:1].upper() + kept[1:]}." if kept else reason
    if state == "there":
        return (
            f"{name} was predicted by this model already, and is shown from its files ({_files(work)}). The threshold "
            f"can be moved; remove the files to predict it anew."
        )
    return reason


def _too_large(work: LargeWork) -> str:
    size = f"{work.info.width} x {work.info.height}"
    planes = f", {work.info.n_planes} planes" if work.info.n_planes > 1 else ""
    return f"{work.image.name} ({size}{planes}) is too large to be predicted in memory:"


def _where(work: LargeWork) -> str:
    size = gigabytes(work.disk_needed)
    return (
        f"Predict goes tile by tile, into {_files(work)} (up to {size}). It can be cancelled at any time, and goes on "
        f"where it stopped.{_elsewhere(work)}"
    )


def _elsewhere(work: LargeWork) -> str:
    beside = work.folder.is_relative_to(work.root / OUTPUT)
    return "" if beside else f" The folder of the images cannot be written to, so the files go to {work.folder}."


def _files(work: LargeWork) -> str:
    target = work.target(PREDICTION)
    others = len(layouts_of(work.card, work.settings, work.info)) - 1
    more = f" and {others} more" if others else ""
    return f"{in_words(target, work.root)}{more}"


def _without_attention(work: LargeWork) -> str:
    return "" if work.settings.attention else " Attention is left out, because the disk has no room for it."


def _without_probability(work: LargeWork) -> str:
    if work.settings.probability:
        return ""
    return " It was begun without the probability, so that the threshold cannot be moved afterwards."


def _objects(work: LargeWork, found: Found) -> str:
    if not work.begins_anew(found):
        return ""
    return " With the smallest object and the holes set as now it would begin anew."
