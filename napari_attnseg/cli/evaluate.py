"""`napari-attnseg evaluate`: how good one or more models are on annotated images."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_attnseg.cli.options import Commands, HelpFormatter, add_settings, given_settings
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.cli.scheduler import add_scheduler
from napari_attnseg.data.pairs import Pair, extension_of
from napari_attnseg.errors import DataError, RunFolderError, SaveError, Stopped
from napari_attnseg.events import Notice
from napari_attnseg.models.starter_models import model_path
from napari_attnseg.settings import PredictionSettings, make
from napari_attnseg.wording import counted

if TYPE_CHECKING:
    from napari_attnseg.comparison.side_by_side import Evaluated, Score
    from napari_attnseg.training.evaluation import Evaluation

_EACH_CLASS = "each class, all pixels"


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate",
        help="score one or more models on images with masks",
        description="Predict the annotated images of a folder and compare with their masks; several models come side "
        "by side. An image that cannot be scored is named and left out for all models, and the exit code is 1.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "models",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="a model file, such as a run's best.safetensors, or nuclei, which comes with the program",
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="a folder of pairs, or one TIFF with its mask")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a row of scores for each image as CSV")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the mean scores as JSON")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write a report with figures and pictures to DIR/report.html"
    )
    parser.add_argument(
        "--mask-suffix",
        metavar="TEXT",
        help="what names a mask (default as in the training; several models that learnt "
        "from masks of different names need it, to be measured on the same)",
    )
    parser.add_argument(
        "--group-pattern",
        metavar="TEXT",
        help="in the report, a regular expression on the image's name: the test between models counts groups, such as "
        "patients, not images (default: images)",
    )
    add_settings(
        parser, PredictionSettings, "prediction", without=("probability", "attention", "tile_by_tile", "format")
    )
    add_scheduler(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = make(PredictionSettings, given_settings(options))
    for path in (options.out, options.json):
        if path and (extension_of(path) or path.suffix.lower() == ".safetensors"):
            raise SaveError(f"Scores are text and would replace {path}; name another file, such as scores.csv.")
        if path is not None:
            _require_place(path)
    if options.out and options.json and options.out.resolve() == options.json.resolve():
        raise SaveError(f"The table and the JSON file would both be {options.out}; name another file for one of them.")
    _require_report_folder(options.report)
    models = [model_path(model) for model in options.models]
    from napari_attnseg.comparison.side_by_side import evaluate_models

    failed: dict[Pair, str] = {}
    with stop_on_interrupt() as interrupt, shown("Evaluating") as on_event:

        def on_failure(pair: Pair, error: DataError) -> None:
            failed[pair] = str(error)
            on_event(Notice(str(error)))

        try:
            with _scorer(options, settings, interrupt) as score:
                found = evaluate_models(
                    models,
                    options.data,
                    settings,
                    mask_suffix=options.mask_suffix,
                    group_pattern=options.group_pattern,
                    on_event=on_event,
                    should_stop=interrupt,
                    on_failure=on_failure,
                    score=score,
                )
        except Stopped:
            return 130
    if len(found) == 1:
        _print_one(found[0].evaluation)
    else:
        _print_side_by_side(found)
    _write(options, found, list(failed.values()))
    if options.report:
        _report(options, found, settings, list(failed.values()))
    if failed:
        total = len(found[0].pairs) + len(failed)
        raise DataError(
            f"{len(failed)} of {counted(total, 'image')} could not be scored, and are in none of the figures: "
            f"{next(iter(failed.values()))}"
        )
    return 0


@contextmanager
def _scorer(
    options: argparse.Namespace, settings: PredictionSettings, should_stop: Callable[[], bool]
) -> Iterator[Score | None]:
    """Yield what scores models on a cluster, if one is asked for."""
    if options.scheduler is None:
        yield None
        return
    from napari_attnseg.cluster.connection import connected

    with connected(options.scheduler, options.scheduler_timeout, should_stop) as client:
        from napari_attnseg.cluster.evaluating import evaluate_images

        yield lambda model, *rest: evaluate_images(client, model, settings, *rest)


def _write(options: argparse.Namespace, found: Sequence[Evaluated], failed: list[str]) -> None:
    """Write the files for programs: of one model without its name, of several with it."""
    from napari_attnseg.data.atomic import write_json
    from napari_attnseg.training.evaluation import write_csv

    if options.out:
        write_csv(options.out, [(one.label, one.evaluation) for one in found])
    if options.json:
        values = found[0].evaluation.to_json() if len(found) == 1 else {"models": [one.to_json() for one in found]}
        write_json(options.json, values | {"failed": failed})


def _print_one(found: Evaluation) -> None:
    from napari_attnseg.training.evaluation import table

    print(f"{counted(len(found.images), 'image')}   mean   all pixels")
    for name, mean, pooled in table(found):
        print(f"  {name:<10} {mean}   {pooled}")
    if len(found.class_names) > 2:
        names, columns = _by_class(found)
        width = max(map(len, (_EACH_CLASS, *(f"  {name}" for name in names))))
        print(f"{_EACH_CLASS:<{width}}" + "".join(f"  {measure:>6}" for measure in columns))
        for number, name in enumerate(names):
            print(f"{f'  {name}':<{width}}" + "".join(f"  {values[number]:.4f}" for values in columns.values()))


def _print_side_by_side(found: Sequence[Evaluated]) -> None:
    from napari_attnseg.training.evaluation import table

    tables = [table(one.evaluation) for one in found]
    names = [name for name, _, _ in tables[0]]
    classes = found[0].evaluation.class_names
    count = len(found[0].evaluation.images)
    rows = [(f"{counted(count, 'image')}, mean", [one.label for one in found])]
    rows += [(f"  {name}", [each[number][1] for each in tables]) for number, name in enumerate(names)]
    rows.append(("all pixels", []))
    rows += [(f"  {name}", [each[number][2] for each in tables]) for number, name in enumerate(names)]
    if len(classes) > 2:
        by_class = [_by_class(one.evaluation) for one in found]
        names, measures = by_class[0]
        for measure in measures:
            rows.append((f"{measure} of {_EACH_CLASS}", []))
            for number, name in enumerate(names):
                rows.append((f"  {name}", [f"{columns[measure][number]:.4f}" for _, columns in by_class]))
    margin = max(len(start) for start, _ in rows)
    widths = [max(6, len(one.label)) for one in found]
    for start, cells in rows:
        shown = "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=False))
        print(f"{start:<{margin}}{shown}".rstrip())


def _by_class(found: Evaluation) -> tuple[list[str], dict[str, list[float]]]:
    """Return the rows of the table of classes, which end in both means, and its columns by what is measured."""
    from napari_attnseg.comparison.results import CLASS_MEASURES

    background, *classes = found.class_names
    values = {name: measure(found.matrix) for name, measure in CLASS_MEASURES.items()}
    columns = {name: [*each[1:], each[1:].mean(), each[0], each.mean()] for name, each in values.items()}
    return [*classes, "mean", background, f"mean with {background}"], columns


def _require_place(path: Path) -> None:
    """Refuse a file that cannot be written, before anything is predicted."""
    if path.is_dir():
        raise SaveError(f"{path} is a folder; name a file in it.")
    if not path.absolute().parent.is_dir():
        raise SaveError(f"{path} cannot be written: there is no folder {path.absolute().parent}.")


def _require_report_folder(path: Path | None) -> None:
    """Refuse a folder that holds anything but an earlier report or cannot be made; predicting may take hours."""
    if path is None:
        return
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"{path} is a file; give a folder for the report.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"The folder {path} cannot be made ({error.strerror}).") from error
    names = {item.name for item in path.iterdir()}
    if names and ("report.html" not in names or "comparison.json" in names):
        raise RunFolderError(
            f"{path} holds things that no evaluation wrote ({min(names)}); give an empty or new folder for the report."
        )


def _report(
    options: argparse.Namespace, found: Sequence[Evaluated], settings: PredictionSettings, failed: list[str]
) -> None:
    from napari_attnseg.comparison.report.writing import write_report
    from napari_attnseg.comparison.side_by_side import side_by_side, story_of_models

    results = side_by_side(found, options.group_pattern, options.data)
    story = story_of_models(found, options.data, _command(options), failed)
    print(f"Report: {write_report(options.report, results, story, settings)}")


def _command(options: argparse.Namespace) -> str:
    """Return the command that makes this report again."""
    words: list[Any] = ["napari-attnseg", "evaluate", *options.models, options.data, "--report", options.report]
    for name in ("mask_suffix", "group_pattern"):
        value = getattr(options, name)
        words += [f"--{name.replace('_', '-')}", value] if value else []
    for name, value in given_settings(options).items():
        flag = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", value]
    return shlex.join(map(str, words))
