"""Predictions of images that are too large to be predicted in memory: where the files go, and what is there already.

They are OME-Zarr folders, `NAME_PRED.ome.zarr` and the like, in a folder beside the images. Nothing here needs PyTorch.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from napari_attnseg.annotation.elsewhere import can_write_into, place_for
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.pairs import ATTENTION, PREDICTION, PROBABILITY, stem_of
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import SaveError
from napari_attnseg.models.model_card import ModelCard, load_card
from napari_attnseg.prediction.disk import disk_needed, free_disk, gigabytes
from napari_attnseg.prediction.from_card import channels_of, data_of, layouts_of
from napari_attnseg.prediction.in_place import origin_of
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.plane_input import MOST_PIXELS
from napari_attnseg.prediction.room import has_room
from napari_attnseg.prediction.working_store import (
    Progress,
    read_progress,
    store_folder,
)
from napari_attnseg.settings import PredictionSettings

OUTPUT = "attnseg_predictions"

State = Literal["none", "begun", "done"]


def predictions_folder(root: Path) -> Path:
    """Return where predictions of a folder of images go: beside the images, else in the user's data folder."""
    beside = root / OUTPUT
    return beside if can_write_into(beside) else place_for("predictions", root)


def in_words(folder: Path, root: Path) -> str:
    """Return the folder of predictions as it is shown: short where it lies beside the images."""
    return str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)


@dataclass(frozen=True)
class Found:
    """What is there of a prediction with the same model, of the image as it is now."""

    state: State
    progress: Progress | None = None
    """Where it has begun."""
    origin: Origin | None = None
    other: Origin | None = None
    """A complete prediction by another model, or of the image as it was before, that is in the place."""


