"""Make a model that comes with the program from the best model of a run: `make_starter_model.py RUN_FOLDER NAME`.

What the model is stands in `scripts/starter_models/NAME.json`; how it was trained is read from the run.json of the run,
and of the runs that it started from. The kernels are stored in 16 bits, which halves the file. The card keeps the
digests of the images that were learnt from and held out, because by these a training that starts from the model knows
what is fair to measure on; a digest is 16 digits, from which no image can be made. It keeps no path.

With `--mean-with-start` the weights lie half-way between those of the run and those that it started from, which keeps
more of what the first training knew of other images (Wortsman 2022, doi:10.1109/CVPR52688.2022.00780).
"""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from napari_attnseg.models.model_card import About, ModelCard, load_card
from napari_attnseg.models.model_file import load_model, save_model
from napari_attnseg.models.starter_models import FOLDER, SUFFIX
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.settings import PredictionSettings, RunSettings, option_name

SCRIPTS = Path(__file__).resolve().parent
SAMPLES = SCRIPTS.parent / "sample_data" / "nuclei" / "test"
_LEFT_OUT = ("val", "encoder_weights", "device", "precision", "widths")
"""Settings that a command in the recipe does not repeat: those of the machine, paths, and what is added by hand."""


@dataclass(frozen=True)
class Description:
    """What is told of a model by hand."""

    title: str
    classes: tuple[str, ...]
    """Names by class id, background first; the masks may not have told."""
    channels: str
    """How images are read from now on; what it learnt from may be a special case of that."""
    data: str
    source: str
    """How the commands of the recipe name the images."""
    licence: str
    measured_on: str

    @classmethod
    def read(cls, path: Path) -> Description:
        """Read it from its file."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**values | {"classes": tuple(values["classes"])})


def main() -> None:
    """Write the model, and print how much it differs from the one that it was made from."""
    options = _parser().parse_args()
    best = options.run / "best.safetensors"
    start = _start_of(options.run) if options.mean_with_start else None
    description = Description.read(options.description or SCRIPTS / "starter_models" / f"{options.name}.json")
    scores, held_out = _mean_in(options.scores), _mean_in(options.held_out)
    path = options.out / f"{options.name}{SUFFIX}"
    recipe = recipe_of(options.run, options.name, description.source)
    with tempfile.TemporaryDirectory() as folder:
        whole = best
        if start is not None:
            whole = Path(folder) / best.name
            save_mean(start, best, whole, held_out)
            again = f"runs/{options.name}-{len(recipe)} {options.name} --mean-with-start"
            recipe = (*recipe, f"python scripts/make_starter_model.py {again}")
        ship(whole, path, description, recipe, scores)
        print(f"{path}: {path.stat().st_size:,} bytes")
        images = sorted(item for item in options.images.rglob("*.tif*") if "_MASK" not in item.stem)
        largest = max(largest_difference(whole, path, image) for image in images)
    print(f"Largest difference of a probability, in {len(images)} images: {largest:.2g}")
    print(load_card(path).about)


def save_mean(start: Path, best: Path, path: Path, scores: dict[str, float] | None) -> None:
    """Write a model whose weights and statistics are the mean of two of one network, with the card of the second.

    `scores` are what the mean reaches on the images that were held out; without them the card has none, for those of
    the second are not its own.
    """
    model, card = load_model(best)
    values, others = model.state_dict(), load_model(start)[0].state_dict()
    mean = {
        name: value.lerp(others[name], 0.5) if value.is_floating_point() else value for name, value in values.items()
    }
    model.load_state_dict(mean)
    save_model(path, model, card.model_copy(update={"scores": {"score": scores["f1"], **scores} if scores else {}}))


def ship(best: Path, path: Path, description: Description, recipe: tuple[str, ...], scores: Any = None) -> None:
    """Write a model file with kernels of 16 bits and a card that says what the model is.

    Biases, and the statistics of batch norm, stay as they are: they are few, and a variance can be too small or too
    large for 16 bits.

    Raises
    ------
    ValueError
        The card still holds a path.
    """
    model, card = load_model(best)
    for weights in model.parameters():
        if weights.ndim > 1:
            weights.data = weights.data.half()
    about = About(
        title=description.title,
        data=description.data,
        licence=description.licence,
        recipe=recipe,
        measured=f"{_scores_text(scores)} on {description.measured_on}" if scores else "",
    )
    card = card.model_copy(
        update={
            "about": about,
            "data": type(card.data).model_validate(card.data.model_dump() | {"channels": description.channels}),
            "masks": card.masks | {"class_names": list(description.classes), "notices": []},
        }
    )
    _require_no_path(card)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, model, card)


def _start_of(run: Path) -> Path:
    """Return the model that a run started from."""
    return Path(json.loads((run / "run.json").read_text(encoding="utf-8"))["init"])


def _mean_in(scores: Path | None) -> dict[str, float] | None:
    """Return the mean scores in what evaluate --json wrote."""
    return json.loads(scores.read_text(encoding="utf-8"))["mean"] if scores else None


def recipe_of(run: Path, name: str, source: str) -> tuple[str, ...]:
    """Return the commands that made a run: those of the runs that it started from, then its own."""
    values = json.loads((run / "run.json").read_text(encoding="utf-8"))
    before = recipe_of(Path(values["init"]).parent, name, source) if values["init"] else ()
    number = len(before) + 1
    command = ["napari-attnseg", "train", source, "--run", f"runs/{name}-{number}"]
    command += ["--init", f"runs/{name}-{number - 1}/best.safetensors"] if before else []
    widths = values["settings"]["model"]["widths"]
    command += ["--widths", *map(str, widths)] if widths and not before else []  # a starting model has its own
    for group, kind in RunSettings.groups().items():
        command += _options(kind, values["settings"][group])
    return (*before, shlex.join(command))


def largest_difference(one: Path, other: Path, image: Path) -> float:
    """Return the largest difference between the probabilities that two models give the pixels of an image."""
    settings = PredictionSettings(probability=True, precision="float32")
    first, second = (Predictor(path, settings).predict_file(image).probability for path in (one, other))
    assert first is not None
    assert second is not None
    return float(np.abs(first - second).max())


def _options(kind: type[BaseModel], values: dict[str, Any]) -> list[str]:
    """Return the options by which settings differ from what they are if they are not given."""
    words = []
    for name, info in kind.model_fields.items():
        derived = isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("derived")
        if name in _LEFT_OUT or derived or name not in values or values[name] == info.get_default():
            continue
        words += [f"--{option_name(name, info).replace('_', '-')}", f"{values[name]}"]
    return words


def _scores_text(scores: dict[str, float]) -> str:
    named = {"f1": "F1", "jaccard": "Jaccard", "recall": "recall", "precision": "precision", "accuracy": "accuracy"}
    return ", ".join(f"{title} {scores[name]:.3f}" for name, title in named.items())


def _require_no_path(card: ModelCard) -> None:
    """Refuse what names a place on the machine of the training."""

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, str) and (Path(value).is_absolute() or "\\" in value or str(Path.home()) in value):
            raise ValueError(f"The model card holds a path, {value}.")

    walk(card.model_dump(mode="json"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN_FOLDER", help="holds best.safetensors and run.json")
    parser.add_argument("name", metavar="NAME", help="what the model will go by, such as nuclei")
    parser.add_argument("--scores", type=Path, metavar="FILE", help="what evaluate --json wrote for images kept apart")
    parser.add_argument("--mean-with-start", action="store_true", help="halve the way back to the run's starting model")
    parser.add_argument("--held-out", type=Path, metavar="FILE", help="the same for the held-out images, of the mean")
    parser.add_argument("--description", type=Path, metavar="FILE", help="default scripts/starter_models/NAME.json")
    parser.add_argument("--out", type=Path, metavar="DIR", default=FOLDER, help="default %(default)s")
    parser.add_argument("--images", type=Path, metavar="DIR", default=SAMPLES, help="images to compare predictions on")
    return parser


if __name__ == "__main__":
    main()
