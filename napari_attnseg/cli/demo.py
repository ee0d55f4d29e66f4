"""`napari-attnseg demo`: the whole way on the sample images, from training to pictures and scores."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from napari_attnseg.cli.options import Commands, HelpFormatter
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.data.samples import sample_folder
from napari_attnseg.errors import DataError, RunFolderError, SaveError
from napari_attnseg.settings import TrainingSettings, make

if TYPE_CHECKING:
    from napari_attnseg.data.pairs import Pair
    from napari_attnseg.prediction.figures import Example
    from napari_attnseg.prediction.predictor import Predictor

WINDOW = "NAPARI_ATTNSEG_DEMO_WINDOW"
"""The environment variable that, set to 1, lets the demo open napari where nobody sits at a terminal."""
_MARK = "demo.txt"
_OURS = (
    _MARK,
    "run",
    "predictions",
    "overlays.png",
    "attention.png",
    "curves.png",
    "scores.csv",
    "scores.json",
    "scores.txt",
)


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="train and show results on sample images",
        description="Train on the sample nuclei, score the model on images it has not seen, and write pictures.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="folder to write (default demo)")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with the sub-folders train and test (default: the sample nuclei)",
    )
    parser.add_argument("--minutes", type=float, default=1.0, metavar="X", help="time to train, in minutes (default 1)")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    data = options.data or sample_folder("nuclei")
    train, test = data / "train", data / "test"
    for folder in (train, test):
        if not folder.is_dir():
            raise DataError(f"The demo needs the folder {folder}; give another with --data, or none for the samples.")
    make(TrainingSettings, {"max_minutes": options.minutes})
    _clear(options.out)
    from napari_attnseg import engine

    began = time.monotonic()
    print(f"1. Training on {train} for {options.minutes:g} min.")
    with stop_on_interrupt() as interrupt, shown("Training") as on_event:
        result = engine.fit(
            train, options.out / "run", max_minutes=options.minutes, on_event=on_event, should_stop=interrupt
        )
    if result.was_stopped:
        return 130
    print(f"2. Predicting {test}, images that it has not seen.")
    from napari_attnseg.data.pairs import find_pairs
    from napari_attnseg.prediction.predictor import Predictor
    from napari_attnseg.settings import PredictionSettings

    predictor = Predictor(result.folder.best, PredictionSettings(attention=True, probability=True))
    pairs = find_pairs(test).annotated
    examples, otsu = _examples(predictor, pairs, options.out / "predictions")
    _report(options.out, predictor, pairs, examples, otsu)
    shutil.copyfile(result.folder.curves, options.out / "curves.png")
    print(f"Done in {time.monotonic() - began:.0f} s. Look at:")
    for name, what in (
        ("overlays.png", "image, annotated and predicted outlines"),
        ("attention.png", "where each attention gate looks"),
        ("curves.png", "how the model learnt"),
        ("scores.txt", "the scores above; scores.csv has them for each image"),
        ("predictions", "predicted masks, probability and attention as TIFF"),
        ("run/best.safetensors", "the model"),
    ):
        print(f"  {options.out / name}  {what}")
    return _look_in_napari(data, result.folder.best)


def _look_in_napari(data: Path, model: Path) -> int:
    """Open the images in napari with what the model finds, or say in a line how to; return the exit code."""
    command = [sys.executable, "-m", "napari_attnseg.viewer.demo", str(data), str(model)]
    missing = missing_for_a_window()
    if missing:
        print(f"Look at it in napari, {missing}: {shlex.join(command)}", flush=True)
        return 0
    print("Opening napari with the model's outlines and the areas it looks at; close its window to end.", flush=True)
    return subprocess.run(command, check=False).returncode


def missing_for_a_window() -> str:
    """Return what it takes to open napari now; '' if nothing is missing."""
    if find_spec("napari") is None:
        return "once it is installed (pip install 'napari-attnseg[viewer]')"
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "where there is a display"
    if not sys.stdout.isatty() and os.environ.get(WINDOW) != "1":
        return "by this command"
    return ""


def _clear(out: Path) -> None:
    """Remove what an earlier demo wrote, and nothing else."""
    content = list(out.iterdir()) if out.is_dir() else []
    strangers = [path.name for path in content if path.name not in _OURS]
    if content and not strangers and not (out / _MARK).is_file():
        strangers = [content[0].name]  # named as ours, but nothing says that a demo wrote it
    if strangers or out.is_file():
        raise RunFolderError(
            f"{out} holds things that no demo wrote ({(strangers or [out.name])[0]}); choose another --out."
        )
    try:
        for path in content:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (out / "predictions").mkdir(parents=True)
        (out / _MARK).write_text("A demo of napari-attnseg wrote this folder; the next one may clear it.\n")
    except OSError as error:
        raise SaveError(f"The folder {out} cannot be made ({error.strerror}).") from error


def _examples(predictor: Predictor, pairs: tuple[Pair, ...], out: Path) -> tuple[list[Example], list[float]]:
    """Predict and write each image; return what to show, and the F1 of a global threshold."""
    from napari_attnseg.data.masks import read_mask
    from napari_attnseg.data.tiff import read_image
    from napari_attnseg.prediction.figures import Example
    from napari_attnseg.prediction.writing import write_prediction
    from napari_attnseg.training.evaluation import score_image

    examples, otsu = [], []
    for pair in pairs:
        assert pair.mask is not None
        image = read_image(pair.image)
        prediction = predictor.predict_image(image)
        write_prediction(predictor.card, prediction, out)
        truth = read_mask(pair.mask, predictor.convention, image.info)
        shown_image = (image.pixels[0] / max(image.pixels[0].max(), 1)).astype("float32")
        attention = None if prediction.attention is None else prediction.attention[0]
        f1 = score_image(pair.name, truth, prediction.labels, 2).scores.f1
        examples.append(Example(pair.name, shown_image, truth[0], prediction.labels[0], f1, attention))
        otsu.append(_otsu_f1(shown_image, truth[0]))
    return examples, otsu


def _otsu_f1(image, truth) -> float:  # type: ignore[no-untyped-def]
    """Return the F1 of Otsu's threshold on the mean of the channels, bright or dark, whichever is better."""
    from skimage.filters import threshold_otsu

    from napari_attnseg.training.evaluation import score_image

    grey = image.mean(axis=0)
    bright = (grey > threshold_otsu(grey)).astype("uint8")
    return max(score_image("", truth, one, 2).scores.f1 for one in (bright, 1 - bright))


