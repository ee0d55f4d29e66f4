"""The command line: each command is a module that adds its options and runs; nothing heavy is imported before that."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version

from napari_attnseg.cli import (
    check,
    compare,
    demo,
    evaluate,
    import_data,
    models,
    objects,
    predict,
    recipes,
    serve,
    train,
)
from napari_attnseg.errors import AttnSegError
from napari_attnseg.training.launch import launch

COMMANDS = (train, recipes, predict, objects, evaluate, compare, check, import_data, models, demo, serve)
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 a user's error, 2 wrong usage, 130 stopped by Ctrl-C."""
    options = parser().parse_args(arguments)
    if launch().is_shared and options.command is not train.run:
        if launch().is_first:
            print(
                "napari-attnseg: torchrun is for the command train alone; start this one without it.", file=sys.stderr
            )
        return 1
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    try:
        return int(options.command(options))
    except AttnSegError as error:
        print(f"napari-attnseg: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nnapari-attnseg: stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output, such as head, has gone
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="napari-attnseg",
        description="Segment TIFF images with attention U-Nets that learn from a few masks of your own.",
    )
    top.add_argument("--version", action="version", version=f"napari-attnseg {version('napari-attnseg')}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add_parser(commands)
    return top
