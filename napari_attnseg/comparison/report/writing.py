"""The report of a comparison: report.html that needs no other file, tables as CSV, figures as PNG."""

from __future__ import annotations

from contextlib import suppress
from html import escape
from pathlib import Path

from napari_attnseg.comparison.report import page
from napari_attnseg.comparison.report.csv_files import write_scores, write_summary, write_tests
from napari_attnseg.comparison.report.examples import predict_examples
from napari_attnseg.comparison.report.figure_sections import (
    attention_section,
    boxes_section,
    confusion_section,
    curves_section,
    images_section,
)
from napari_attnseg.comparison.report.glossary import terms
from napari_attnseg.comparison.report.story import Story, outcome
from napari_attnseg.comparison.report.table_sections import (
    cost_section,
    failures_section,
    scores_section,
    tests_section,
)
from napari_attnseg.comparison.results import Results
from napari_attnseg.comparison.statistics import paired_tests
from napari_attnseg.data.atomic import write_text
from napari_attnseg.errors import SaveError
from napari_attnseg.settings import PredictionSettings

REPORT = "report.html"
FIGURES = "figures"
TESTS = "tests.csv"
_ALL_FIGURES = ("learning_curves", "scores_per_image", "confusion", "image_best", "image_median", "image_worst",
                "attention")  # fmt: skip


def write_report(out: Path, results: Results, story: Story, settings: PredictionSettings) -> Path:
    """Write report.html, summary.csv, scores.csv, tests.csv and the figures; return the report's path.

    Parameters
    ----------
    out
        The folder; it is made if it is missing.
    results, story
        What is reported.
    settings
        How the images that are shown are predicted.

    Raises
    ------
    SaveError
        A file cannot be written.
    """
    pictured = out / FIGURES
    _clear(out, pictured)
    tests = paired_tests(results)
    write_summary(out / "summary.csv", results)
    write_scores(out / "scores.csv", results)
    if tests:
        write_tests(out / TESTS, tests)
    examples, troubles = predict_examples(results, settings)
    parts = [
        f"<h1>{escape(story.title)}</h1>",
        page.paragraph(story.when, "when"),
        *(page.paragraph(text) for text in (*story.paragraphs, *outcome(results, tests))),
        *scores_section(results),
        *tests_section(results, tests),
        *curves_section(pictured, results),
        *boxes_section(pictured, results),
        *confusion_section(pictured, results),
        *images_section(pictured, results, examples, troubles),
        *attention_section(pictured, examples),
        *cost_section(results),
        *failures_section(results),
        page.heading("Terms"),
        page.definitions(terms(results)),
        page.heading("How to repeat this"),
        page.table((), story.facts, text=(0, 1)),
        page.command(story.command) if story.command else "",
    ]
    write_text(out / REPORT, page.page(story.title, parts))
    return out / REPORT


def _clear(out: Path, pictured: Path) -> None:
    """Make the folders, and remove what an earlier report may have had and this one may not."""
    try:
        pictured.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"The folder {pictured} cannot be made ({error.strerror}).") from error
    for path in (out / TESTS, *(pictured / f"{name}.png" for name in _ALL_FIGURES)):
        with suppress(OSError):
            path.unlink()
