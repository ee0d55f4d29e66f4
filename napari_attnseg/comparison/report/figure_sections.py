"""The sections of a report that are figures: curves, boxes, matrices and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from napari_attnseg.comparison.report import figures, page, pictures
from napari_attnseg.comparison.report.examples import ExampleImage
from napari_attnseg.comparison.report.story import listed
from napari_attnseg.comparison.results import Results


def curves_section(folder: Path, results: Results) -> list[str]:
    """Return the learning curves; nothing for models that were not trained here."""
    if not any(run.curve for model in results.models for run in model.runs):
        return []
    path = figures.drawn(folder / "learning_curves.png", lambda: figures.learning_curves(results))
    several = any(len(model.runs) > 1 for model in results.models)
    how = (
        "Thin lines are single trainings; the thick line is their mean as far as all of them go, and the band spans "
        "them."
        if several
        else "One training each."
    )
    if len(results.devices) > 1:
        how += " The trainings ran on different devices, so that their minutes are not to be compared."
    text = f"Score on the held-out images while the models learnt, over epochs and over minutes. {how}"
    return [page.heading("How the models learnt"), page.picture(path, "Learning curves of all models", text)]


def boxes_section(folder: Path, results: Results) -> list[str]:
    """Return the scores of single images."""
    path = figures.drawn(folder / "scores_per_image.png", lambda: figures.score_boxes(results))
    averaged = ", its score averaged over the trainings" if any(len(one.repeats) > 1 for one in results.models) else ""
    text = (
        f"Each dot is an image (at random height within its row){averaged}. The box holds the middle half of the "
        "images, the line in it is the median, and the whiskers reach to the furthest image within one and a half box "
        "lengths."
    )
    return [page.heading("Scores of single images"), page.picture(path, "Box plot of the scores of each image", text)]


def confusion_section(folder: Path, results: Results) -> list[str]:
    """Return the confusion matrices."""
    path = figures.drawn(folder / "confusion.png", lambda: figures.confusion_matrices(results))
    several = max(len({run.seed for run in model.runs}) for model in results.models) > 1
    text = "Each row is what was annotated: which share of its pixels was predicted as what"
    if len(results.class_names) <= figures.MOST_NUMBERED:
        text += f", and below it how many pixels that is{', averaged over the repeats' if several else ''}"
    return [page.heading("What is taken for what"), page.picture(path, "Confusion matrix of each model", f"{text}.")]


def images_section(
    folder: Path, results: Results, examples: Sequence[ExampleImage], troubles: Sequence[str]
) -> list[str]:
    """Return the pictures of the best, the median and the worst image."""
    parts = [page.heading("Best, median and worst image")]
    parts += [page.paragraph(text, "note") for text in troubles]
    several = any(len(model.repeats) > 1 for model in results.models)
    above = "Above each prediction is the score of that model on the image" + (
        ", averaged over its trainings; the outlines are those of the first one." if several else "."
    )
    by = "its score" if len(results.models) == 1 else "the mean score of all models"
    for example in examples:
        draw = partial(pictures.triptych, example, results.class_names, results.class_colours)
        path = figures.drawn(folder / f"image_{example.rank}.png", draw)
        plane = f", {example.plane}" if example.plane else ""
        text = f"The {example.rank} image by {by} ({example.score:.3f}): {example.name}{plane}. {above}"
        parts.append(page.picture(path, f"The {example.rank} image with the outlines of all models", text))
    return parts if len(parts) > 1 else []


def attention_section(folder: Path, examples: Sequence[ExampleImage]) -> list[str]:
    """Return the gates' maps of the models that have gates."""
    usable = [one for one in examples if any(item.attention is not None for item in one.predicted)]
    if not usable:
        return []
    example = next((one for one in usable if one.rank == "median"), usable[0])
    path = figures.drawn(folder / "attention.png", partial(pictures.attention_maps, example))
    models = [item.label for item in example.predicted if item.attention is not None]
    text = (
        f"The {example.rank} image, {example.name}, and the attention gates of {listed(models)}. A gate decides where "
        "the fine detail of the image is passed on: bright where it is, dark where it is held back."
    )
    return [page.heading("Where the models look"), page.picture(path, "Attention maps of the gates", text)]