def _report(
    out: Path, predictor: Predictor, pairs: tuple[Pair, ...], examples: list[Example], otsu: list[float]
) -> None:
    from napari_attnseg.data.atomic import write_json, write_text
    from napari_attnseg.prediction.figures import draw_attention, draw_overlays
    from napari_attnseg.training.evaluation import Evaluation, score_image, table

    scored = [score_image(e.name, e.truth, e.prediction, 2) for e in examples]
    found = Evaluation(tuple(scored), predictor.convention.class_names)
    found.write_csv(out / "scores.csv")
    write_json(out / "scores.json", found.to_json())
    lines = [f"{len(pairs)} images that the model has not seen", f"{'':<12}{'mean':>8}{'all pixels':>12}"]
    lines += [f"{name:<12}{mean:>8}{pooled:>12}" for name, mean, pooled in table(found)]
    threshold = sum(otsu) / len(otsu)
    lines += [
        "",
        f"{'image':<18}{'F1':>8}{'F1 of a global threshold (Otsu)':>34}",
        *(f"{e.name:<18}{e.score:>8.3f}{one:>34.3f}" for e, one in zip(examples, otsu, strict=True)),
        "",
        f"Mean F1 of the model {found.mean.f1:.3f}, of a global threshold {threshold:.3f}: "
        f"{found.mean.f1 - threshold:+.3f}.",
    ]
    write_text(out / "scores.txt", "\n".join(lines) + "\n")
    print("\n".join(f"   {line}" for line in lines))
    draw_overlays(
        out / "overlays.png",
        examples,
        "Nuclei in images that the model has not seen\n(green: annotated, pink: predicted)",
    )
    draw_attention(out / "attention.png", examples, "Where the attention gates look")
