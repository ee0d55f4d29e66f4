"""How much correction predictions needed: Dice between what was predicted and what the user made of it.

What was predicted is kept in `.attnseg/predicted/` when it is shown. Once the mask of that image is saved, the two are
compared, and the result goes to `.attnseg/corrections.csv`. For a folder that cannot be written to both are in the
user's data folder.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.annotation.elsewhere import can_write_into, place_for
from napari_attnseg.annotation.places import make_private_folder, private_folder
from napari_attnseg.annotation.predictions.predicted_masks import Index, Kept, read_kept, write_kept
from napari_attnseg.data.atomic import write_text
from napari_attnseg.errors import SaveError

FILE, FOLDER = "corrections.csv", "predicted"
COLUMNS = ("time", "image", "model", "predicted", "dice", "dice_per_class")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Correction:
    """What became of one prediction."""

    time: float
    """When the mask was saved, in seconds since 1970."""
    image: str
    """The image's name in the folder."""
    model: str
    """The key of the model."""
    predicted: float
    """When the prediction was shown first, in seconds since 1970."""
    dice: float
    """Mean over the classes that occur, 0 to 1; 1: nothing had to be corrected."""
    dice_per_class: dict[str, float]
    """Of the classes that occur in either, without the background."""


class PredictedMasks:
    """The predictions of a folder that were shown to the user, and what became of them.

    Parameters
    ----------
    root
        The folder of images.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(
        self, image: str, labels: Array, model: str, when: float, *, planes: Sequence[Index] | None = None
    ) -> None:
        """Keep what is shown for an image, in place of what another model said of it.

        What the same model said before, such as with another threshold or of other planes, is the same prediction: it
        counts as shown when it first was.

        Parameters
        ----------
        image
            The image's name in the folder.
        labels
            Class ids of the folder, uint8 (plane, y, x) with `planes`, else (stack axes..., y, x).
        model
            The model's key.
        when
            In seconds since 1970.
        planes
            Indices along the stack axes of each plane; None: all planes of the image.

        Raises
        ------
        SaveError
            It can be kept nowhere.
        """
        indices = np.ndindex(*labels.shape[:-2])
        shown = {i: labels[i] for i in indices} if planes is None else dict(zip(planes, labels, strict=True))
        kept = self._kept(image)
        if kept is not None and kept.model == model:
            if all(index in kept.planes and np.array_equal(kept.planes[index], shown[index]) for index in shown):
                return
            shown, when = kept.planes | shown, kept.when
        write_kept(self._place() / FOLDER, Kept(image, model, when, shown))

    def compare(self, image: str, labels: Array, names: Sequence[str], when: float) -> Correction | None:
        """Compare what was predicted for an image with what the mask is now.

        Parameters
        ----------
        image
            The image's name in the folder.
        labels
            The mask, (stack axes..., y, x): class ids; of numbered objects any number counts as the first class.
        names
            Names of the classes by id, the background first; two of them for numbered objects.
        when
            When the mask was saved, in seconds since 1970.

        Returns
        -------
        Correction or None
            Over the planes that were predicted; None if nothing was, or for an image of another size.
        """
        kept = self._kept(image)
        if kept is None or not kept.fits(labels):
            return None
        per_class = _dice_per_class(kept, labels, names)
        dice = sum(per_class.values()) / len(per_class) if per_class else 1.0
        return Correction(when, image, kept.model, kept.when, dice, per_class)

    def note_saved(self, image: str, labels: Array, names: Sequence[str], when: float) -> Correction | None:
        """Compare as `compare` does and note the result; a later one of the same prediction takes its place.

        Raises
        ------
        SaveError
            It can be noted nowhere.
        """
        found = self.compare(image, labels, names, when)
        if found is not None:
            others = [
                item for item in corrections(self.root) if (item.image, item.predicted) != (image, found.predicted)
            ]
            write_text(self._place() / FILE, _to_csv([*others, found]))
        return found

    def _kept(self, image: str) -> Kept | None:
        found = [read_kept(place / FOLDER, image) for place in _places(self.root)]
        return max((kept for kept in found if kept is not None), key=lambda kept: kept.when, default=None)

    def _place(self) -> Path:
        """Return the folder to write to, made if it is missing."""
        beside, away = _places(self.root)
        if can_write_into(beside):
            with suppress(OSError, SaveError):
                return make_private_folder(self.root)
        try:
            away.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(f"{away} cannot be made: {error.strerror or error}.") from error
        return away


def corrections(root: Path) -> list[Correction]:
    """Return what became of the predictions of a folder, oldest first; lines that are damaged are left out."""
    found: dict[tuple[str, float], Correction] = {}
    for place in _places(root):
        for item in _read(place / FILE):
            key = item.image, item.predicted
            if key not in found or found[key].time < item.time:
                found[key] = item
    return sorted(found.values(), key=lambda item: item.time)


def _places(root: Path) -> tuple[Path, Path]:
    return private_folder(root), place_for("folders", root)


def _dice_per_class(kept: Kept, labels: Array, names: Sequence[str]) -> dict[str, float]:
    counts = np.zeros((3, len(names)), np.int64)  # both, predicted, now
    for index, predicted in kept.planes.items():
        now = labels[index]
        now = (now != 0).astype(np.uint8) if len(names) == 2 else now
        for number in range(1, len(names)):
            one, other = predicted == number, now == number
            counts[:, number] += np.count_nonzero(one & other), np.count_nonzero(one), np.count_nonzero(other)
    both, one, other = counts
    present = [number for number in range(1, len(names)) if one[number] + other[number]]
    return {names[number]: 2 * int(both[number]) / int(one[number] + other[number]) for number in present}


def _to_csv(items: Sequence[Correction]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in items:
        per_class = json.dumps({name: round(dice, 6) for name, dice in item.dice_per_class.items()}, ensure_ascii=False)
        writer.writerow([repr(item.time), item.image, item.model, repr(item.predicted), f"{item.dice:.6f}", per_class])
    return text.getvalue()


def _read(path: Path) -> list[Correction]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = [_correction(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error):
        return []
    return [item for item in found if item is not None]


def _correction(row: dict[str, Any]) -> Correction | None:
    try:
        numbers = [float(row[name]) for name in ("time", "predicted", "dice")]
        per_class = {str(name): float(dice) for name, dice in json.loads(row["dice_per_class"]).items()}
        if not all(math.isfinite(number) for number in numbers):
            return None
        return Correction(numbers[0], str(row["image"]), str(row["model"]), numbers[1], numbers[2], per_class)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
