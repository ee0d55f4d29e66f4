"""`napari-attnseg compare`: several models, losses and recipes on the same images, with a report."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from napari_attnseg.cli.options import Commands, HelpFormatter, add_settings, given_settings
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.errors import RunFolderError, SettingsError, Stopped
from napari_attnseg.settings import LossName, ModelName, RunSettings, settings_from
from napari_attnseg.wording import counted

if TYPE_CHECKING:
    from napari_attnseg.comparison.asked import Asked
    from napari_attnseg.comparison.record import ComparisonFolder, Record

_REPLACED = {"model": ("name",), "training": ("loss",)}
"""Settings that have an option of their own here, for several values."""


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare",
        help="train several models on the same images and compare them",
        description="Train each model with each loss (and recipe), score all of them on the same held-out images, and\n"
        "write DIR/report.html with tables and figures. Asked again with the same DIR it goes on where it was, also\n"
        "with more repeats, or with another device, precision or image memory for what is not finished.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="a folder of pairs; with --report-only, the DIR of a comparison"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to make, or the one to go on with")
    _add_what_is_compared(parser)
    parser.add_argument(
        "--report-only", action="store_true", help="make the report of a comparison anew, without training"
    )
    for name, kind in RunSettings.groups().items():
        add_settings(parser, kind, name, without=_REPLACED.get(name, ()))
    parser.set_defaults(command=run)


def _add_what_is_compared(parser: argparse.ArgumentParser) -> None:
    models, losses = get_args(ModelName), get_args(LossName)
    parser.add_argument(
        "--models",
        nargs="+",
        default=[],
        choices=models,
        metavar="NAME",
        help=f"one or more of {', '.join(models)} (default attention_se_unet and unet, or the recipe's)",
    )
    parser.add_argument(
        "--losses",
        nargs="+",
        default=[],
        choices=losses,
        metavar="NAME",
        help=f"one or more of {', '.join(losses)} (default dice_bce, or the recipe's)",
    )
    parser.add_argument(
        "--recipes",
        nargs="+",
        default=[],
        metavar="NAME",
        help="recipes by name, or JSON files of settings; what is given as an option goes before them",
    )
    parser.add_argument(
        "--repeats", type=_at_least(1), default=1, metavar="N", help="trainings of each, by one seed each (default 1)"
    )
    parser.add_argument(
        "--folds",
        type=_at_least(2),
        default=0,
        metavar="K",
        help="share the images out into K folds and hold out each once (default: one split)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    values = given_settings(options)
    if not options.report_only and options.out is None:
        raise SettingsError("Say with --out which folder the comparison is to be written to.")
    from napari_attnseg.comparison.record import ComparisonFolder

    if options.report_only:
        folder = ComparisonFolder(options.out or options.data)
        _report(folder, folder.read(), values)
        return 0
    folder = ComparisonFolder(options.out)
    record = _trained(folder, _asked(options, values))
    if record is None:
        print(
            "Everything up to here is kept. Ask for the same again to go on, or for a report of what is done with:\n"
            f"  napari-attnseg compare {shlex.quote(str(folder.path))} --report-only"
        )
        return 130
    _report(folder, record, values)
    if record.failures:
        count, total = len(record.failures), len(record.asked.runs)
        name, why = next(iter(record.failures.items()))
        raise RunFolderError(
            f"{count} of {total} trainings failed and {'is' if count == 1 else 'are'} not in the report's scores; "
            f"{name}: {why} Ask for the same again to try {'it' if count == 1 else 'them'} once more."
        )
    return 0


def _asked(options: argparse.Namespace, values: dict[str, Any]) -> Asked:
    """Put together what is asked for.

    Raises
    ------
    SettingsError
        A setting or a recipe is unknown or out of range.
    """
    from napari_attnseg.comparison.asked import Asked, recipe_name

    given = settings_from(values)
    groups = {name: getattr(given, name).model_dump(mode="json", exclude_unset=True) for name in RunSettings.groups()}
    recipes: dict[str, dict[str, dict[str, Any]]] = {}
    for source in options.recipes:
        from napari_attnseg.settings.recipes import load_recipe

        if recipe_name(source) in recipes:
            raise SettingsError(f"Two recipes are called {recipe_name(source)}; name each once, or rename a file.")
        recipes[recipe_name(source)] = load_recipe(source)
    return Asked(
        data=options.data,
        models=tuple(options.models),
        losses=tuple(options.losses),
        recipes=recipes,
        repeats=options.repeats,
        folds=options.folds,
        given={name: found for name, found in groups.items() if found},
        recipe_sources=tuple(options.recipes),
    )


def _trained(folder: ComparisonFolder, asked: Asked) -> Record | None:
    """Train and score all that is missing; return None if that was interrupted."""
    from napari_attnseg.comparison.alone import alone_in
    from napari_attnseg.comparison.preparing import prepare
    from napari_attnseg.comparison.running import run_all

    with stop_on_interrupt() as interrupt, alone_in(folder.path):
        try:
            with shown("Preparing") as on_event:
                record = prepare(folder, asked, on_event, interrupt)
            print(_summary(folder, record), flush=True)
            with shown("Comparing") as on_event:
                return run_all(folder, record, on_event, _say, interrupt)
        except Stopped:
            return None


def _summary(folder: ComparisonFolder, record: Record) -> str:
    from napari_attnseg.comparison.scoring import is_scored

    asked = record.asked
    train, held_out = record.splits[0]
    names = ", ".join(variant.name for variant in asked.variants)
    what = f"{asked.folds} folds" if asked.folds else f"{len(train)} images to learn from, {len(held_out)} held out"
    done = sum(is_scored(folder.run_path(run.name)) for run in asked.runs)
    count = counted(len(asked.runs), "training") + (f" ({done} done already)" if done else "")
    return f"Compare {names}: {count}, {what}."


def _report(folder: ComparisonFolder, record: Record, values: dict[str, Any]) -> None:
    from napari_attnseg.comparison.collect import collect, prediction_settings
    from napari_attnseg.comparison.report.story import story_of
    from napari_attnseg.comparison.report.writing import write_report
    from napari_attnseg.comparison.results import ranked

    print("Making the report.", flush=True)
    results = collect(folder, record)
    path = write_report(folder.path, results, story_of(record, results), prediction_settings(record, values))
    width = max(len(model.label) for model in results.models)
    print(f"{'':<{width}}  {'mean F1':<15}  mean Jaccard")
    for model in ranked(results.models):
        print(f"{model.label:<{width}}  {model.mean('f1').text():<15}  {model.mean('jaccard').text()}")
    print(f"Report: {path}")


def _say(line: str) -> None:
    print(line, flush=True)


def _at_least(least: int) -> Any:
    """Return the parser of a whole number with a lower limit."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return whole_number
