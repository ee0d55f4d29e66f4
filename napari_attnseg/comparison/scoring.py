"""The scores of one trained run on its held-out images, kept in its folder as scores.csv and scores.json."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.comparison.asked import AskedRun
from napari_attnseg.comparison.results import THEN, ScoredImage, ScoredRun
from napari_attnseg.data.atomic import write_json
from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.split import groups_of
from napari_attnseg.engine import evaluate
from napari_attnseg.errors import RunFolderError
from napari_attnseg.events import EventHandler, Finished, Notice, Progress, Started, event_from_json
from napari_attnseg.models.model_file import load_model
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.settings import PredictionSettings
from napari_attnseg.training.evaluation import Evaluation, ImageScore
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.run_folder import RunFolder

SCORES = "scores.json"
_RESUMED = "Resumed after"
"""How a training begins to tell that it uses what was learnt before; without, it began anew."""


def score_run(
    path: Path,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
    computing: PredictionSettings | None = None,
) -> None:
    """Predict the held-out images of a finished run with its best model, and write scores.csv and scores.json.

    `computing` says where; None is where the training was told to.

    Raises
    ------
    AttnSegError
        The model or an image cannot be used, or the scores cannot be written.
    Stopped
        `should_stop` returned True.
    """
    folder = RunFolder(path)
    plan = Plan.from_json(folder.read_run())
    training = plan.settings.training
    computing = computing or PredictionSettings(device=training.device, precision=training.precision)
    predictor = Predictor(folder.best, computing)
    convention = plan.convention
    found = evaluate(predictor, plan.held_out, convention=convention, on_event=on_event, should_stop=should_stop)
    val, group_pattern = plan.settings.data.val, plan.settings.data.group_pattern
    found = titled(found, plan.held_out, (val or plan.source).resolve(), () if val else plan.train)
    values = {
        "class_names": list(found.class_names),
        "parameters": count_parameters(folder.best),
        **training_of(folder, predictor.compute.description),
        "time_is_limited": training.max_minutes is not None,
        "images": [_image_json(image) for image in scored_images(plan.held_out, found, group_pattern)],
    }
    found.write_csv(path / "scores.csv")
    write_json(path / SCORES, values)


def is_scored(path: Path) -> bool:
    """Whether the scores of a run are there."""
    return (path / SCORES).is_file()


def read_scores(path: Path, run: AskedRun) -> ScoredRun:
    """Read the scores of a run, and its learning curve.

    Raises
    ------
    RunFolderError
        They are missing or damaged.
    """
    folder = RunFolder(path)
    try:
        values = json.loads((path / SCORES).read_text(encoding="utf-8"))
        return ScoredRun(
            name=run.name,
            model=folder.best,
            images=tuple(_image_of(item) for item in values["images"]),
            class_names=tuple(values["class_names"]),
            parameters=int(values["parameters"]),
            seed=run.seed,
            fold=run.fold,
            minutes=values["minutes"],
            memory=values["memory"],
            device=_without_reason(values["device"]),
            curve=tuple(folder.read_metrics()),
            time_is_limited=values["time_is_limited"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{path / SCORES} is damaged ({error!r}); remove it and ask again, to have the images scored anew."
        ) from error


def scored_images(
    pairs: Sequence[Pair], found: Evaluation, group_pattern: str | None = None
) -> tuple[ScoredImage, ...]:
    """Put together images and scores, which are in the same order, with the group of each image.

    Raises
    ------
    DataError
        `group_pattern` matches no image.
    """
    groups = {pair.image: name for name, members in groups_of(pairs, group_pattern).items() for pair in members}
    return tuple(
        ScoredImage(pair.image, pair.mask, groups[pair.image], result)
        for pair, result in zip(pairs, found.images, strict=True)
        if pair.mask is not None
    )


def titled(found: Evaluation, pairs: Sequence[Pair], data: Path, others: Sequence[Pair] = ()) -> Evaluation:
    """Return the scores with images called by their path in `data` where their names repeat.

    Parameters
    ----------
    found, pairs
        The scores and what was scored, in the same order.
    data
        The folder of the images.
    others
        Further images in it, which must not be taken for one of these.
    """
    often = Counter(pair.name for pair in (*pairs, *others))
    return found.called([pair.name if often[pair.name] == 1 else _place(pair, data) for pair in pairs])


def _place(pair: Pair, data: Path) -> str:
    """Return the path of an image in a folder, without extension; all of it where a link has led elsewhere."""
    folder = pair.image.parent
    return ((folder.relative_to(data) if folder.is_relative_to(data) else folder) / pair.name).as_posix()


def count_parameters(model: Path) -> int:
    """Return how many numbers the network learns."""
    return sum(parameter.numel() for parameter in load_model(model)[0].parameters())


def training_of(folder: RunFolder, scored_on: str) -> dict[str, Any]:
    """Return what the training's events say of its cost: minutes, memory and device.

    The device is each that did a part, in their order, of which the memory is the last one's; the one that scored is
    among them if it is of another kind.
    """
    minutes, memory = None, 0
    devices: list[str] = []
    before: list[str] = []
    for line in folder.events.read_text(encoding="utf-8", errors="replace").splitlines():
        event = event_from_json(line)
        if isinstance(event, Started):
            device = _without_reason(event.device)
            memory = memory if devices[-1:] == [device] else 0
            before, devices = devices, [device]
        elif isinstance(event, Notice) and event.message.startswith(_RESUMED):
            devices, before = before if before[-1:] == devices else [*before, *devices], []
        elif isinstance(event, Progress):
            memory = max(memory, event.details.get("memory") or 0)
        elif isinstance(event, Finished):
            minutes = event.results.get("minutes")
    if _kind(scored_on) not in map(_kind, devices):
        devices.append(_without_reason(scored_on))
    return {"minutes": minutes, "memory": memory or None, "device": THEN.join(devices)}


def _without_reason(device: str) -> str:
    """Return a device in words without why it was chosen, which tells no device from another."""
    return re.sub(r" \((as asked for|no GPU was found)\)", "", device)


def _kind(device: str) -> str:
    """Return which device it is, without how it was used: 'CPU', 'GPU NVIDIA RTX 4090'."""
    return device.partition(",")[0]


def _image_json(image: ScoredImage) -> dict[str, Any]:
    return {
        "image": str(image.image),
        "mask": str(image.mask),
        "name": image.result.name,
        "group": image.group,
        "score": image.score,
        "confusion_matrix": image.result.matrix.tolist(),
        "seconds": image.result.seconds,
    }


def _image_of(values: dict[str, Any]) -> ScoredImage:
    matrix = np.array(values["confusion_matrix"], np.int64)
    result = ImageScore(values["name"], matrix, values["seconds"])
    return ScoredImage(Path(values["image"]), Path(values["mask"]), values["group"], result)
