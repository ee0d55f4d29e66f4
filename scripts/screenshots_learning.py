"""The pictures of the Train and the Predict dock, with trainings and predictions that really take place."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from screenshots_stage import SAMPLES, Place, Stage
from skimage.measure import label, regionprops

IMAGE = "fluorescence03"  # without a mask
CORRECTED = ("stained01", "stained04", "stained05", "stained06", "stained07")  # of a kind that is not trained on first
NEW_KIND = "stained08"
ACCEPTED = 8  # objects
SMALLEST = 30  # pixels


def train(stage: Stage) -> None:
    """The Train dock before, during and after a training, which is kept for the other scenes."""
    from napari_attnseg.viewer.widgets.start_chooser import StartChoice

    folder = stage.partly_annotated((IMAGE, NEW_KIND, *CORRECTED))
    stage.open("Train", "Annotate", "Predict")
    stage.open_folder(folder, IMAGE)
    dock = stage.docks["Train"]
    dock.start.setValue(StartChoice(None, stage.minutes, None))
    dock.start.changed.emit(dock.start.value())
    stage.wait(lambda: dock.facts is not None and "…" not in dock.device_label.text())
    stage.take("train_before")
    run, done = dock.training.run, [0.0]
    run.progressed.connect(lambda event: done.append(event.done))
    dock.train_button.click()
    for share, name in ((0.15, "train_1"), (0.35, "train_2"), (0.6, "train_3")):
        stage.wait(partial(_is_as_far, run, done, share))
        stage.rest(1)
        stage.frame(name)
    stage.take("train_running")
    stage.wait(lambda: _ended(run))
    if run.state != "finished":
        raise RuntimeError(f"The training ended as {run.state}.")
    stage.wait(lambda: dock.training.models.in_use is not None)
    stage.rest(2)
    stage.take("train_done")
    stage.frame("train_4")
    shelf = stage.places.shelf / "nuclei"
    shutil.rmtree(shelf, ignore_errors=True)
    shutil.copytree(folder, shelf, ignore=shutil.ignore_patterns(".attnseg"))


def predict(stage: Stage) -> None:
    """The Predict dock: outlines over the image, where the model looks, and objects that were accepted."""
    _open_trained(stage, "Predict")
    stage.show(IMAGE)
    dock = stage.docks["Predict"]
    dock.controls.holes_box.setChecked(True)
    dock.controls.size_box.setValue(SMALLEST)
    objects = _predict(stage)
    stage.take("predict_contours", at=objects[0])
    stage.frame("predict")
    dock.layers.boxes["attention"].setChecked(True)
    stage.take("predict_attention", at=objects[0])
    stage.frame("attention")
    dock.layers.boxes["attention"].setChecked(False)
    for place in objects[:ACCEPTED]:
        stage.shift_click(place)
    stage.take("predict_accept", at=objects[0])
    stage.frame("accept")


def tune(stage: Stage) -> None:
    """Masks that were made from predictions, how much correction they needed, and a fine-tuning on them."""
    _open_trained(stage, "Train")
    dock = stage.docks["Train"]
    for name in CORRECTED:
        stage.show(name)
        _predict(stage)
        stage.rest(1)  # what was predicted is kept in the background, to be compared with what becomes of it
        _correct(stage, name)
    stage.show(NEW_KIND)
    _predict(stage)
    stage.take("train_scores", dock.effort)
    run = dock.training.run
    dock.tune_button.click()
    stage.wait(lambda: run.is_active)
    stage.wait(lambda: _ended(run))
    if run.state != "finished":
        raise RuntimeError(f"The fine-tuning ended as {run.state}.")
    stage.wait(lambda: dock.training.last is not None)
    if dock.training.last.improved:
        stage.wait(lambda: dock.training.models.in_use == dock.training.last.model)
    _predict(stage)
    stage.take("train_finetuned", dock.scores)
    stage.frame("tune")


def unsure(stage: Stage) -> None:
    """The list of images, sorted by how unsure the model is of them, and where it is in one of them."""
    from napari_attnseg.viewer.widgets.image_table import SortBy

    _open_trained(stage, "Predict")
    dock = stage.docks["Predict"]
    dock.rank_button.click()
    stage.wait(lambda: dock.ranking.is_active)
    stage.wait(lambda: not dock.ranking.is_active)
    annotate = stage.front("Annotate")
    annotate.images.choosers.setOrder(SortBy.NOTE)
    stage.rest(1)
    first = next(entry for entry in annotate.images.entries_shown() if entry.mask is None)
    stage.show(first.image.stem)
    _predict(stage)
    dock.layers.boxes["uncertainty"].setChecked(True)
    stage.take("unsure")


def _open_trained(stage: Stage, front: str) -> None:
    """Open a copy of the folder that was trained on, with its model in use, and our docks."""
    from napari_attnseg.annotation.folder.folder import open_folder
    from napari_attnseg.annotation.trainings.adoption import adopt
    from napari_attnseg.annotation.trainings.folder_models import FolderModels

    shelf = stage.places.shelf / "nuclei"
    if not shelf.is_dir():
        raise FileNotFoundError(f"{shelf} is not there; take the scene 'train' first.")
    folder = Path(shutil.copytree(shelf, stage.places.scratch / "nuclei"))
    models = FolderModels(open_folder(folder))
    adopt(models, models.history.records()[0])
    models.save()
    stage.open(front, *(name for name in ("Annotate", "Train", "Predict") if name != front))
    stage.open_folder(folder)
    stage.wait(lambda: stage.docks["Train"].training.models.in_use is not None)
    stage.wait(lambda: "…" not in stage.docks["Train"].device_label.text())


def _predict(stage: Stage) -> list[Place]:
    """Press Predict; return the middle of each object that is found, the largest first."""
    dock = stage.docks["Predict"]
    proposals = dock.proposals
    answered: list[str] = []
    dock.predicting.ended.connect(answered.append)
    dock.buttons.image_button.click()
    stage.wait(lambda: answered)
    dock.predicting.ended.disconnect(answered.append)
    if answered[0]:
        raise RuntimeError(answered[0])
    stage.wait(lambda: proposals.current is not None)  # after a training another one may just have been given up
    found = sorted(regionprops(label(proposals.current.labels > 0)), key=lambda item: -item.area)
    return [_inside(item) for item in found]


def _inside(item: Any) -> Place:
    """Return the pixel of an object that is next to its middle."""
    nearest = np.argmin(((item.coords - np.array(item.centroid)) ** 2).sum(axis=1))
    row, column = item.coords[nearest]
    return float(row), float(column)


def _correct(stage: Stage, name: str) -> None:
    """Turn the mask into the one that comes with the samples, and save it."""
    session = stage.session
    mask = session.mask
    truth = tifffile.imread(SAMPLES / "nuclei" / "train" / f"{name}_MASK.tiff") > 0
    mask.apply({(): truth.astype(mask.editing.labels.dtype)})
    session.saving.save(mask.editing)
    stage.wait(lambda: not session.saving.is_busy and not session.unsaved)
    stage.rest(0.5)


def _is_as_far(run: Any, done: list[float], share: float) -> bool:
    return _ended(run) or bool(done[-1] > share and run.rows)


def _ended(run: Any) -> bool:
    return run.state in ("finished", "cancelled", "failed")
