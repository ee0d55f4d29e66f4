"""`napari-attnseg serve`: predictions for a program that asks for them on stdin, such as the viewer.

See `prediction.serve` for what is asked and answered. The process ends with its stdin, and so with its parent.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import BinaryIO, NoReturn, get_args

from napari_attnseg.cli.options import Commands, HelpFormatter
from napari_attnseg.settings import DeviceName


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command; without a line of help it is not listed, for it is of no use to people."""
    parser = commands.add_parser(
        "serve",
        description="Answer requests for predictions, a line of JSON each on stdin, until stdin ends.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--device", choices=get_args(DeviceName), default="auto", help="where to compute")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="a folder that is removed when stdin ends")
    parser.add_argument(
        "--release-after", type=float, default=120, metavar="S", help="idle seconds until GPU memory is given back"
    )
    parser.add_argument(
        "--end-after", type=float, default=600, metavar="S", help="idle seconds until the process ends by itself"
    )
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from napari_attnseg.prediction.inbox import Inbox, Replies

    def end() -> NoReturn:
        """End now, in the midst of a tile if need be: whoever asked is gone."""
        if options.scratch is not None:
            shutil.rmtree(options.scratch, ignore_errors=True)
        os._exit(0)

    replies = Replies(_clean_stdout(), on_gone=end)
    inbox = Inbox(sys.stdin.buffer, replies, on_end=end)
    from napari_attnseg.prediction.serve import Server  # brings PyTorch, and takes seconds

    Server(inbox, replies, options.device, release_after=options.release_after, end_after=options.end_after).run()
    return 0


def _clean_stdout() -> BinaryIO:
    """Return what was stdout, and let everything that libraries print go to stderr from now on."""
    sys.stdout.flush()
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return stream
