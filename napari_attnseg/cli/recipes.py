"""`napari-attnseg recipes`: which named settings there are, and what is in them."""

from __future__ import annotations

import argparse
import json

from napari_attnseg.cli.options import Commands, HelpFormatter
from napari_attnseg.settings import read_recipe, recipe_names


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "recipes",
        help="list the named settings for training, or print one",
        description="List the recipes: settings with a name, to train with them (train DATA --recipe NAME).\n"
        "With a name, print that recipe as a file. To write your own: napari-attnseg recipes NAME > mine.json,\n"
        "change it, and train DATA --recipe mine.json.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME|FILE", help="the recipe, recipe file or run.json to print (default: list all)"
    )
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.name is not None:
        print(json.dumps(read_recipe(options.name).to_json(), indent=2, ensure_ascii=False))
        return 0
    names = recipe_names()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {read_recipe(name).summary}")
    return 0
