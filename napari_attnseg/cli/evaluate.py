"""`napari-attnseg evaluate`: how good a model is on annotated images."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_attnseg.cli.options import Commands, HelpFormatter, add_settings, given_settings
from napari_attnseg.cli.progress import shown, stop_on_interrupt
from napari_attnseg.data.pairs import extension_of
from napari_attnseg.errors import SaveError
from napari_attnseg.settings import PredictionSettings


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "evaluate",
        help="score a model on images with masks",
        description="Predict the annotated images of a folder and compare with their masks.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, such as a run's best.safetensors")
    parser.add_argument("data", type=Path, metavar="DATA", help="a folder of pairs, or one TIFF with its mask")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a row of scores for each image as CSV")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the mean scores as JSON")
    parser.add_argument("--mask-suffix", metavar="TEXT", help="what names a mask (default as in the training)")
    add_settings(parser, PredictionSettings, "prediction", without=("probability", "attention"))
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    values = given_settings(options)
    for path in (options.out, options.json):
        if path and (extension_of(path) or path.suffix.lower() == ".safetensors"):
            raise SaveError(f"Scores are text and would replace {path}; name another file, such as scores.csv.")
    from napari_attnseg import engine
    from napari_attnseg.data.atomic import write_json
    from napari_attnseg.prediction.tiling import Stopped
    from napari_attnseg.training.evaluation import table

    with stop_on_interrupt() as interrupt, shown("Evaluating") as on_event:
        try:
            found = engine.evaluate(
                options.model,
                options.data,
                mask_suffix=options.mask_suffix,
                on_event=on_event,
                should_stop=interrupt,
                **values,
            )
        except Stopped:
            return 130
    if options.out:
        found.write_csv(options.out)
    if options.json:
        write_json(options.json, found.to_json())
    print(f"{len(found.images)} image{'s' * (len(found.images) != 1)}   mean   all pixels")
    for name, mean, pooled in table(found):
        print(f"  {name:<10} {mean}   {pooled}")
    if len(found.class_names) > 2:
        print("Dice of each class, all pixels:")
        for name, dice in zip(found.class_names, found.dice, strict=True):
            print(f"  {name:<20} {dice:.4f}")
    return 0
