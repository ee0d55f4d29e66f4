"""Figures and tables of a report: classes of any name and any number, and those that do not occur."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_attnseg.comparison.report.csv_files import write_summary
from napari_attnseg.comparison.report.examples import ExampleImage, Predicted
from napari_attnseg.comparison.report.figures import MOST_NUMBERED, confusion_matrices, drawn, shortened
from napari_attnseg.comparison.report.pictures import triptych
from napari_attnseg.comparison.report.table_sections import scores_section
from napari_attnseg.comparison.results import ComparedModel, Results, ScoredImage, ScoredRun
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.training.evaluation import ImageScore
from tests.comparison.page_content import PageContent

AWKWARD = ("background", "$^$", "_below", "日本", "a name that is far too long for a figure", "<b>")


def results_of(names: tuple[str, ...], empty: tuple[int, ...] = ()) -> Results:
    matrix = np.diag([number not in empty for number in range(len(names))]).astype(np.int64)
    image = ScoredImage(Path("a"), Path("b"), "a", ImageScore("a", matrix))
    model = ComparedModel("unet", (ScoredRun("r", Path("m"), (image,), names, 5),))
    values = {number: number for number in range(len(names))}
    return Results((model,), names, ("#123456",) * len(names), MaskConvention("classes", values, names))


def example_of(labels: np.ndarray) -> ExampleImage:
    picture = np.zeros((*labels.shape, 3), np.float32)
    return ExampleImage("best", "$^$", 0.5, picture, labels, (Predicted("unet", 0.5, labels, None),))


def test_classes_of_any_name_are_drawn(tmp_path: Path) -> None:
    """Warnings are errors here, such as that a font lacks letters or that there is no room."""
    results = results_of(AWKWARD)
    labels = np.arange(60, dtype=np.uint8).reshape(6, 10) // 10
    for draw in (
        partial(confusion_matrices, results),
        partial(triptych, example_of(labels), AWKWARD, ("#123456",) * 6),
    ):
        assert drawn(tmp_path / "figure.png", draw).stat().st_size > 5000
    assert shortened(AWKWARD[4]) == "a name that is far…"


@pytest.mark.parametrize(("count", "texts"), [(MOST_NUMBERED, MOST_NUMBERED**2), (MOST_NUMBERED + 1, 0)])
def test_many_classes_leave_no_room_for_numbers(count: int, texts: int) -> None:
    figure = confusion_matrices(results_of(tuple(f"class {number}" for number in range(count))))
    assert len(figure.axes[0].texts) == texts
    assert len(figure.axes[0].get_xticklabels()) == count


def test_a_picture_names_only_the_classes_that_are_in_it() -> None:
    labels = np.zeros((6, 10), np.uint8)
    labels[2:4, 2:6] = 3
    figure = triptych(example_of(labels), tuple("abcdef"), ("#123456",) * 6)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["d"]


def test_a_class_that_no_held_out_image_has_is_named() -> None:
    names = ("background", "liver", "spleen", "kidney")
    assert "Not annotated" not in "".join(scores_section(results_of(names)))
    page = "".join(scores_section(results_of(names, empty=(1, 3))))
    assert "Not annotated in the held-out images: liver and kidney." in page


def test_classes_are_told_by_dice_and_iou_with_the_means_that_are_made_of_them(tmp_path: Path) -> None:
    names = ("tissue", "liver", "spleen")
    matrices = [[[80, 10, 0], [0, 10, 0], [0, 0, 0]], [[90, 0, 0], [5, 5, 0], [0, 0, 10]]]

    def run(seed: int) -> ScoredRun:
        image = ScoredImage(Path("a"), Path("m"), "a", ImageScore("a", np.array(matrices[seed], np.int64)))
        return ScoredRun(str(seed), Path("m"), (image,), names, 5, seed=seed)

    convention = MaskConvention("classes", {0: 0, 1: 1, 2: 2}, names)
    results = Results((ComparedModel("unet", (run(0), run(1))),), names, ("#123456",) * 3, convention)
    write_summary(tmp_path / "summary.csv", results)
    page = PageContent(written(tmp_path / "page.html", "".join(scores_section(results))))
    (row,) = csv.DictReader((tmp_path / "summary.csv").read_text(encoding="utf-8").splitlines())
    worked_out = {  # tissue, liver and spleen of each seed; a class that is nowhere counts as found
        "Dice": [(160 / 170, 20 / 30, 1.0), (180 / 185, 10 / 15, 1.0)],
        "IoU": [(80 / 90, 10 / 20, 1.0), (90 / 95, 5 / 10, 1.0)],
    }
    for number, (measure, (first, second)) in enumerate(worked_out.items()):
        assert page.headings[1 + number] == f"{measure} of each class"
        header, shown = page.rows[2 + 2 * number : 4 + 2 * number]
        assert header == ["Model", "liver", "spleen", "Mean", "tissue", "Mean with tissue"]
        pairs = {
            "liver": (first[1], second[1]),
            "spleen": (first[2], second[2]),
            "without background": (sum(first[1:]) / 2, sum(second[1:]) / 2),
            "tissue": (first[0], second[0]),
            "with background": (sum(first) / 3, sum(second) / 3),
        }
        for cell, (name, values) in zip(shown[1:], pairs.items(), strict=True):
            mean, deviation = np.mean(values), np.std(values, ddof=1)
            assert cell == f"{mean:.3f} ± {deviation:.3f}"
            assert float(row[f"{measure} {name} mean"]) == pytest.approx(mean, abs=1e-6)
            assert float(row[f"{measure} {name} sd"]) == pytest.approx(deviation, abs=1e-6)
    assert "The first mean leaves tissue out" in page.text
    assert "Not annotated in the held-out images: spleen. There Dice and IoU are 1" in page.text


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_single_class_is_told_as_briefly_as_can_be(tmp_path: Path) -> None:
    results = results_of(("background", "cell"))
    write_summary(tmp_path / "summary.csv", results)
    header = (tmp_path / "summary.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert [name for name in header if "Dice" in name or "IoU" in name] == ["Dice cell mean", "Dice cell sd"]
    page = PageContent(written(tmp_path / "page.html", "".join(scores_section(results))))
    assert page.headings == ["Scores"]
    assert len(page.rows) == 2


def test_pixels_of_all_folds_of_a_repeat_are_scored_together() -> None:
    """An image without objects counts by what is wrongly found in it, not as a score of 0."""

    def run(seed: int, fold: int, matrix: list[list[int]]) -> ScoredRun:
        image = ScoredImage(Path(str(fold)), Path("m"), str(fold), ImageScore("a", np.array(matrix, np.int64)))
        return ScoredRun(f"{seed}-{fold}", Path("m"), (image,), ("background", "lesion"), 5, seed=seed, fold=fold)

    tumour, half_found = [[90, 0], [0, 10]], [[90, 0], [5, 5]]
    healthy = [[98, 2], [0, 0]]
    model = ComparedModel("unet", (run(0, 0, tumour), run(0, 1, healthy), run(1, 0, half_found), run(1, 1, healthy)))
    first, second = 20 / 22, 10 / 17
    assert model.dice(1).mean == pytest.approx((first + second) / 2)
    assert model.dice(1).deviation == pytest.approx((first - second) / 2**0.5)
    assert model.mean("f1").mean == pytest.approx((1 + 0 + 2 / 3 + 0) / 4)
    convention = MaskConvention("binary", {0: 0, 255: 1}, ("background", "lesion"))
    results = Results((model,), ("background", "lesion"), ("#000000", "#ffffff"), convention)
    page = "".join(scores_section(results))
    assert "F1 of all pixels" in page
    assert model.dice(1).text(between="<small>") in page


def test_the_last_epoch_of_folds_has_a_deviation_only_over_repeats(tmp_path: Path) -> None:
    def run(seed: int, fold: int, last: float, images: int) -> ScoredRun:
        matrix = np.array([[90, 0], [0, 10]], np.int64)
        scored = [
            ScoredImage(Path(f"{fold}-{one}"), Path("m"), f"{fold}-{one}", ImageScore("a", matrix))
            for one in range(images)
        ]
        curve = ({"epoch": 1.0, "val_score": 0.1}, {"epoch": 2.0, "val_score": last})
        return ScoredRun(
            f"{seed}-{fold}", Path("m"), tuple(scored), ("background", "cell"), 5, seed=seed, fold=fold, curve=curve
        )

    def shown(*runs: ScoredRun) -> tuple[str, str, str]:
        convention = MaskConvention("binary", {0: 0, 255: 1}, ("background", "cell"))
        found = Results((ComparedModel("unet", runs),), ("background", "cell"), ("#000000", "#ffffff"), convention)
        write_summary(tmp_path / "summary.csv", found)
        (row,) = csv.DictReader((tmp_path / "summary.csv").read_text(encoding="utf-8").splitlines())
        return row["Last epoch mean"], row["Last epoch sd"], "".join(scores_section(found))

    folds = run(0, 0, 0.6, 3), run(0, 1, 0.8, 1)
    mean, deviation, page = shown(*folds)
    assert (mean, deviation) == ("0.650000", ""), "as if all images were one fold's"
    assert "0.650</td>" in page
    assert "±" not in page
    assert "of several folds the mean, by their images" in page
    mean, deviation, page = shown(*folds, run(1, 0, 0.7, 3), run(1, 1, 0.9, 1))
    assert (mean, deviation) == ("0.700000", f"{0.1 / 2**0.5:.6f}")
    mean, deviation, page = shown(replace(folds[0], fold=None), replace(folds[1], fold=None, seed=1))
    assert (mean, deviation) == ("0.700000", f"{0.2 / 2**0.5:.6f}")
    assert "several folds" not in page