@dataclass(frozen=True)
class LargeWork:
    """An image and a model that shall predict it into files."""

    image: Path
    model: Path
    root: Path
    """The folder of images that is open."""
    folder: Path
    """Where the files go."""
    card: ModelCard
    info: ImageInfo
    settings: PredictionSettings

    @property
    def partial(self) -> Path:
        """Where the prediction is while it grows."""
        return store_folder(self.image, self.folder)

    def target(self, kind: str) -> Path:
        """Return where something of it is in the end."""
        return self.folder / f"{stem_of(self.image)}{kind}.ome.zarr"

    def found(self) -> Found:
        """Look at what is there; may take a moment, for the model is read.

        Raises
        ------
        DataError, ModelFileError
            The image or the model is gone.
        """
        wanted = Origin.of(self.model, self.image, self.settings)
        progress, done = read_progress(self.partial), Origin.read(self.target(PREDICTION))
        begun = self._begun(progress) if progress is not None else None
        if begun is not None and _same_input(begun, wanted):
            return Found("begun", progress, begun)
        if done is not None and _same_input(done, wanted) and self._is_of_one(done):
            return Found("done", origin=done)
        return Found("none", other=done)

    def _begun(self, progress: Progress) -> Origin | None:
        """Return what is being predicted; None if parts of it are missing: at the very end they are in their places."""
        origin = origin_of(self.partial, progress.kinds)
        moved = [kind for kind in progress.kinds if not (self.partial / kind).is_dir()]
        if moved and not (progress.is_done and all(Origin.read(self.target(kind)) == origin for kind in moved)):
            return None
        return origin

    def _is_of_one(self, origin: Origin) -> bool:
        """Whether all parts that are in their places are of the same prediction."""
        others = (Origin.read(self.target(kind)) for kind in (PROBABILITY, ATTENTION))
        return all(other is None or other == origin for other in others)

    def going_on_from(self, found: Found) -> LargeWork:
        """Return this work with the threshold and the parts that an earlier beginning of it has, if it can go on.

        The threshold can be changed on the screen at any time, and is no reason to begin anew; nor is it that a batch
        of many images has begun with the mask alone.
        """
        if found.origin is None or found.progress is None or self.begins_anew(found):
            return self
        own = {
            "probability": PROBABILITY in found.progress.kinds,
            "attention": ATTENTION in found.progress.kinds,
            "threshold": found.origin.settings.get("threshold", self.settings.threshold),
        }
        return replace(self, settings=self.settings.model_copy(update=own))

    def begins_anew(self, found: Found) -> bool:
        """Whether what has begun is of no use, because it was begun with other settings than the threshold."""
        if found.origin is None or found.state != "begun":
            return False
        wanted = Origin.of(self.model, self.image, self.settings, found.origin.digest)
        return found.origin.computing != wanted.computing or self.has_other_objects(found.origin)

    def has_other_objects(self, origin: Origin) -> bool:
        """Whether other settings than the threshold differ, such as the smallest object."""
        wanted = Origin.of(self.model, self.image, self.settings, origin.digest).settings
        return {**origin.settings, "threshold": None} != {**wanted, "threshold": None}

    def fitted_to_disk(self, found: Found) -> LargeWork:
        """Return this work, without attention where the disk has no room for that.

        Raises
        ------
        SaveError
            There is not even room for the rest.
        """
        left = 1.0
        if found.state == "begun" and found.progress is not None:
            left -= found.progress.rows_done / found.progress.rows
        free = free_disk(self.folder, self.partial if found.state != "begun" else None)
        choices = [self]
        if found.state != "begun" and self.settings.attention:
            choices.append(replace(self, settings=self.settings.model_copy(update={"attention": False})))
        for choice in choices:
            if choice.disk_needed * left <= free:
                return choice
        raise SaveError(
            f"The prediction of {self.image.name} needs about {gigabytes(choices[-1].disk_needed * left)} in "
            f"{self.folder}, and {gigabytes(free)} are free there; make room on that disk, then press Predict again."
        )

    @property
    def is_needed(self) -> bool:
        """Whether the image is too large to be predicted in memory.

        The rule is that of the command line, which predicts tile by tile what takes more than half of the free memory;
        what the prediction process refuses, because a plane has too many pixels to be looked at at once, is too large
        as well.
        """
        data = data_of(self.card, axes=self.settings.axes, channels=self.settings.channels)
        fits = has_room(self.info, data, *channels_of(self.card, self.settings))
        return not fits or self.info.height * self.info.width > MOST_PIXELS

    @property
    def disk_needed(self) -> float:
        """About how many bytes the files will take."""
        return disk_needed(layouts_of(self.card, self.settings, self.info))

    def command(self, job: Path) -> list[str]:
        """Return the command that does it, with events for the job folder `job`."""
        settings = self.settings
        command = [sys.executable, "-m", "napari_attnseg", "predict", str(self.model), str(self.image)]
        command += ["--out", str(self.folder), "--job", str(job), "--format", "ome-zarr", "--tile-by-tile", "always"]
        command += ["--threshold", f"{settings.threshold:g}", "--min-size", str(settings.min_size)]
        command += ["--fill-holes"] * settings.fill_holes
        command += ["--probability"] * settings.probability + ["--attention"] * settings.attention
        return command + (["--axes", settings.axes] if settings.axes else [])


def large_work(
    image: Path, model: Path, root: Path, *, axes: str | None, threshold: float, min_size: int, fill_holes: bool
) -> LargeWork:
    """Return the work of predicting an image into files, whether it needs that or not.

    Raises
    ------
    AttnSegError
        The image or the model cannot be read.
    """
    card = load_card(model)
    settings = PredictionSettings(
        axes=axes,
        threshold=threshold,
        min_size=min_size,
        fill_holes=fill_holes,
        probability=True,
        attention=True,
        format="ome-zarr",
        tile_by_tile="always",
    )
    info = read_info(image, data_of(card, axes=axes, channels="as-is").axes)
    below = image.parent.relative_to(root) if image.is_relative_to(root) else Path()
    return LargeWork(image, model, root, predictions_folder(root) / below, card, info, settings)


def _same_input(one: Origin, other: Origin) -> bool:
    """Whether two predictions are of the same image, by the same model."""
    return (one.digest, one.image, one.state) == (other.digest, other.image, other.state)
