"""The sections of a report that are tables: scores, tests, cost and failures."""

from __future__ import annotations

from collections.abc import Sequence

from napari_attnseg.comparison.report import page
from napari_attnseg.comparison.report.csv_files import MEGABYTE, last_epoch
from napari_attnseg.comparison.report.figures import score_name
from napari_attnseg.comparison.report.story import listed, p_text, signed, unit_name
from napari_attnseg.comparison.results import CLASS_MEASURES, Results, ScoredRun, Spread, ranked, spread_of
from napari_attnseg.comparison.statistics import PairedTest

_MOST_TESTS = 15
_SCORES = {
    "f1": "F1 (Dice)",
    "jaccard": "Jaccard (IoU)",
    "recall": "Recall",
    "precision": "Precision",
    "accuracy": "Accuracy",
}


def scores_section(results: Results) -> list[str]:
    """Return the means of all scores, and with classes their Dice."""
    has_curves = any(run.curve for model in results.models for run in model.runs)
    pooled = [] if results.has_classes else ["F1 of all pixels"]  # classes have a table of their own
    differ = ["Trainings"] if len({len(model.runs) for model in results.models}) > 1 else []  # some failed
    header = ["Model", *_SCORES.values(), *pooled, *(["Last epoch*", *differ] if has_curves else [])]
    rows = []
    for model in ranked(results.models):
        row = [model.label, *(_cell(model.mean(name)) for name in _SCORES)]
        row += [_cell(model.dice(1))] if pooled else []
        row += [_cell(last_epoch(model))] if has_curves else []
        rows.append([*row, *([str(len(model.runs))] if has_curves and differ else [])])
    several = any(len(model.repeats) > 1 for model in results.models)
    over = " ± standard deviation over the trainings" if several else ""
    first = "; the highest F1 first" if len(rows) > 1 else ""
    together = f" F1 of all pixels takes {_all_images(results)} together." if pooled else ""
    parts = [
        page.heading("Scores on the held-out images" if has_curves else "Scores"),
        page.table(header, rows, first_stands_out=len(rows) > 1),
        page.paragraph(f"Mean over the images{over}{first}.{together}", "note"),
    ]
    if has_curves:
        mean = "; of several folds the mean, by their images" if _has_folds(results) else ""
        text = f"* {score_name(results)} after the last epoch, whether or not that was the best one{mean}."
        parts.append(page.paragraph(text, "note"))
    return [*parts, *(_classes(results) if results.has_classes else [])]


def _classes(results: Results) -> list[str]:
    """Return a table of Dice and one of IoU, each with the means that are made of it."""
    background, *classes = results.class_names
    header = ["Model", *classes, "Mean", background, f"Mean\nwith {background}"]
    parts = []
    for name, measure in CLASS_MEASURES.items():
        rows = []
        for model in ranked(results.models):
            found = model.by_class(measure)
            figures = (*found.each[1:], found.mean, found.each[0], found.mean_with_background)
            rows.append([model.label, *(_cell(one) for one in figures)])
        parts += [page.heading(f"{name} of each class"), page.table(header, rows, first_stands_out=len(rows) > 1)]
    return [
        *parts,
        page.paragraph(
            f"Dice and IoU are over all pixels of {_all_images(results)} together. The first mean leaves {background} "
            "out; the other counts it as one more class, which is mostly the easiest.",
            "note",
        ),
        page.paragraph(_absent(results), "note"),
    ]


def _all_images(results: Results) -> str:
    return "the images of all folds" if _has_folds(results) else "all images"


def _has_folds(results: Results) -> bool:
    return any(run.fold is not None for model in results.models for run in model.runs)


def _absent(results: Results) -> str:
    """Say which classes the figures of a repeat say nothing about."""
    matrices = [one.matrix for model in results.models for one in model.repeats]
    never = [
        name for number, name in enumerate(results.class_names) if any(matrix[number].sum() == 0 for matrix in matrices)
    ]
    if not never:
        return ""
    return (
        f"Not annotated in the held-out images: {listed(never)}. There Dice and IoU are 1 if nothing was predicted and "
        "else 0, and say nothing of how well the class is found."
    )


def tests_section(results: Results, tests: Sequence[PairedTest]) -> list[str]:
    """Return the tests of each pair of models, if there are any."""
    if not tests:
        return []
    best = ranked(results.models)[0].label
    shown = tests if len(tests) <= _MOST_TESTS else [test for test in tests if best in (test.first, test.second)]
    units = unit_name(results, 2)
    rows = [
        [
            f"{test.first}\nminus {test.second}",
            f"{test.n} ({test.n_different})",
            signed(test.typical),
            "" if test.low is None or test.high is None else f"{signed(test.low)} to {signed(test.high)}",
            p_text(test.p),
            *([p_text(test.p_adjusted)] if len(tests) > 1 else []),
            test.verdict,
        ]
        for test in shown
    ]
    holm = ["p (Holm)"] if len(tests) > 1 else []
    counts = f"{units.capitalize()} (that differ)"
    header = ["Difference of", counts, "Typical", "95 % interval", "p", *holm, "Result"]
    left_out = "" if len(shown) == len(tests) else f" Only pairs with {best} are shown; tests.csv has all {len(tests)}."
    unit = (
        "Scores are averaged over the trainings and then over the images of a group, and groups are what is counted."
        if results.is_grouped
        else "Scores are averaged over the trainings, and images are what is counted: if several show the same patient "
        "or plate they are no independent measurements, and p is too small."
    )
    return [
        page.heading("Is the difference more than chance?"),
        page.table(header, rows, text=(0, len(header) - 1)),
        page.paragraph(
            f"Wilcoxon signed-rank test on the scores of the same {units} by two models, two-sided. The typical "
            f"difference is the pseudo-median over those {units} whose scores differ. {unit} A small p says "
            f"that the models differ on {units} like these, not that they would after another training.{left_out}",
            "note",
        ),
    ]


def cost_section(results: Results) -> list[str]:
    """Return what each model costs, as far as it was measured; apart for each device that it was trained on."""
    several = len(results.devices) > 1
    rows = []
    for model in results.models:
        for device in dict.fromkeys(run.device if several else "" for run in model.runs):
            runs = [run for run in model.runs if not several or run.device == device]
            rows.append([model.label, device, *_cost_cells(runs)])
    trained = any(run.curve for model in results.models for run in model.runs)
    minutes = "Minutes of training" if trained else "Minutes to the best epoch"  # all that a model file knows
    header = ["Model", "Computed on", "Parameters", "Epochs", minutes, "Images a second", "Most memory (GB)"]
    kept = [0, *(number for number in range(1, len(header)) if any(row[number] for row in rows))]
    shown = [[row[number] for number in kept] for row in rows]
    moved = any(run.has_moved for model in results.models for run in model.runs)
    notes = [
        "Images a second: whole held-out images predicted, files not counted." if 5 in kept else "",
        "Most memory: held by the training, on the GPU if there is one." if 6 in kept else "",
        "Where a row names several devices its trainings moved, and images a second and memory are of one of them."
        if moved
        else "",
    ]
    return [
        page.heading("Size, time and memory"),
        page.table([header[number] for number in kept], shown, text=(0, kept.index(1)) if several else (0,)),
        page.paragraph(" ".join(note for note in notes if note), "note"),
    ]


def _cost_cells(runs: Sequence[ScoredRun]) -> list[str]:
    memory = [run.memory for run in runs if run.memory]
    return [
        f"{runs[0].parameters:,}",
        _cell(spread_of(float(len(run.curve)) for run in runs if run.curve), 1),
        _cell(spread_of(run.minutes for run in runs), 1),
        _cell(spread_of(run.images_per_second for run in runs), 1),
        f"{max(memory) / (1000 * MEGABYTE):.2f}" if memory else "",
    ]


def failures_section(results: Results) -> list[str]:
    """Return the trainings that failed, if any did."""
    if not results.failures:
        return []
    return [
        page.heading("Trainings that failed"),
        page.table(("Training", "Why"), results.failures, text=(0, 1)),
    ]


def _cell(spread: Spread | None, digits: int = 3) -> str:
    """Return the mean, and small below it the deviation."""
    return "" if spread is None else spread.text(digits, "\n")
